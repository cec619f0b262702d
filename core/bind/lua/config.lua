-- tide.config{ quality = { "string", default = "V2", doc = "..." } }: declares the bundle's settings and returns their values.
local native, load = ...

local api, check, report, inspect = load "api", load "check", load "report", load "inspect"
local cjson = native.cjson

-- Checked here, handed on in words: that is how the rest of tide takes them.
local quantities = { duration = true, size = true, rate = true }

-- Where the setting is given, or could be.
local function place(name)
  local variable = ("TIDEMILL_%s_%s"):format(native.bundle, name):upper():gsub("%-", "_")
  return ("%s or environment: bundles.%s.%s (%s)"):format(native.settings_path or "settings", native.bundle, name, variable)
end

-- The secret; or nil and what is wrong.
local function secret(name, declared, given)
  if given == nil and declared.generate then
    given = native.secret(name)
  elseif given == nil and declared.optional then
    return nil
  end
  if type(given) ~= "string" or #given < declared.min then
    return nil, ("%s: a secret of at least %d bytes is needed%s; best in a file that the variable with _FILE behind it names"):format(
      place(name), declared.min, given == nil and "" or ", this one is shorter")
  end
  return given
end

local function check_default(name, declared)
  local value, expected = check.types[declared[1]](declared.default)
  if value == nil and declared.default ~= nil then
    report.misuse(("tide.config: %s: 'default' must be %s, not %s"):format(name, expected, check.shown(declared.default)))
  end
end

-- The value; or nil and what is wrong.
local function convert(name, declared, given)
  if declared[1] == "secret" then
    return secret(name, declared, given)
  end
  check_default(name, declared)
  if given == nil then
    given = declared.default
  end
  if given == nil and declared.optional then
    return nil
  end
  if type(given) == "string" and (declared[1] == "integer" or declared[1] == "number") then
    given = tonumber(given) or given
  elseif declared[1] == "boolean" and (given == "true" or given == "false") then
    given = given == "true"
  end
  local value, expected = check.types[declared[1]](given)
  if value == nil then
    return nil, ("%s: must be %s, not %s"):format(place(name), expected, given == nil and "missing" or tostring(given))
  end
  return quantities[declared[1]] and given or value
end

local function names_of(map)
  local names = {}
  for name in pairs(map) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function unknown(name, known)
  return ("%s: unknown setting '%s'%s\n  known settings: %s"):format(place(name), name, report.suggestion(name, known),
    known[1] and table.concat(known, ", ") or "none, the bundle declares none with tide.config")
end

-- Reading a setting that is not declared is a mistake, not nil.
local function strict(values, known)
  local fields = {}
  for i, name in ipairs(known) do
    fields[i] = { name = name }
  end
  api.strict(values, "tide.config", fields, "  declared are: " .. (known[1] and table.concat(known, ", ") or "none"))
  inspect.parts[values] = true
  return values
end

local was_called = false

local function config(declarations)
  was_called = true
  local given = cjson.decode(native.settings_json) or {}
  local values, known, problems = {}, names_of(declarations), {}
  for _, name in ipairs(known) do
    local value, problem = convert(name, declarations[name], given[name])
    values[name], problems[#problems + 1] = value, problem
  end
  for _, name in ipairs(names_of(given)) do
    problems[#problems + 1] = not declarations[name] and unknown(name, known) or nil
  end
  if problems[1] then
    error(table.concat(problems, "\n"), 0)
  end
  return strict(values, known)
end

-- At the end of a load: a bundle that declares no settings has none.
load("loader").at_end(function()
  if not was_called then
    config {}
  end
end)

api.define("config", { tide = { config = config } })
