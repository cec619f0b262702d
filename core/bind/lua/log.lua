-- tide.log.info("upload stored", { bytes = 12 })
local native, load = ...

local json = load "json"
local log = {}

for level, name in pairs { [0] = "debug", "info", "warn", "error" } do
  log[name] = function(event, fields)
    local text, err = json.encode(fields or {})
    native.log(level, event, fields and (text or json.encode { unwritable = err.message })) -- a log line is no reason to fail
  end
end

load("api").define("log", { ["tide.log"] = log })
