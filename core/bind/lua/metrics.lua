-- local uploads = tide.metrics.counter("uploads_total", "Videos taken."); uploads:add(1, { kind = "mp4" })
local native, load = ...

local report = load "report"
local metrics = {}

-- { name, value, ... } in the order of names, so that the same labels are the same series.
local function in_order(where, labels)
  local names, list = {}, {}
  for name in pairs(labels) do
    if not name:match "^[%a_][%w_]*$" then
      report.misuse(("%s: '%s' is no name of a label: letters, digits and '_'"):format(where, name))
    end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    list[#list + 1] = name
    list[#list + 1] = labels[name]
  end
  return list
end

local function declare(type, verb)
  local Metric = {}
  local where = ("tide.%s:%s"):format(type:gsub("^%l", string.upper), verb)
  Metric[verb] = function(self, value, labels)
    native.metric(type, self.name, labels and in_order(where, labels), self.help, value)
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
