local NAME = { name = "name", type = "string", pattern = "^[a-z_][a-z0-9_]*$", max = 63, expected = "a name of a-z, 0-9 and '_', at most 63 bytes",
  doc = "a-z, 0-9, `_`; by Prometheus' conventions" }
local HELP = { name = "help", type = "string", doc = "one sentence" }
local LABELS = { name = "labels", type = "labels", optional = true, doc = "each set of values is a series: never a user's or a file's name" }

local function declare(kind, class, doc)
  return { name = "tide.metrics." .. kind, doc = doc, params = { NAME, HELP }, returns = { { name = kind, type = class } } }
end

return {
  title = "Metrics",
  text = "Served at `/metrics` of the admin listener in Prometheus' format, summed over all workers.",
  declare("counter", "tide.Counter", "A figure that only grows."),
  declare("gauge", "tide.Gauge", "A figure that goes up and down."),
  declare("histogram", "tide.Histogram", "The distribution of durations in seconds."),
  { name = "tide.Counter", doc = "A counter.", fields = { { name = "name", type = "string" }, { name = "help", type = "string" } } },
  {
    name = "tide.Counter:add",
    doc = "Adds to it.",
    params = { { name = "value", type = "number", default = 1, min = 0, doc = "not negative" }, LABELS },
    example = [[
local orders = tide.metrics.counter("shop_orders_total", "Orders taken.")
orders:add(1, { country = "nl" })]],
  },
  { name = "tide.Gauge", doc = "A gauge.", fields = { { name = "name", type = "string" }, { name = "help", type = "string" } } },
  { name = "tide.Gauge:set", doc = "Sets it.", params = { { name = "value", type = "number" }, LABELS } },
  { name = "tide.Histogram", doc = "A histogram.", fields = { { name = "name", type = "string" }, { name = "help", type = "string" } } },
  { name = "tide.Histogram:observe", doc = "Counts one value.", params = { { name = "value", type = "number", doc = "seconds" }, LABELS } },
}
