-- What the engine calls: one function for each kind of event.
local native, load = ...

local report, Failure = load "report", load "failure"

if native.settings_json ~= "{}" then
  load "config" -- which looks whether the bundle knows these
end

local entry = {}

-- A module is there when something was declared with it.
local function of(module, name)
  local f
  return function(...)
    f = f or load(module)[name]
    return f(...)
  end
end

entry.request = of("route", "run")
entry.message = of("queue", "deliver")
entry.dead = of("queue", "bury")
entry.timer = of("timer", "run")

-- The result as JSON; or nil, a message and a code.
function entry.call(module, name, args)
  local f = load("loader").require(module)[name]
  local result, err = report.enter(f, unpack(native.cjson.decode(args)))
  if result == nil and err ~= nil then
    if type(err) ~= "table" then
      err = { code = "invalid", message = tostring(err) }
    end
    return nil, err.message, err.code
  end
  local text, why = load("json").encode(result == nil and true or result)
  if not text then
    return nil, ("%s.%s: what it returned can't be told as JSON: %s"):format(module, name, why.message), "invalid"
  end
  return text
end

-- code, message, retryable, is it a bug of the script (not a failure that it passed on), is it a primitive's failure, and where
-- the script raised it (of a bug the message tells)
function entry.failure(value, thread)
  if type(value) == "table" and type(value.code) == "string" then
    return value.code, tostring(value.message or value.code), value.retryable == true, false, getmetatable(value) == Failure,
      report.place(thread)
  end
  return "internal", report.raised(value, thread), true, getmetatable(value) ~= Failure, false
end

return entry
