-- Puts what the modules implement behind its description (api/*.lua): arguments are checked and completed before a function sees
-- them, what declares is refused in handlers, and what is not described, or described and not there, fails every start.
local _, load = ...

local check, report, loader, inspect = load "check", load "report", load "loader", load "inspect"

local api = { tide = {} }

local function each_checked(where, field, ...)
  for i = 1, select("#", ...) do
    check.value(where, field, (select(i, ...)))
  end
  return ...
end

-- f with its arguments checked. Written out for up to four, since this runs on every call of a primitive.
local function checked(where, params, f)
  local argument = check.argument
  local a, b, c, d = params[1], params[2], params[3], params[4]
  return function(x, y, z, w)
    return f(a and argument(where, a, x), b and argument(where, b, y), c and argument(where, c, z), d and argument(where, d, w))
  end
end

-- The same for functions that take any number of further arguments.
local function checked_variadic(where, params, rest, f)
  local function from(i, ...)
    if i > #params then
      return each_checked(where, rest, ...)
    end
    return check.argument(where, params[i], (...)), from(i + 1, select(2, ...))
  end
  return function(...)
    return f(from(1, ...))
  end
end

-- tide.route(spec, handler): the options before a handler may be left out.
local function shifted(f)
  return function(x, y, z)
    if z == nil and type(y) == "function" then
      y, z = nil, y
    end
    return f(x, y, z)
  end
end

-- What gives nothing back needn't end the load when it is wrong: what comes after it is told with it.
local function declaring(where, gives, f)
  return function(...)
    if not loader.loading then
      report.misuse(where .. ": declares, so it stands at the top of a file and not in a handler")
    end
    inspect.handlers[#inspect.handlers + 1] = { ... }
    if gives then
      return f(...)
    end
    local good, failure = xpcall(f, report.locate, ...)
    if not good then
      loader.note(failure, "call")
    end
  end
end

-- Checks what is written out of a call, before it runs. `further`: of the function's own module.
local function examined(where, params, further)
  return function(arguments, count)
    for i, param in ipairs(params) do
      if arguments[i] then
        check.written(where, param, arguments[i])
      elseif count and i > count then
        check.argument(where, param, nil)
      end
    end
    if further then
      further(arguments)
    end
  end
end

local function wrapped(entry, class, f, further)
  local params = {}
  if class then
    params[1] = { label = "its object", type = class, expected = ("a %s (is it called with a colon, object:%s?)"):format(class,
      entry.name:match("[^:]+$")) }
  end
  for _, param in ipairs(entry.params or {}) do
    params[#params + 1] = param
  end
  f = entry.variadic and checked_variadic(entry.name, params, entry.variadic, f) or checked(entry.name, params, f)
  if params[3] and params[3].type == "function" and params[2].fields then
    f = shifted(f)
  end
  if entry.declares then -- it runs while the bundle loads
    return declaring(entry.name, entry.returns, f)
  end
  inspect.calls[f] = examined(entry.name, params, further)
  return f
end

-- Reading what `home` doesn't have is a typing mistake; fields of an object that may be nil are known from the description.
-- `hint`: what else there is, of a class.
local function strict(home, where, fields, hint)
  local known, names = {}, {}
  for _, field in ipairs(fields or {}) do
    known[field.name] = true
    names[#names + 1] = field.name
  end
  for key in pairs(home) do
    names[#names + 1] = key
  end
  setmetatable(home, {
    __index = function(_, key)
      if type(key) == "string" and key:sub(1, 2) ~= "__" and not known[key] then
        report.misuse(("%s has no '%s'%s"):format(where, key, report.suggestion(key, names)), hint)
      end
    end,
  })
end
api.strict = strict

local function place_class(entry, class)
  class.__name = entry.name
  class.__index = class.__index or class
  if not entry.open then
    strict(class, "a " .. entry.name, entry.fields, entry.hint)
  end
end

local function place(entry, containers, further)
  local container, mark, key = entry.name:match("^(.-)([.:])([%l_]+)$")
  if not container then
    if not entry.plain then
      place_class(entry, assert(containers[entry.name], entry.name .. " is described but not there"))
    end
    return
  end
  local home = containers[container]
  if not home or rawget(home, key) == nil then
    error(entry.name .. " is described but not there")
  elseif not entry.type then
    home[key] = wrapped(entry, mark == ":" and container, home[key], further[entry.name])
  end
end

local function refuse_undescribed(description, file, containers)
  local described = {}
  for _, entry in ipairs(description) do
    described[entry.name:gsub(":", ".")] = true
  end
  for name, container in pairs(containers) do
    for key in pairs(container) do
      if key:sub(1, 2) ~= "__" and not described[name .. "." .. key] then
        error(("%s.%s is not described in %s"):format(name, key, file))
      end
    end
  end
end

-- `containers`: { tide = { name = function }, ["tide.sql"] = a table of functions, ["tide.File"] = a class }. The functions are
-- replaced in place by those that check. `file`: where the description is. `further`: { ["tide.template"] = function }, checks of
-- calls before they run, beside those that follow from the description (script/lua/inspect.lua).
function api.describe(description, file, containers, further)
  refuse_undescribed(description, file, containers)
  for _, entry in ipairs(description) do
    place(entry, containers, further or {})
  end
end

-- A part of `tide`. The prose is forgotten, since only the reference wants it.
function api.define(module, containers, further)
  local description = load("api." .. module)
  api.describe(description, ("api/%s.lua"):format(module), containers, further)
  for name, container in pairs(containers) do
    local namespace = name:match("^tide%.(%l+)$")
    if namespace then
      strict(container, name)
      inspect.parts[container] = true
      api.tide[namespace] = container
    elseif name == "tide" then
      for key, value in pairs(container) do
        api.tide[key] = value
      end
    end
  end
  for key in pairs(description) do
    description[key] = nil
  end
end

return api
