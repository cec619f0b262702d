-- Waits until f returns something, and returns that. `why` tells what it still waits for.
local native = ...

local WITHIN = 60 -- seconds

return function(f, why)
  local deadline, pause = os.time() + WITHIN, 0 -- what f itself takes counts; in real time
  repeat
    local value = f()
    if value then
      return value
    end
    native.spec_pause(pause)
    pause = 2 -- ms
  until os.time() > deadline
  error("what was waited for did not come within a minute" .. (why and ": " .. why() or ""), 2)
end
