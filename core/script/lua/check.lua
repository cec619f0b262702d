-- Checks what scripts pass to tide.*, by the descriptions of the API (bind/lua/api). One description of a function gives these
-- checks, the reference in docs/ and the editor's annotations.
local native, load = ...

local report = load "report"
local check = {}

-- type name -> function(value): the value to use, or nil and what was expected
local types = {}

local function plain(name)
  types[name] = function(value)
    if type(value) == name then
      return value
    end
    return nil, "a " .. name
  end
end
plain "string"
plain "boolean"
plain "function"
plain "table"
plain "number"

function types.any(value)
  return value
end

function types.integer(value)
  if type(value) == "number" and value == math.floor(value) and math.abs(value) < 2 ^ 53 then
    return value
  end
  return nil, "a whole number"
end

function types.id(value)
  if type(value) == "string" and #value == 24 and not value:find("[^%x]") then
    return value:lower()
  end
  return nil, "an id (24 hex digits)"
end

local function quantity(parse, example)
  return function(value)
    if type(value) ~= "string" then
      return nil, example
    end
    local number = parse(value)
    if number then
      return number
    end
    return nil, example
  end
end
types.duration = quantity(native.unit_duration, 'a duration such as "250ms", "30s", "25m" or "2h"') -- milliseconds
types.size = quantity(native.unit_size, 'a size such as "512B", "8KiB", "2MiB" or "5GiB"') -- bytes
types.rate = quantity(native.unit_rate, 'a rate such as "10/s", "100/m" or "5000/h"') -- per second

check.types = types

local function shown(value)
  if type(value) == "string" then
    local text = ("%q"):format(#value > 40 and value:sub(1, 40) .. "..." or value):gsub("\\\n", "\\n")
    return text
  end
  return type(value) == "table" and "a table" or tostring(value)
end

local function names(fields)
  local list = {}
  for _, field in ipairs(fields) do
    list[#list + 1] = field.name
  end
  return list
end

local function find_field(fields, name)
  for _, field in ipairs(fields) do
    if field.name == name then
      return field
    end
  end
end

local function check_range(where, field, value)
  if field.choices then
    for _, choice in ipairs(field.choices) do
      if value == choice then
        return
      end
    end
    local quoted = {}
    for i, choice in ipairs(field.choices) do
      quoted[i] = shown(choice)
    end
    report.misuse(("%s: '%s' is %s; it must be one of %s"):format(where, field.name, shown(value), table.concat(quoted, ", ")))
  end
  if (field.min and value < field.min) or (field.max and value > field.max) then
    report.misuse(("%s: '%s' is %s; it must be between %s and %s"):format(where, field.name, tostring(value),
      tostring(field.min or "-"), tostring(field.max or "-")))
  end
end

-- One value against one field {name, type, ...}; returns the value to use. Raises in the name of the script.
function check.value(where, field, value)
  if value == nil then
    if field.default ~= nil then
      return types[field.type] and types[field.type](field.default) or field.default
    end
    if field.optional then
      return nil
    end
    report.misuse(("%s: '%s' is missing"):format(where, field.name),
      field.doc and ("  %s: %s (%s)"):format(field.name, field.doc, field.type))
  end
  if field.fields then
    if type(value) ~= "table" then
      report.misuse(("%s: '%s' must be a table of options, not %s"):format(where, field.name, shown(value)))
    end
    return check.options(where .. ": " .. field.name, field.fields, value)
  end
  local problem
  for name in field.type:gmatch("[^|]+") do
    local used, expected = types[name](value)
    if used ~= nil then
      check_range(where, field, used)
      return used
    end
    problem = problem and problem .. " or " .. expected or expected
  end
  report.misuse(("%s: '%s' must be %s, not %s"):format(where, field.name, problem, shown(value)))
end

-- A table of options against its fields: unknown names, types, ranges, defaults. Returns a new table with values in base units
-- (milliseconds, bytes, per second).
function check.options(where, fields, options)
  local checked = {}
  if options ~= nil and type(options) ~= "table" then
    report.misuse(("%s: the options must be a table, not %s"):format(where, shown(options)))
  end
  for key in pairs(options or {}) do
    if not find_field(fields, key) then
      local known = names(fields)
      local meant = type(key) == "string" and report.suggest(key, known)
      report.misuse(("%s: unknown option '%s'%s"):format(where, tostring(key),
        meant and (" (did you mean '%s'?)"):format(meant) or ""), "  known options: " .. table.concat(known, ", "))
    end
  end
  for _, field in ipairs(fields) do
    checked[field.name] = check.value(where, field, options and options[field.name])
  end
  return checked
end

return check
