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

-- code, message, retryable, is it a bug of the script (not a failure that it passed on)
function entry.failure(value)
  if type(value) == "table" and type(value.code) == "string" then
    return value.code, tostring(value.message or value.code), value.retryable == true, false
  end
  return "internal", tostring(value), true, getmetatable(value) ~= Failure
end

return entry
