-- local uploads = tide.metrics.counter("uploads_total", "Videos taken."); uploads:add(1, { kind = "mp4" })
local native, load = ...

local check, report = load "check", load "report"
local metrics = {}

local function declare(type)
  local Metric = {}
  Metric.__index = Metric
  local function update(self, value, labels)
    native.metric(type, self.name, labels, self.help, value == nil and 1 or value)
  end
  Metric[({ counter = "add", gauge = "set", histogram = "observe" })[type]] = update
  return function(name, help)
    check.value("tide.metrics." .. type, { name = "name", type = "string" }, name)
    check.value("tide.metrics." .. type, { name = "help", type = "string" }, help)
    if not name:match("^[a-z_][a-z0-9_]*$") then
      report.misuse(("tide.metrics.%s: '%s' is no name of a metric: a-z, 0-9 and '_'"):format(type, name))
    end
    return setmetatable({ name = name, help = help }, Metric)
  end
end

metrics.counter, metrics.gauge, metrics.histogram = declare "counter", declare "gauge", declare "histogram"

return metrics
