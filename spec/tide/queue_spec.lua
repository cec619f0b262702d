-- tide.queue: messages from publish to their end; tide.retry, tide.reject.
local function mistake(f)
  local ok, message = pcall(f)
  return not ok and message
end

-- A shop whose consumer tries three times, with this backoff.
local function shop(backoff, backoff_max)
  return tide.spec.bundle("shop", { source = [[
    local orders = tide.queue("orders", { item = "string", count = "integer?" })
    local done = tide.queue("done", { item = "string", attempt = "integer" })
    local dead = tide.queue("buried", { item = "string", code = "string", message = "string" })
    local handlers = {}

    function handlers.raise() error "the script is wrong" end
    function handlers.raise_failure() error(tide.failure { code = "sour", message = "too sour" }) end
    function handlers.raise_retryable() error(tide.failure { code = "closed", message = "not now", retryable = true }) end
    function handlers.give_failure() return nil, tide.failure { code = "sour", message = "too sour" } end
    function handlers.give_retryable() return nil, tide.failure { code = "closed", message = "not now", retryable = true } end
    function handlers.give_sentence() return nil, "the shop is closed" end
    function handlers.reject() return tide.reject "nobody wants it" end
    function handlers.reject_failure() return tide.reject(tide.failure { code = "sour", message = "too sour", retryable = true }) end
    function handlers.retry() return tide.retry() end
    function handlers.retry_failure() return tide.retry(tide.failure { code = "sour", message = "too sour" }) end
    function handlers.retry_later() return tide.retry { after = "1h", code = "night", message = "the shop opens at nine" } end
    function handlers.sleep() tide.sleep "10m" end
    function handlers.nothing() end
    function handlers.anything() return { "anything" } end

    orders:consume({ attempts = 3, backoff = "]] .. backoff .. [[", backoff_max = "]] .. backoff_max .. [[", timeout = "2s",
      on_dead = function(message, failure)
        assert(dead:publish { item = message.item, code = failure.code, message = failure.message })
      end }, function(message, delivery)
      if handlers[message.item] then
        return handlers[message.item](message)
      elseif message.item == "third time" and delivery.attempt < 3 then
        error "not yet"
      end
      return done:publish { item = message.item, attempt = delivery.attempt }
    end)
  ]] })
end

describe("tide.queue", function()
  local orders = tide.queue("orders", { item = "string", count = "integer?", id = "id?" })
  local app = shop("20ms", "30ms")

  local function last(queue)
    local list = app:published(queue)
    return list[#list]
  end

  local function deliver(item)
    return app:deliver("orders", { item = item })
  end

  describe("publish", function()
    it("gives a consumer the message as it was", function()
      assert.equal("done", deliver "apple")
      assert.same({ item = "apple", attempt = 1 }, last "done")
    end)

    it("writes every field of the shape, null for one that is missing", function()
      local free = tide.queue("free", { item = "string", id = "id?", count = "integer?", price = "number?", gift = "boolean?", box = "table?" })
      local null = tide.json.null
      assert.is_true(free:publish { item = "a\0b\"/é" })
      assert.same({ item = "a\0b\"/é", id = null, count = null, price = null, gift = null, box = null }, last "free")
      local full = { item = "", id = ("ab"):rep(12), count = -2 ^ 40, price = 0.5, gift = false, box = { a = { 1, 2 } } }
      assert.is_true(free:publish(full))
      assert.same(full, last "free")
    end)

    it("refuses another shape, by file and line", function()
      local at = "^spec/tide/queue_spec.lua:%d+: tide.Queue:publish: message for 'orders': "
      for _, case in ipairs {
        { {}, "the field 'item' is missing" }, { { item = 7 }, "the field 'item' must be a string" },
        { { item = "a", count = 1.5 }, "the field 'count' must be a whole number" }, { { item = "a", id = "x" }, "the field 'id' must be an id" },
        { { item = "a", itme = "b" }, "unknown field 'itme' %(did you mean 'item'%?%)" }, { { "a" }, "unknown field '1'" },
      } do
        assert.matches(at .. case[2], mistake(function() orders:publish(case[1]) end))
      end
      assert.matches("^spec/tide/queue_spec.lua:%d+: tide.Queue:publish: 'message' must be a table, not \"apple\"",
        mistake(function() orders:publish "apple" end))
      assert.matches("unknown option 'dealy' %(did you mean 'delay'%?%)", mistake(function() orders:publish({ item = "a" }, { dealy = "1s" }) end))
      assert.matches("tide.queue: 'name' must be a name of a%-z", mistake(function() tide.queue("Orders!", {}) end))
      assert.matches("'item' has no type 'text'", mistake(function() tide.queue("orders", { item = "text" }) end))
      assert.matches("declares, so it stands at the top", mistake(function() orders:consume(function() end) end))
    end)

    it("takes 1 MiB at most", function()
      local ok, err = orders:publish { item = ("x"):rep(1024 * 1024) }
      assert.same({ nil, "too_large", false }, { ok, err.code, err.retryable })
    end)

    it("delays", function()
      local later = tide.queue("later", { item = "string" })
      assert(orders:publish({ item = "soon" }, { delay = "100ms" }))
      assert(later:publish({ item = "tomorrow" }, { delay = "24h" }))
      tide.spec.eventually(function() return last("done").item == "soon" end)
      local now = app:queue "later"
      assert.same({ 0, 1 }, { now.ready, now.delayed })
    end)

    it("is on disk when it returns, many at a time, and keeps what it sends", function()
      local many, jobs = tide.queue("many", { item = "string" }), {}
      for i = 1, 50 do
        jobs[i] = function()
          assert(many:publish { item = ("%d "):format(i):rep(1000) })
          collectgarbage()
        end
      end
      tide.spec.together(unpack(jobs))
      local seen = {}
      for _, message in ipairs(app:published "many") do
        seen[message.item] = true
      end
      for i = 1, 50 do
        assert.is_true(seen[("%d "):format(i):rep(1000)])
      end
    end)
  end)

  describe("a message is done", function()
    for _, item in ipairs { "nothing", "anything" } do
      it("when its handler returns " .. item, function()
        assert.equal("done", deliver(item))
      end)
    end
  end)

  describe("a message is a dead letter at once", function()
    local ends = {
      raise_failure = { "sour", "too sour" }, give_failure = { "sour", "too sour" },
      reject = { "rejected", "nobody wants it" }, reject_failure = { "sour", "too sour" },
    }
    for item, why in pairs(ends) do
      it(("after %s, with the reason, and on_dead has seen it"):format(item), function()
        assert.equal("dead", deliver(item))
        local letters = app:dead_letters("orders", { "code", "reason", "attempts" })
        assert.same({ code = why[1], reason = why[2], attempts = 1 }, letters[#letters])
        assert.same({ item = item, code = why[1], message = why[2] }, last "buried")
      end)
    end

    it("when it is malformed, without asking a handler", function()
      local before = #app:published "done"
      for payload, reason in pairs { ["no JSON"] = "not a JSON object", ["[1]"] = "the field 'item' is missing", ["7"] = "not a JSON object",
        ['{"item":null}'] = "the field 'item' is missing", ['{"item":"apple","count":"two"}'] = "the field 'count' must be a whole number" } do
        assert.equal("dead", app:deliver("orders", payload))
        local letters = app:dead_letters "orders"
        assert.equal("bad_message", letters[#letters].code)
        assert.matches(reason, letters[#letters].reason, 1, true)
      end
      assert.equal(before, #app:published "done")
    end)

    it("but not when it has a field more, which a newer peer may send", function()
      assert.equal("done", app:deliver("orders", '{"item":"pear","colour":"green"}'))
      assert.equal("pear", last("done").item)
    end)
  end)

  describe("a message comes again", function()
    local ends = {
      raise = { "internal", "init.lua:6: the script is wrong" }, raise_retryable = { "closed", "not now" },
      give_retryable = { "closed", "not now" }, give_sentence = { "internal", "the shop is closed" },
      retry = { "retry", "the handler asked for a retry" }, retry_failure = { "sour", "too sour" }, sleep = { "timeout", "did not end" },
    }
    for item, why in pairs(ends) do
      it(("after %s, until its attempts are used up: then it is a dead letter"):format(item), function()
        local before, letters = #app:dead_letters "orders", nil
        assert(orders:publish { item = item })
        tide.spec.eventually(function()
          letters = app:dead_letters "orders"
          return #letters > before
        end)
        local letter = letters[#letters]
        assert.same({ before + 1, 3, why[1], item }, { #letters, letter.attempts, letter.code, letter.message.item })
        assert.matches(why[2], letter.reason, 1, true)
        assert.equal(why[1], last("buried").code)
      end)
    end

    it("and tells its handler which attempt it is", function()
      assert(orders:publish { item = "third time" })
      tide.spec.eventually(function() return last("done").item == "third time" end)
      assert.same({ item = "third time", attempt = 3 }, last "done")
    end)
  end)

  describe("tide.retry, tide.reject", function()
    it("tell the mistakes of the script by file and line", function()
      local at = "^spec/tide/queue_spec.lua:%d+: "
      assert.matches(at .. "tide.retry: unknown option 'atfer' %(did you mean 'after'%?%)", mistake(function() tide.retry { atfer = "1s" } end))
      assert.matches(at .. "tide.retry: 'after' must be a duration", mistake(function() tide.retry { after = "soon" } end))
      assert.matches(at .. "tide.reject: 'reason' must be a failure or a sentence", mistake(function() tide.reject {} end))
      assert.matches(at .. "tide.reject: 'reason' is missing", mistake(function() tide.reject() end))
    end)
  end)
end)

-- Where the spec can move the time on.
describe("a message that waits #embedded", function()
  local orders = tide.queue("orders", { item = "string", count = "integer?" })
  local app = shop("1m", "90s")

  local function last(queue)
    local list = app:published(queue)
    return list[#list]
  end

  local function deliver(item)
    return app:deliver("orders", { item = item })
  end

  -- Moves the time on; a message that is due has been tried again when this returns. Tells how many wait for later.
  local function after(duration)
    tide.spec.clock:jump(duration)
    deliver "nothing" -- who looks for it finds what is due as well
    return app:queue("orders").delayed
  end

  it("comes after the delay of its publish", function()
    assert(orders:publish({ item = "tomorrow" }, { delay = "24h" }))
    assert.equal(1, app:queue("orders").delayed)
    assert.equal(1, after "23h")
    assert.equal(0, after "61m")
    assert.equal("tomorrow", last("done").item)
  end)

  it("comes after the backoff, which doubles, up to backoff_max", function()
    local function attempts()
      local made
      for _, entry in ipairs(tide.spec.logged "message") do
        made = entry.outcome == "retry" and entry.attempt or made
      end
      return made
    end
    assert.equal("delayed", deliver "raise") -- 1 min, then 90 s instead of 2 min, each 20% more or less
    assert.same({ 1, 1 }, { after "40s", attempts() })
    assert.same({ 1, 2 }, { after "33s", attempts() })
    assert.same({ 1, 2 }, { after "65s", attempts() })
    assert.equal(0, after "44s")
  end)

  it("comes when tide.retry says, not by the backoff", function()
    assert.equal("delayed", deliver "retry_later")
    assert.equal(1, after "59m")
    assert.equal(1, after "2m") -- tried again, and put off by another hour
    assert.equal(1, after "59m")
    assert.equal(0, after "2m")
    local letters = app:dead_letters("orders", { "code", "reason", "attempts" })
    assert.same({ code = "night", reason = "the shop opens at nine", attempts = 3 }, letters[#letters])
  end)
end)

describe("a consumer", function()
  local function counting(options, body)
    return tide.spec.bundle("shop", { source = ([[
      local basket = tide.queue("basket", { item = "string" })
      local count = 0
      basket:consume(%s, function(message)
        count = count + 1
        tide.log.info("at once", { busy = count })
        %s
        count = count - 1
      end)]]):format(options, body) })
  end
  local basket = tide.queue("basket", { item = "string" })

  local function is_empty(app)
    local now = app:queue "basket"
    return now.ready + now.leased == 0
  end

  local function most(from)
    local highest, log = 0, tide.spec.logged "at once"
    for i = from + 1, #log do
      highest = math.max(highest, log[i].fields.busy)
    end
    return highest
  end

  for concurrency, expected in pairs { [1] = 1, [4] = 4 } do
    it(("works on %d at a time"):format(concurrency), function()
      local from = #tide.spec.logged "at once"
      for i = 1, 8 do
        assert(basket:publish { item = "item " .. i })
      end
      local app = counting(("{ concurrency = %d }"):format(concurrency), 'tide.sleep "60ms"')
      tide.spec.eventually(function() return is_empty(app) end)
      assert.equal(expected, most(from))
    end)
  end

  it("gives back what it works on when it stops, without an attempt", function()
    local app = counting("{ attempts = 1 }", 'tide.sleep "10m"')
    assert(basket:publish { item = "given back" })
    tide.spec.eventually(function() return app:queue("basket").leased == 1 end)
    app:close()
    tide.spec.eventually(function() return app:queue("basket").ready == 1 end)
    local another = counting("{ attempts = 1 }", "")
    tide.spec.eventually(function() return is_empty(another) end)
    assert.same({}, another:dead_letters "basket")
  end)

  it("keeps a message whose on_dead fails out of the dead letters", function()
    local app = tide.spec.bundle("shop", { source = [[
      tide.queue("basket", { item = "string" }):consume({ on_dead = function()
        return nil, tide.failure { code = "closed", message = "the archive is closed", retryable = true }
      end }, function() return tide.reject "nobody wants it" end)]] })
    assert.equal("delayed", app:deliver("basket", { item = "unwanted" }))
    assert.same({}, app:dead_letters "basket")
  end)

  it("refuses options out of range when it is loaded", function()
    for option, value in pairs { concurrency = 0, attempts = 101, timeout = '"0"', backoff = '"soon"', on_dead = "{}", atempts = 3 } do
      local ok, report = pcall(counting, ("{ %s = %s }"):format(option, value), "")
      assert.is_false(ok)
      assert.matches("init.lua:3: tide.Queue:consume: ", report, 1, true)
      assert.matches(option, report, 1, true)
    end
  end)
end)
