-- Time, ids, failures: what needs no service.
local native, load = ...

local Failure = load "failure"
local id = { new = native.id_new, derive = native.id_derive }
local tide = { sleep = native.sleep }

function tide.now()
  return native.now_ms() / 1000
end

function tide.failure(options)
  return setmetatable(options, Failure)
end

load("api").define("basics", { tide = tide, ["tide.id"] = id })
