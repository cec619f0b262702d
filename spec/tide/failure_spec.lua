-- tide.failure: runtime failures of a script's own, and what becomes of a handler that fails.
describe("tide.failure", function()
  local app = tide.spec.bundle("shop", { source = [[
    local fails = {
      ["return"] = function(why) return nil, why end,
      ["raise"] = error,
    }

    tide.route("GET /{how}/{code}", function(req)
      return fails[req.params.how](tide.failure { code = req.params.code, message = "the reason", retryable = req.raw_query == "retryable" })
    end)

    tide.route("GET /twice", function()
      assert(tide.sql.exec "CREATE TABLE IF NOT EXISTS twin (name TEXT UNIQUE)")
      assert(tide.sql.exec "INSERT INTO twin (name) VALUES ('a')")
      assert(tide.sql.exec "INSERT INTO twin (name) VALUES ('a')")
    end)

    tide.route("GET /row", function() return assert(tide.sql.one "SELECT 1 AS n WHERE 1 = 0") end)

    tide.route("GET /sentence", function() return nil, "the shop is closed" end)

    tide.every("1h", function() return nil, tide.failure { code = "rusty", message = "the timer is rusty" } end)
  ]] })

  local function last_logged()
    local log = tide.spec.logged "handler failed"
    return log[#log]
  end

  it("reads as code and message, and is not retryable unless it says so", function()
    local sour = tide.failure { code = "sour", message = "too sour" }
    assert.same({ "sour: too sour", false }, { tostring(sour), sour.retryable })
    assert.is_true(tide.failure({ code = "closed", message = "not now", retryable = true }).retryable)
  end)

  for _, how in ipairs { "return", "raise" } do
    describe(("that a route's handler has (%s)"):format(how), function()
      it("is answered by its code, with its message", function()
        for code, status in pairs { bad_request = 400, denied = 403, not_found = 404, exists = 409, too_large = 413, too_many = 429 } do
          local answer = app:get(("/%s/%s"):format(how, code))
          assert.same({ status, "the reason" }, { answer.status, answer:json().detail })
        end
      end)

      it("is answered with another code by 500, or 503 when it can be tried again, and only the log tells why", function()
        for query, status in pairs { [""] = 500, ["?retryable"] = 503 } do
          local answer = app:get(("/%s/sour%s"):format(how, query))
          assert.same({ status, status == 503 and "5" or nil }, { answer.status, answer.headers["retry-after"] })
          assert.is_nil(answer.body:find("reason", 1, true))
          assert.same({ "sour", "the reason" }, { last_logged().code, last_logged().message })
        end
      end)
    end)
  end

  it("of a primitive is answered by its code: a row that is not there by 404", function()
    local answer = app:get "/row"
    assert.same({ 404, "there is no such row" }, { answer.status, answer:json().detail })
  end)

  it("of a primitive is answered without the backend's words, which the log has", function()
    local answer = app:get "/twice"
    assert.same({ 409, "This is there already." }, { answer.status, answer:json().detail })
    assert.equal("exists", last_logged().code)
    assert.matches("^%w+: .+ .*name", last_logged().message) -- sqlite: UNIQUE ... twin.name; mysql: Duplicate ... key 'name'
  end)

  it("may be a sentence, as Lua's own functions give it: then it is a bug of the script", function()
    assert.equal(500, app:get("/sentence").status)
    assert.same({ "error", "internal" }, { last_logged().level, last_logged().code })
    assert.matches("init.lua:%d+: the shop is closed", last_logged().message)
  end)

  it("that a timer has is in the log", function()
    app:tick()
    assert.same({ "rusty", "the timer is rusty" }, { last_logged().code, last_logged().message })
  end)

  it("tells the mistakes of the script by file and line", function()
    local function mistake(f)
      local ok, message = pcall(f)
      return not ok and message
    end
    local at = "^spec/tide/failure_spec.lua:%d+: tide.failure: "
    assert.matches(at .. "'code' is missing", mistake(function() tide.failure { message = "x" } end))
    assert.matches(at .. "'retryable' must be a boolean", mistake(function() tide.failure { code = "x", message = "x", retryable = 1 } end))
    assert.matches(at .. "unknown option 'mesage' %(did you mean 'message'%?%)", mistake(function() tide.failure { code = "x", mesage = "x" } end))
  end)
end)
