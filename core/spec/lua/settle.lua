-- Waits until f returns something, and returns that.
local _, load = ...

local tide = load "tide"
local WITHIN = 60 -- seconds

return function(f)
  local deadline = os.time() + WITHIN                              -- what f itself takes counts, and tide.now can be moved
  repeat
    local value = f()
    if value then
      return value
    end
    tide.sleep "2ms"
  until os.time() > deadline
  error("what was waited for did not come within a minute", 2)
end
