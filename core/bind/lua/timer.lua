-- tide.every("1h", function() ... end): runs in one worker of the engine.
local native, load = ...

local check, api = load "check", load "api.core"
local debug = load("sandbox").debug
local timer = { handlers = {} }

function timer.every(interval, options, handler)
  if handler == nil then
    options, handler = nil, options
  end
  local ms = check.value("tide.every", { name = "interval", type = "duration" }, interval)
  local o = check.options("tide.every", api.every, options)
  check.value("tide.every", { name = "handler", type = "function" }, handler)
  local where = debug.getinfo(handler, "S")
  local index = native.declare_timer(interval, math.max(ms, 1), o.timeout, where.source:gsub("^@", ""), where.linedefined)
  timer.handlers[index] = handler
end

function timer.run(index)
  timer.handlers[index]()
end

return timer
