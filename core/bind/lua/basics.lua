-- Time, ids, failures: what needs no service.
local native, load = ...

local Failure = load "failure"
local id = { new = native.id_new, derive = native.id_derive }
local tide = { sleep = native.sleep }

function tide.now()
  return native.now_ms() / 1000
end

-- Of failures that a script makes: their message is for clients too, where that of a primitive may tell of a backend.
local Own = {}
for key, value in pairs(Failure) do
  Own[key] = value
end
Own.__index = Own

function tide.failure(options)
  return setmetatable(options, Own)
end

load("api").define("basics", { tide = tide, ["tide.id"] = id })
