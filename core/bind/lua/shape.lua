-- Shapes: what the fields of a message, a path or a query are: { video_fid = "id", mp3_fid = "id?" }, for the
-- latter two also { limit = { "integer", min = 1, max = 100, default = 50 } }.
local _, load = ...

local check, report, FIELDS = load "check", load "report", load "api.shape"
local shape = {}

local function parse_field(where, name, declared)
  local field = check.options(("%s: '%s'"):format(where, tostring(name)), FIELDS, type(declared) == "table" and declared or { declared })
  local base, optional = tostring(field[1]):match("^(%w+)(%??)$")
  if not base or not check.types[base] then
    report.misuse(("%s: '%s' has no type '%s'"):format(where, tostring(name), tostring(field[1])),
      "  types: string, id, integer, number, boolean, table; with ? when it may be missing")
  end
  return { type = base, optional = optional == "?", default = field.default, min = field.min, max = field.max }
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
  elseif (field.min and used < field.min) or (field.max and used > field.max) then
    return nil, ("'%s' must be between %s and %s"):format(name, field.min or "-", field.max or "-")
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
