-- Checks what scripts pass to tide.*, by the descriptions of the API (bind/lua/api). One description of a function gives these
-- checks, the reference in docs/ and the editor's annotations.
local native, load = ...

local report = load "report"
local check = {}

-- ---- types: name -> function(value): the value to use; or nil, what was expected and perhaps what was given ----

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
plain "userdata"

function types.any(value)
  return value
end

function types.null(value)
  if value == native.cjson.null then
    return value
  end
  return nil, "tide.json.null"
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
    local number = type(value) == "string" and parse(value)
    if number then
      return number
    end
    return nil, example
  end
end
types.duration = quantity(native.unit_duration, 'a duration such as "250ms", "30s", "25m" or "2h"') -- milliseconds
types.size = quantity(native.unit_size, 'a size such as "512B", "8KiB", "2MiB" or "5GiB"') -- bytes
types.rate = quantity(native.unit_rate, 'a rate such as "10/s", "100/m" or "5000/h"') -- per second

local bit_rates = { ["64k"] = true, ["80k"] = true, ["96k"] = true, ["112k"] = true, ["128k"] = true, ["160k"] = true, ["192k"] = true,
  ["224k"] = true, ["256k"] = true, ["320k"] = true }

-- Of an MP3, as the encoder takes it.
function types.quality(value)
  if type(value) == "string" and (value:match("^V%d$") or bit_rates[value]) then
    return value
  end
  return nil, 'a quality: "V0" (best) to "V9", or a constant bit rate such as "128k", "192k" or "320k"'
end

-- A table from strings to what `good` takes.
local function map(good, expected)
  return function(value)
    if type(value) ~= "table" then
      return nil, expected
    end
    for key, item in pairs(value) do
      if type(key) ~= "string" or not good(item) then
        return nil, expected, ("one with %s = %s"):format(tostring(key), check.shown(item))
      end
    end
    return value
  end
end

local function is_text(value)
  return type(value) == "string" or type(value) == "number"
end

local function is_line(value)
  return is_text(value) and not tostring(value):find("\0", 1, true)
end

local function is_header(value)
  if type(value) ~= "table" then
    return is_line(value)
  end
  for _, item in ipairs(value) do
    if not is_line(item) then
      return false
    end
  end
  return #value > 0
end

types.headers = map(is_header, "a table of headers, { name = string or list of strings }")
types.labels = map(is_text, "a table of labels, { name = string }")
types.conditions = map(function(value)
  return type(value) == "string" or types.null(value)
end, "a table of conditions, { key = string or tide.json.null }")

local function class(name)
  return function(value)
    local metatable = type(value) == "table" and getmetatable(value)
    if type(metatable) == "table" and rawget(metatable, "__name") == name then
      return value
    end
    return nil, "a " .. name
  end
end

local function union(names)
  local members, expected = {}, {}
  for name in names:gmatch("[^|]+") do
    members[#members + 1] = types[name]
    expected[#expected + 1] = select(2, types[name](nil))
  end
  expected = table.concat(expected, " or ")
  return function(value)
    for _, member in ipairs(members) do
      local used = member(value)
      if used ~= nil then
        return used
      end
    end
    return nil, expected
  end
end

-- "size|integer" and "tide.File" are made when they are first asked for.
check.types = setmetatable(types, {
  __index = function(_, name)
    local made = name:find("|", 1, true) and union(name) or name:find("%.%u") and class(name)
    types[name] = made or nil
    return made or nil
  end,
})

-- ---- what is wrong, in words ----

function check.shown(value)
  if type(value) == "string" then
    local text = ("%q"):format(#value > 40 and value:sub(1, 40) .. "..." or value):gsub("\\\n", "\\n")
    return text
  end
  local metatable = type(value) == "table" and getmetatable(value)
  return type(metatable) == "table" and rawget(metatable, "__name") and "a " .. metatable.__name
    or type(value) == "table" and "a table" or type(value) == "function" and "a function" or tostring(value)
end

local function called(field)
  return field.label or ("'%s'"):format(field.name)
end

local function wrong(where, field, expected, given)
  report.misuse(("%s: %s must be %s, not %s"):format(where, called(field), expected, given))
end

local function unknown(where, fields, key)
  local known = {}
  for _, field in ipairs(fields) do
    if type(field.name) == "string" then
      known[#known + 1] = field.name
    end
  end
  report.misuse(("%s: unknown option '%s'%s"):format(where, tostring(key), report.suggestion(key, known)),
    "  known options: " .. table.concat(known, ", "))
end

local function check_choice(where, field, value)
  local quoted = {}
  for i, choice in ipairs(field.choices) do
    if value == choice then
      return
    end
    quoted[i] = check.shown(choice)
  end
  wrong(where, field, "one of " .. table.concat(quoted, ", "), check.shown(value))
end

-- "between 1 and 9", "at least 1" or "at most 9".
function check.range(low, high)
  return low and high and ("between %s and %s"):format(low, high) or low and "at least " .. low or "at most " .. high
end

local function check_range(where, field, value, given)
  local measure, unit = value, ""
  if type(value) == "string" then
    measure, unit, given = #value, " bytes long", #value
  end
  local low, high = field.min, field.max
  if (low and measure < low) or (high and measure > high) then
    wrong(where, field, field.expected or check.range(low, high) .. unit, type(given) == "number" and given or check.shown(given))
  end
end

-- ---- checks ----

-- One value against one field {name, type, ...}; returns the value to use. Raises in the name of the script.
function check.value(where, field, value)
  if value == nil then
    if field.default ~= nil then
      return field.as_given and field.default or types[field.type](field.default)
    elseif field.optional then
      return nil
    end
    report.misuse(("%s: %s is missing"):format(where, called(field)), ("  it must be %s"):format(field.expected
      or select(2, types[field.type](nil)) or "given"))
  end
  if field.fields then
    return check.options(where .. ": " .. field.name, field.fields, value)
  end
  local used, expected, given = types[field.type](value)
  if used == nil then
    wrong(where, field, field.expected or expected, given or check.shown(value))
  elseif field.pattern and not used:match(field.pattern) then
    wrong(where, field, field.expected, check.shown(value))
  elseif field.choices then
    check_choice(where, field, used)
  elseif field.min or field.max then
    check_range(where, field, used, value)
  end
  return field.as_given and value or used
end

-- A table of options against its fields: unknown names, types, ranges, defaults. Returns a new table with values in base units
-- (milliseconds, bytes, per second).
function check.options(where, fields, options)
  local checked, known = {}, fields.known
  if not known then
    known = {}
    for _, field in ipairs(fields) do
      known[field.name] = true
    end
    fields.known = known
  end
  if options ~= nil and type(options) ~= "table" then
    report.misuse(("%s: the options must be a table, not %s"):format(where, check.shown(options)))
  end
  for key in pairs(options or {}) do
    if not known[key] then
      unknown(where, fields, key)
    end
  end
  for _, field in ipairs(fields) do
    checked[field.name] = check.value(where, field, options and options[field.name])
  end
  return checked
end

-- A table of tables with the same fields.
function check.each(where, field, value)
  local checked = {}
  for key, item in pairs(check.value(where, field, value)) do
    checked[key] = check.options(("%s: %s"):format(where, tostring(key)), field.each, item)
  end
  return checked
end

-- A positional argument: a value, or a table of options (which needs no name in messages), or either when it has type and fields.
function check.argument(where, param, value)
  if param.fields then
    return param.type and types[param.type](value) or check.options(where, param.fields, value)
  elseif param.each then
    return check.each(where, param, value)
  end
  return check.value(where, param, value)
end

local function field_named(where, fields, name)
  for _, field in ipairs(fields) do
    if field.name == name then
      return field
    end
  end
  unknown(where, fields, name)
end

local function written_options(where, fields, options)
  for name, value in pairs(options) do
    local field = field_named(where, fields, name)
    if value.whole then
      check.value(where, field, value.value)
    elseif value.fields and field.fields then
      written_options(where .. ": " .. field.name, field.fields, value.fields)
    end
  end
end

-- An argument as far as the script has written it out (script/lua/arguments.lua): raises what the call would.
function check.written(where, param, argument)
  if argument.whole then
    check.argument(where, param, argument.value)
  elseif argument.fields and param.fields then
    written_options(where, param.fields, argument.fields)
  end
end

return check
