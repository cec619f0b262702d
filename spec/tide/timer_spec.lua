-- tide.every, tide.sleep, tide.now.
describe("tide.every", function()
  local app = tide.spec.bundle("clock", { source = [[
    local runs = 0
    tide.every("1h", function()
      runs = runs + 1
      tide.log.info("begun", { run = runs })
      tide.sleep "20ms"
      tide.log.info("ended", { run = runs })
    end)
    tide.every("2h", { timeout = "30ms" }, function()
      tide.sleep "1m"
      tide.log.info "never"
    end)
    tide.every("3h", function() error "broken" end)
    tide.every("4h", function() return assert(nil, tide.failure { code = "busy", message = "not now", retryable = true }) end)
  ]] })

  local function failures(handler)
    local list = {}
    for _, line in ipairs(tide.spec.logged "handler failed") do
      if line.handler == handler then
        list[#list + 1] = line
      end
    end
    return list
  end

  it("runs again and again, what it raises is logged", function()
    app:tick()
    app:tick()
    assert.same({ 2, 2 }, { #tide.spec.logged "begun", #tide.spec.logged "ended" })
    assert.same({ 2, "error" }, { #failures "every 3h", failures("every 3h")[1].level })
    assert.matches("init.lua:12: broken", failures("every 3h")[1].message)
    assert.same({ "busy", "not now", "warn" }, { failures("every 4h")[1].code, failures("every 4h")[1].message, failures("every 4h")[1].level })
  end)

  it("does not run twice at a time", function()
    local before = #tide.spec.logged "begun"
    tide.spec.together(function() app:tick() end, function() app:tick() end)
    assert.equal(before + 1, #tide.spec.logged "begun")
  end)

  it("ends a run at its timeout", function()
    app:tick()
    local ended = tide.spec.logged "timer ended"
    assert.same({ "every 2h", "timeout" }, { ended[1].handler, ended[1].code })
    assert.same({}, tide.spec.logged "never")
  end)

  it("is no more when its bundle is closed, nor is a run of it", function()
    local brief = tide.spec.bundle("brief", { source = [[
      tide.every("1h", function() tide.log.info "in" tide.sleep "1m" tide.log.info "out" end)
      tide.route("GET /", function() return "" end)
    ]] })
    tide.spec.together(function() pcall(brief.tick, brief) end, function()
      tide.spec.eventually(function() return #tide.spec.logged "in" == 1 end)
      brief:close()
    end)
    assert.same({}, tide.spec.logged "out")
  end)
end)

describe("tide.sleep", function()
  it("waits no shorter than it is told to, and lets others go on", function()
    local order = {}
    local from = tide.now()
    tide.spec.together(
      function() tide.sleep "40ms" table.insert(order, "long") end,
      function() tide.sleep "10ms" table.insert(order, "short") end,
      function() tide.sleep "0s" table.insert(order, "none") end)
    assert.is_true(tide.now() - from >= 0.035)
    assert.same({ "none", "short", "long" }, order)
  end)

  it("names a wrong argument, and who gave it", function()
    local function problem(f)
      local good, why = pcall(f)
      assert.is_false(good)
      return why
    end
    assert.matches("timer_spec.lua:%d+: tide.sleep: 'duration' must be a duration such as", problem(function() tide.sleep(5) end))
    assert.matches('not "5 moons"', problem(function() tide.sleep "5 moons" end))
    assert.matches("tide.sleep waits, which is not possible inside string.gsub", problem(function()
      return (("x"):gsub("x", function() tide.sleep "1ms" end))
    end))
  end)

  it("waits in coroutines of the script's own too", function()
    local step = coroutine.wrap(function()
      tide.sleep "1ms"
      coroutine.yield "a"
      tide.sleep "1ms"
      return "b"
    end)
    assert.same({ "a", "b" }, { step(), step() })
  end)
end)
