-- What the engine calls: one function for each kind of event.
local native, load = ...

local route, respond, queue, timer = load "route", load "respond", load "queue", load "timer"
local Failure = load "failure"
local entry = {}

function entry.request(index, handle, ...)
  respond.send(handle, route.handlers[index](route.request(handle, ...)))
end

entry.message = queue.deliver
entry.dead = queue.bury
entry.timer = timer.run

-- The result as JSON; or nil, a message and a code.
function entry.call(module, name, args)
  local f = load("loader").require(module)[name]
  local result, err = f(unpack(native.cjson.decode(args)))
  if result == nil and err ~= nil then
    if type(err) ~= "table" then
      err = { code = "invalid", message = tostring(err) }
    end
    return nil, err.message, err.code
  end
  return (native.cjson.encode(result == nil and true or result))
end

-- code, message, retryable, is it a bug of the script (not a failure that it passed on)
function entry.failure(value)
  if type(value) == "table" and type(value.code) == "string" then
    return value.code, tostring(value.message or value.code), value.retryable == true, false
  end
  return "internal", tostring(value), true, getmetatable(value) ~= Failure
end

return entry
