-- Shapes: what the fields of a message, a path or a query are: { video_fid = "id", mp3_fid = "id?" }, for the
-- latter two also { limit = { "integer", min = 1, max = 100, default = 50 } }.
local _, load = ...

local check, report, FIELDS = load "check", load "report", load "api.shape"
local shape = {}

local function outside(field, value)
  return (field.min and value < field.min) or (field.max and value > field.max)
end

-- The default as it is used; raises when it is not what the field takes.
local function default_of(where, field, type)
  if field.default == nil then
    return nil
  end
  local used, expected = check.types[type](field.default)
  if used == nil or outside(field, used) then
    report.misuse(("%s: 'default' must be %s, not %s"):format(where, expected or check.range(field.min, field.max), check.shown(field.default)))
  end
  return used
end

local ordered = { integer = true, number = true }

local function check_limits(place, field, type)
  local limit = field.min and "min" or field.max and "max"
  if limit and not ordered[type] then
    report.misuse(("%s: '%s' is for integer and number, not for %s: take it out, or give the field one of these types"):format(place,
      limit, type))
  elseif field.min and field.max and field.min > field.max then
    report.misuse(("%s: 'min' is over 'max', so there is no value that it takes"):format(place))
  end
end

local function parse_field(where, name, declared)
  local place = ("%s: '%s'"):format(where, tostring(name))
  local field = check.options(place, FIELDS, type(declared) == "table" and declared or { declared })
  local base, optional = tostring(field[1]):match("^(%w+)(%??)$")
  if not base or not check.types[base] then
    report.misuse(("%s has no type '%s'"):format(place, tostring(field[1])),
      "  types: string, id, integer, number, boolean, table; with ? when it may be missing")
  end
  check_limits(place, field, base)
  return { type = base, optional = optional == "?", default = default_of(place, field, base), min = field.min, max = field.max }
end

-- { name = { type, optional, default, min, max } }; raises in the name of the script.
function shape.parse(where, declared)
  local fields = {}
  for name, field in pairs(declared) do
    fields[name] = parse_field(where, name, field)
  end
  return fields
end

local readers = {
  integer = function(text) return text:match("^-?%d+$") and tonumber(text) end,
  number = tonumber,
  boolean = function(text)
    if text == "true" or text == "false" then
      return text == "true"
    end
  end,
}

local function read_field(name, field, text)
  local reader, value = readers[field.type], text
  if reader then
    value = reader(text)
  end
  local used, expected = check.types[field.type](value)
  if used == nil then
    return nil, ("'%s' must be %s"):format(name, expected)
  elseif outside(field, used) then
    return nil, ("'%s' must be %s"):format(name, check.range(field.min, field.max))
  end
  return used
end

-- The values of texts (a path's parameters, a query), the unknown ones left out; or nil and what is wrong.
function shape.read(fields, texts)
  local values = {}
  for name, field in pairs(fields) do
    local text, problem = texts[name], nil
    if text ~= nil then
      values[name], problem = read_field(name, field, text)
    elseif field.default ~= nil then
      values[name] = field.default
    elseif not field.optional then
      problem = ("'%s' is missing"):format(name)
    end
    if problem then
      return nil, problem
    end
  end
  return values
end

return shape
