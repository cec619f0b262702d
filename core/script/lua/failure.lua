-- The metatable of runtime failures: what a primitive returns as its second value, and what tide.fail makes.
local Failure = {}
Failure.__index, Failure.__name = Failure, "tide.Failure"

function Failure:__tostring()
  return self.code .. ": " .. self.message
end

return Failure
