-- tide.spec.clock: the time of the bundles under test. It passes as ever, and the spec can move it on.
local native, load = ...

local settle = load "settle"
local Clock = {}

local function rest()
  settle(function() return not native.spec_busy() end, function() return "the clock stands still for " .. (native.spec_busy() or "nothing") end)
end

-- Runs what becomes due on the way, each at its moment and until all wait for the clock again.
function Clock:advance(duration)
  local left = duration
  repeat
    rest()
    left = left - native.spec_step(left)
  until left <= 0
  rest()
  return self
end

-- Moves the time of day on alone, as when a machine has slept: for what waits for its age or an expiry.
function Clock:jump(duration)
  native.spec_jump(duration)
  return self
end

return { class = Clock, new = function() return setmetatable({}, Clock) end }
