-- tide.log and tide.metrics: what operators see of a bundle.
describe("tide.log", function()
  local app = tide.spec.bundle("talker", { source = [[
    local log = tide.log
    tide.route("GET /levels", function()
      log.debug "low"
      log.info("plain", { text = "a\nb\"c", n = 1, list = tide.json.array {} })
      log.warn("odd", { f = log.warn })
      log.error "bad"
      return ""
    end)
    tide.route("GET /wrong", function(req) log.info(req.query.none or 5) end)
    tide.every("1h", function() log.info "tick" end)
  ]] })

  it("writes an event as one line, with its bundle and handler", function()
    app:get "/levels"
    local line = tide.spec.logged("plain")[1]
    assert.same({ "info", "talker", "GET /levels" }, { line.level, line.bundle, line.handler })
    assert.same({ text = "a\nb\"c", n = 1, list = {} }, line.fields)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", line.time)
    assert.same({ "debug", "warn", "error" },
      { tide.spec.logged("low")[1].level, tide.spec.logged("odd")[1].level, tide.spec.logged("bad")[1].level })
    app:tick()
    assert.equal("every 1h", tide.spec.logged("tick")[1].handler)
  end)

  it("does not fail on fields that can't be written", function()
    assert.equal(200, app:get("/levels").status)
    assert.matches("function", tide.spec.logged("odd")[1].fields.unwritable)
  end)

  it("names a wrong argument", function()
    assert.equal(500, app:get("/wrong").status)
    assert.matches("init.lua:9: tide.log.info: 'event' must be a string, not 5", tide.spec.logged("handler failed")[1].message)
  end)

  it("never shows credentials", function()
    app:get("/levels?password=hunter2", { user = { "ann", "hunter2" }, headers = { cookie = "hunter2" } })
    app:get("/nowhere?token=hunter2", { token = "hunter2" })
    tide.spec.eventually(function()
      local list = tide.spec.logged "request"
      return list[#list].status == 404
    end)
    for _, line in ipairs(tide.spec.logged()) do
      assert.is_nil(tide.json.encode(line):find("hunter2", 1, true))
    end
  end)
end)

describe("tide.metrics", function()
  local value = tide.spec.metrics

  it("counts, by labels", function()
    local orders = tide.metrics.counter("orders_total", "Orders taken.")
    orders:add()
    orders:add(2.5)
    orders:add(1, { kind = 'a"b\\c\nd', size = 5 })
    assert.equal(3.5, value "orders_total")
    assert.equal(1, value 'orders_total{kind="a\\"b\\\\c\\nd",size="5"}')
    assert.truthy(value():find("# HELP orders_total Orders taken.\n# TYPE orders_total counter\n", 1, true))
  end)

  it("sets", function()
    local depth = tide.metrics.gauge("depth", "Now.")
    depth:set(5)
    depth:set(-2)
    assert.equal(-2, value "depth")
  end)

  it("observes", function()
    local sizes = tide.metrics.histogram("sizes", "Seconds.")
    for _, size in ipairs { 0.001, 0.2, 1000 } do
      sizes:observe(size)
    end
    assert.equal(3, value "sizes_count")
    assert.near(1000.201, value "sizes_sum", 0.0001)
    assert.equal(3, value 'sizes_bucket{le="+Inf"}')
    assert.equal(1, value 'sizes_bucket{le="0.1"}')
  end)

  it("takes the same labels as the same series, in whatever order they come", function()
    local names = {}
    for letter in ("abcdefgh"):gmatch "." do
      names[#names + 1] = letter
    end
    local there, back = {}, {}
    for i = 1, #names do
      there[names[i]], back[names[#names + 1 - i]] = "x", "x"
    end
    local metric = tide.metrics.counter("ordered_total", "x")
    metric:add(1, there)
    metric:add(1, back)
    assert.equal(2, value 'ordered_total{a="x",b="x",c="x",d="x",e="x",f="x",g="x",h="x"}')
  end)

  it("refuses what Prometheus would not take, and says who wanted it", function()
    local function problem(f)
      local good, why = pcall(f)
      assert.is_false(good)
      return why
    end
    local orders = tide.metrics.counter("orders_total", "Orders taken.")
    assert.matches("log_spec.lua:%d+: tide.metrics.counter: 'name' must be a name of a%-z, 0%-9 and '_'",
      problem(function() return (tide.metrics.counter("Orders-total", "x")) end))
    assert.matches("log_spec.lua:%d+: tide.Counter:add: 'value' must be at least 0, not %-1", problem(function() orders:add(-1) end))
    assert.matches("log_spec.lua:%d+: tide.Counter:add: 'labels' must be a table of labels", problem(function() orders:add(1, { a = {} }) end))
    assert.matches("log_spec.lua:%d+: tide.Counter:add: 'a b' is no name of a label", problem(function() orders:add(1, { ["a b"] = 1 }) end))
    assert.equal(3.5, value "orders_total")
  end)

  it("drops and counts what there is no room for, and a name that is something else already", function()
    local dropped = value "tidemill_metrics_dropped_total" or 0
    tide.metrics.gauge("orders_total", "x"):set(50)
    assert.equal(3.5, value "orders_total")
    assert.equal(dropped + 1, value "tidemill_metrics_dropped_total")
    local many = tide.metrics.counter("many", "x")
    for i = 1, 5000 do
      many:add(1, { i = i })
    end
    assert.is_true(value "tidemill_metrics_dropped_total" > dropped + 900)
  end)
end)
