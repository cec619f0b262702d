-- tide.log.info("upload stored", { bytes = 12 })
local native, load = ...

local check = load "check"
local cjson = native.cjson
local log = {}

for level, name in pairs { [0] = "debug", "info", "warn", "error" } do
  log[name] = function(event, fields)
    check.value("tide.log." .. name, { name = "event", type = "string" }, event)
    check.value("tide.log." .. name, { name = "fields", type = "table", optional = true }, fields)
    native.log(level, event, fields and (cjson.encode(fields) or nil))
  end
end

return log
