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

-- What the bundle logged, as "event" or "event run", in order.
local function told(name)
  local list = {}
  for _, line in ipairs(tide.spec.logged()) do
    if line.bundle == name and line.handler then
      list[#list + 1] = line.event
    end
  end
  return list
end

describe("tide.spec.clock", function()
  local clock = tide.spec.clock

  it("runs timers that are due, each at its moment", function()
    local app = tide.spec.bundle("timers", { source = [[
      local from = tide.now()
      local function tell(what)
        return function() tide.log.info(("%s %d"):format(what, math.floor((tide.now() - from) / 60 + 0.5))) end
      end
      tide.every("2m", tell "even")
      tide.every("3m", tell "third")
      tide.route("GET /", function() return "" end)
    ]] })
    clock:advance "119s"
    assert.same({}, told "timers")
    clock:advance "1s"
    assert.same({ "even 2" }, told "timers")
    clock:advance "3m":advance "10s"
    assert.same({ "even 2", "third 3", "even 4" }, told "timers")
    app:close()
    clock:advance "1h"
    assert.equal(3, #told "timers")
  end)

  it("wakes those that sleep, in order, and waits for the work between", function()
    local app = tide.spec.bundle("sleepers", { source = [[
      tide.route("GET /{pause}", { timeout = "2h" }, function(req)
        tide.log.info("in " .. req.params.pause)
        for i = 1, 2 do
          tide.sleep(req.params.pause)
          assert(tide.sql.query "SELECT 1")
          tide.log.info(req.params.pause .. " " .. i)
        end
        return ""
      end)
    ]] })
    local from = tide.now()
    tide.spec.together(function() app:get "/20m" end, function() app:get "/30m" end, function()
      tide.spec.eventually(function() return #told "sleepers" == 2 end)
      clock:advance "59m"
      assert.same({ "20m 1", "30m 1", "20m 2" }, { unpack(told "sleepers", 3) })
      clock:advance "1m"
    end)
    assert.equal("30m 2", told "sleepers"[6])
    assert.is_true(tide.now() - from >= 3600)
  end)

  it("reaches through a request from bundle to bundle", function()
    local slow = tide.spec.bundle("slow", { source = 'tide.route("GET /", function() tide.sleep "20s" return "at last" end)' })
    local front = tide.spec.bundle("front", { settings = { url = slow.url }, source = [[
      local slow = tide.upstream(tide.config { url = { "string" } }.url)
      tide.every("10s", function() tide.log.info(assert(slow:get "/").body) end)
    ]] })
    clock:advance "29s"
    assert.same({}, told "front")
    clock:advance "1s"
    assert.same({ "at last" }, told "front")
    front:close()
  end)

  it("ends a handler at its timeout", function()
    local app = tide.spec.bundle("late", { source = 'tide.route("GET /", { timeout = "5m" }, function() tide.log.info "in" tide.sleep "1h" end)' })
    local status
    tide.spec.together(function() status = app:get("/").status end, function()
      tide.spec.eventually(function() return #told "late" == 1 end)
      clock:advance "4m"
      assert.is_nil(status)
      clock:advance "1m"
    end)
    assert.equal(504, status)
  end)

  it("makes a message due that is to be tried again #embedded", function()
    local app = tide.spec.bundle("again", { source = [[
      local seen = 0
      tide.queue("again", { text = "string" }):consume({ backoff = "10m", attempts = 3 }, function()
        seen = seen + 1
        tide.log.info("seen " .. seen)
        return seen > 1 or tide.retry()
      end)
    ]] })
    assert.equal("delayed", app:deliver("again", { text = "x" }))
    clock:advance "15m"
    tide.spec.eventually(function() return #told "again" == 2 end)
  end)

  it("moves the time of day alone in a jump", function()
    local app = tide.spec.bundle("jumped", { source = 'tide.every("1s", function() tide.log.info "run" end)' })
    local from = tide.now()
    clock:jump "1h"
    assert.is_true(tide.now() - from >= 3600)
    assert.same({}, told "jumped")
    app:close()
  end)

  it("names a wrong argument", function()
    local good, why = pcall(clock.advance, clock, 5)
    assert.is_false(good)
    assert.matches("tide.Clock:advance: 'duration' must be a duration", why, 1, true)
  end)
end)
