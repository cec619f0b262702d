-- local uploads = tide.metrics.counter("uploads_total", "Videos taken."); uploads:add(1, { kind = "mp4" })
local native, load = ...

local metrics = {}

local function declare(type, verb)
  local Metric = {}
  Metric[verb] = function(self, value, labels)
    native.metric(type, self.name, labels, self.help, value)
  end
  metrics[type] = function(name, help)
    return setmetatable({ name = name, help = help }, Metric)
  end
  return Metric
end

load("api").define("metrics", {
  ["tide.Counter"] = declare("counter", "add"),
  ["tide.Gauge"] = declare("gauge", "set"),
  ["tide.Histogram"] = declare("histogram", "observe"),
  ["tide.metrics"] = metrics,
})
