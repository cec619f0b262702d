-- Waits until f returns something, and returns that.
local _, load = ...

local tide = load "tide"
local TRIES = 30000 -- a minute

return function(f)
  for _ = 1, TRIES do
    local value = f()
    if value then
      return value
    end
    tide.sleep "2ms"
  end
  error("what was waited for did not come within a minute", 2)
end
