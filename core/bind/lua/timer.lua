-- tide.every("1h", function() ... end): runs in one worker of the engine.
local native, load = ...

local check = load "check"
local debug = load("sandbox").debug
local timer = { handlers = {} }

local function every(interval, options, handler)
  local where = debug.getinfo(handler, "S")
  local index = native.declare_timer(interval, check.types.duration(interval), options.timeout, options.cpu,
    where.source:gsub("^@", ""), where.linedefined)
  timer.handlers[index] = handler
end

function timer.run(index)
  local report = load "report"
  report.result(report.enter(timer.handlers[index]))
end

load("api").define("timer", { tide = { every = every } })

return timer
