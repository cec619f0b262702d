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

local function wrong(field, expected, given)
  return ("%s must be %s, not %s"):format(called(field), expected, given)
end

local function wrong_choice(field, value)
  local quoted = {}
  for i, choice in ipairs(field.choices) do
    if value == choice then
      return nil
    end
    quoted[i] = check.shown(choice)
  end
  return wrong(field, "one of " .. table.concat(quoted, ", "), check.shown(value))
end

-- "between 1 and 9", "at least 1" or "at most 9".
function check.range(low, high)
  return low and high and ("between %s and %s"):format(low, high) or low and "at least " .. low or "at most " .. high
end

local function out_of_range(field, value, given)
  local measure, unit = value, ""
  if type(value) == "string" then
    measure, unit, given = #value, " bytes long", #value
  end
  local low, high = field.min, field.max
  if (low and measure < low) or (high and measure > high) then
    return wrong(field, field.expected or check.range(low, high) .. unit, type(given) == "number" and given or check.shown(given))
  end
end

-- ---- all that is wrong: nil, or a list of { message = "unknown option 'x'", hint = "  known options: y" } ----

local function add(problems, more)
  if not problems then
    return more
  end
  for _, problem in ipairs(more or {}) do
    problems[#problems + 1] = problem
  end
  return problems
end

local function within(name, problems)
  for _, problem in ipairs(problems or {}) do
    problem.message = ("%s: %s"):format(name, problem.message)
  end
  return problems
end

local function sorted(problems)
  table.sort(problems, function(x, y) return x.message < y.message end)
  return problems
end

-- Returns `used`, or raises what is wrong with it in the name of the script.
local function accept(where, used, problems)
  if not problems then
    return used
  end
  local more = { problems[1].hint }
  for i = 2, #problems do
    more[#more + 1] = "  also: " .. problems[i].message
    if problems[i].hint ~= problems[i - 1].hint then
      more[#more + 1] = problems[i].hint
    end
  end
  report.misuse(("%s: %s"):format(where, problems[1].message), more[1] and table.concat(more, "\n"))
end

local function by_name(fields)
  local known = fields.known
  if not known then
    known = {}
    for _, field in ipairs(fields) do
      known[field.name] = field
    end
    fields.known = known
  end
  return known
end

local function unknown(fields, key)
  local names = {}
  for _, field in ipairs(fields) do
    if type(field.name) == "string" then
      names[#names + 1] = field.name
    end
  end
  return { message = ("unknown option '%s'%s"):format(tostring(key), report.suggestion(key, names)),
    hint = "  known options: " .. table.concat(names, ", ") }
end

local function all_unknown(fields, options)
  local known, problems = by_name(fields), nil
  for key in pairs(options) do
    if not known[key] then
      problems = add(problems, { unknown(fields, key) })
    end
  end
  return problems and sorted(problems)
end

-- ---- checks: what to use, and all that is wrong ----

local examine

local function examine_options(fields, options)
  if options ~= nil and type(options) ~= "table" then
    return nil, { { message = ("the options must be a table, not %s"):format(check.shown(options)) } }
  end
  local checked, problems = {}, options and all_unknown(fields, options)
  for _, field in ipairs(fields) do
    local used, more = examine(field, options and options[field.name])
    checked[field.name], problems = used, add(problems, more)
  end
  return checked, problems
end

local function examine_missing(field)
  if field.default ~= nil then
    return field.as_given and field.default or types[field.type](field.default)
  elseif not field.optional then
    return nil, { { message = called(field) .. " is missing",
      hint = "  it must be " .. (field.expected or select(2, types[field.type](nil)) or "given") } }
  end
end

-- One value against one field {name, type, ...}.
function examine(field, value)
  if value == nil then
    return examine_missing(field)
  elseif field.fields then
    local used, problems = examine_options(field.fields, value)
    return used, within(field.name, problems)
  end
  local used, expected, given = types[field.type](value)
  local problem
  if used == nil then
    problem = wrong(field, field.expected or expected, given or check.shown(value))
  elseif field.pattern and not used:match(field.pattern) then
    problem = wrong(field, field.expected, check.shown(value))
  elseif field.choices then
    problem = wrong_choice(field, used)
  elseif field.min or field.max then
    problem = out_of_range(field, used, value)
  end
  return field.as_given and value or used, problem and { { message = problem } }
end

-- ---- the same, raised in the name of the script ----

-- Returns the value to use.
function check.value(where, field, value)
  return (accept(where, examine(field, value)))
end

-- A table of options against its fields: unknown names, types, ranges, defaults. Returns a new table with values in base units
-- (milliseconds, bytes, per second).
function check.options(where, fields, options)
  return (accept(where, examine_options(fields, options)))
end

-- A table of tables with the same fields.
function check.each(where, field, value)
  local checked, problems = {}, nil
  for key, item in pairs(check.value(where, field, value)) do
    local used, more = examine_options(field.each, item)
    checked[key], problems = used, add(problems, within(tostring(key), more))
  end
  return (accept(where, checked, problems and sorted(problems)))
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

local function examine_written(fields, options)
  local problems = all_unknown(fields, options)
  for _, field in ipairs(fields) do
    local argument, more = options[field.name] or {}, nil
    if argument.whole then
      more = select(2, examine(field, argument.value))
    elseif argument.fields and field.fields then
      more = within(field.name, examine_written(field.fields, argument.fields))
    end
    problems = add(problems, more)
  end
  return problems
end

-- An argument as far as the script has written it out (script/lua/arguments.lua): raises what the call would.
function check.written(where, param, argument)
  if argument.whole then
    check.argument(where, param, argument.value)
  elseif argument.fields and param.fields then
    accept(where, nil, examine_written(param.fields, argument.fields))
  end
end

return check
