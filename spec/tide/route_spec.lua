-- tide.route, and the request as a handler sees it.
describe("tide.route", function()
  local app = tide.spec.bundle("door", { source = [[
    tide.route("GET /hello/{name}/in/{place}", function(req)
      return { name = req.params.name, place = req.params.place, path = req.path, target = req.target }
    end)

    tide.route("GET /query", function(req)
      return { a = req.query.a, b = req.query.b, raw = req.raw_query }
    end)

    tide.route("GET /shaped/{id}", {
      params = { id = "id" },
      query = { limit = { "integer", min = 1, max = 100, default = 50 }, all = "boolean?", q = "string?" },
    }, function(req)
      return { id = req.params.id, limit = req.query.limit, all = req.query.all, q = req.query.q, other = req.query.other }
    end)

    tide.route("POST /text", { limit = { body = "1KiB" } }, function(req) return assert(req:text()) end)
    tide.route("POST /short", function(req) return assert(req:text("4B")) end)
    tide.route("POST /json", function(req) return { got = assert(req:json()) } end)
    tide.route("POST /twice", function(req)
      local first = assert(req:text())
      local second, err = req:text()
      return { first = first, second = second, code = err and err.code }
    end)

    tide.route("GET /headers", function(req)
      return { one = req.headers["X-One"], none = req.headers["x-none"], all = req:all_headers() }
    end)
    tide.route("GET /who", function(req)
      local basic, why = req:basic_auth()
      local token, why_not = req:bearer()
      return { basic = basic, token = token, why = why and why.message, why_not = why_not and why_not.message }
    end)
    tide.route("GET /likes", function(req) return { type = req:accepts("text/plain", "application/json") or "nothing" } end)
    tide.route("GET /me", function(req) return { id = req.id, address = req.address, method = req.method } end)

    tide.route("GET /rare", { limit = { rate = "2/m" } }, function() return "in time" end)
    tide.route("GET /slow", { timeout = "50ms" }, function()
      tide.sleep "1m"
      return "never"
    end)
    tide.route("GET /fails/{code}", function(req)
      error(tide.failure { code = req.params.code, message = "because", retryable = req.params.code == "busy" })
    end)
    tide.route("GET /bug", function() return nil .. "x" end)

    local kept
    tide.route("GET /keep", function(req) kept = req return "kept" end)
    tide.route("GET /kept", function() return { path = kept.headers.host } end)

    tide.route("GET /wait", function()
      tide.log.info "waiting"
      local ok = pcall(tide.sleep, "1m")
      tide.log.info("woken", { ok = ok })
      return "late"
    end)
  ]] })

  local function last(event)
    local list = tide.spec.logged(event)
    return list[#list]
  end

  describe("finds a handler", function()
    it("by its path, whose parameters are decoded", function()
      local answer = app:get "/hello/J%C3%BCrgen%20M/in/a+b?x=1"
      assert.same({ name = "Jürgen M", place = "a+b", path = "/hello/Jürgen M/in/a+b", target = "/hello/J%C3%BCrgen%20M/in/a+b?x=1" },
        answer:json())
    end)

    it("by its method, and says which there are", function()
      local answer = app:post "/me"
      assert.equal(405, answer.status)
      assert.equal("GET, HEAD, OPTIONS", answer.headers.allow)
      answer = assert(app:request { method = "OPTIONS", path = "/me" })
      assert.same({ 204, "GET, HEAD, OPTIONS" }, { answer.status, answer.headers.allow })
      answer = assert(app:request { method = "HEAD", path = "/hello/a/in/b" })
      assert.same({ 200, "", "application/json" }, { answer.status, answer.body, answer.headers["content-type"] })
    end)

    it("or none", function()
      for _, path in ipairs { "/", "/hello", "/hello//in/b", "/hello/a/in/b/", "/HEADERS" } do
        local answer = app:get(path)
        assert.same({ 404, "application/problem+json" }, { answer.status, answer.headers["content-type"] })
      end
    end)
  end)

  describe("reads the query", function()
    it("decoded, the first value of a name", function()
      assert.same({ a = "1 2/3", b = "", raw = "a=1+2%2F3&a=x&b" }, app:get("/query?a=1+2%2F3&a=x&b"):json())
      assert.same({ raw = "" }, app:get("/query"):json())
    end)

    it("or answers 400", function()
      assert.equal(400, app:get("/query?a=%zz").status)
    end)
  end)

  describe("with shapes", function()
    local id = tide.id.new()

    it("gives values of their types, with defaults, and leaves out the unknown", function()
      assert.same({ id = id, limit = 50 }, app:get("/shaped/" .. id .. "?other=1"):json())
      assert.same({ id = id, limit = 7, all = false, q = "07" }, app:get("/shaped/" .. id:upper() .. "?limit=7&all=false&q=07"):json())
    end)

    it("answers others with 400 and what is wrong", function()
      for query, detail in pairs {
        ["limit=0"] = "in the query, 'limit' must be between 1 and 100",
        ["limit=1.5"] = "in the query, 'limit' must be a whole number",
        ["limit=0x10"] = "in the query, 'limit' must be a whole number",
        ["limit="] = "in the query, 'limit' must be a whole number",
        ["all=yes"] = "in the query, 'all' must be a boolean",
      } do
        local answer = app:get("/shaped/" .. id .. "?" .. query)
        assert.same({ 400, detail }, { answer.status, answer:json().detail })
      end
      assert.equal("in the path, 'id' must be an id (24 hex digits)", app:get("/shaped/nothing"):json().detail)
    end)
  end)

  describe("reads the body", function()
    it("as text, in chunks too", function()
      assert.equal("hello\0world", app:post("/text", { body = "hello\0world" }).body)
      assert.equal("", app:post("/text").body)
      assert.equal(("x"):rep(1024), app:post("/text", { body = ("x"):rep(1024) }).body)
    end)

    it("up to the route's limit, and to the reader's", function()
      assert.equal(413, app:post("/text", { body = ("x"):rep(1025) }).status)
      assert.equal(413, app:post("/short", { body = "12345" }).status)
      assert.equal("1234", app:post("/short", { body = "1234" }).body)
    end)

    it("as JSON", function()
      assert.same({ got = { a = { 1, 2 }, b = tide.json.null } }, app:post("/json", { body = '{"a":[1,2],"b":null}' }):json())
      local answer = app:post("/json", { body = "{a}" })
      assert.equal(400, answer.status)
      assert.matches("^the body is no JSON: ", answer:json().detail)
      assert.equal(400, app:post("/json").status)
      assert.equal(400, app:post("/json", { body = ("["):rep(100) .. ("]"):rep(100) }).status)
    end)

    it("once", function()
      assert.same({ first = "x", code = "conflict" }, app:post("/twice", { body = "x" }):json())
    end)
  end)

  describe("reads headers", function()
    it("by name, whatever its case", function()
      local answer = app:get("/headers", { headers = { ["x-ONE"] = "1", ["X-Two"] = "2" } }):json()
      assert.same({ "1", nil, "1", "2" }, { answer.one, answer.none, answer.all["x-one"], answer.all["x-two"] })
    end)

    it("with Basic credentials", function()
      assert.same({ user = "ann@b.c", password = "pass:word" }, app:get("/who", { user = { "ann@b.c", "pass:word" } }):json().basic)
      assert.same({ user = "", password = "" }, app:get("/who", { user = { "", "" } }):json().basic)
      for _, header in ipairs { "Basic", "Basic !!", "Basic " .. "bm9jb2xvbg==", "Bearer abc" } do
        assert.equal("the Authorization header holds no Basic credentials",
          app:get("/who", { headers = { authorization = header } }):json().why)
      end
      assert.equal("the Basic credentials are not UTF-8", app:get("/who", { user = { "j\246rg", "x" } }):json().why)
    end)

    it("with a Bearer token", function()
      assert.equal("abc.def-_~+/==", app:get("/who", { token = "abc.def-_~+/==" }):json().token)
      assert.equal("abc", app:get("/who", { headers = { authorization = "bEARER  abc" } }):json().token)
      for _, header in ipairs { "Bearer", "Bearerabc", "Bearer =", "Bearer a=b", "Bearer a b", "Bearer a,b", "Basic abc" } do
        assert.equal("the Authorization header holds no Bearer token",
          app:get("/who", { headers = { authorization = header } }):json().why_not)
      end
      assert.equal("no Authorization header", app:get("/who"):json().why_not)
    end)

    it("with what the client likes best", function()
      for header, best in pairs {
        ["application/json"] = "application/json", ["*/*"] = "text/plain", ["text/*;q=0.1, application/json"] = "application/json",
        ["text/plain;q=0, */*"] = "application/json", ["image/png"] = "nothing",
      } do
        assert.equal(best, app:get("/likes", { headers = { accept = header } }):json().type)
      end
    end)
  end)

  it("knows a request by the id that its answer and its log line have", function()
    local answer = app:get "/me"
    assert.same({ id = answer.headers["x-request-id"], address = "127.0.0.1", method = "GET" }, answer:json())
    local line = tide.spec.eventually(function()
      local line = last "request"
      return line.request_id == answer.headers["x-request-id"] and line
    end)
    assert.same({ "door", "GET /me", 200 }, { line.bundle, line.route, line.status })
  end)

  it("counts by route and status", function()
    local series = 'tidemill_http_requests_total{bundle="door",route="GET /likes",status="200"}'
    local before = tide.spec.metrics(series) or 0
    app:get "/likes"
    tide.spec.eventually(function() return tide.spec.metrics(series) == before + 1 end)
  end)

  it("takes a proxy's word for who the client is, and nobody else's", function()
    local function address(proxies, forwarded)
      local behind = tide.spec.bundle("behind", { source = ([[
        tide.proxies %q
        tide.route("GET /", function(req) return req.address end)]]):format(proxies) })
      local answer = behind:get("/", { headers = { ["X-Forwarded-For"] = forwarded } }).body
      assert.equal(answer, last("request").address)
      return answer
    end
    assert.equal("192.0.2.7", address("127.0.0.0/8", "198.51.100.1, 192.0.2.7"))
    assert.equal("198.51.100.1", address("127.0.0.1 192.0.2.0/24", "198.51.100.1, 192.0.2.7"))
    assert.equal("127.0.0.1", address("127.0.0.1", nil))
    assert.equal("127.0.0.1", address("10.0.0.0/8", "192.0.2.7"))
    assert.equal("127.0.0.1", address("", "192.0.2.7"))
    assert.equal("127.0.0.1", app:get("/me", { headers = { ["X-Forwarded-For"] = "192.0.2.7" } }):json().address)
    local good, report = pcall(address, "10.0.0/8")
    assert.is_false(good)
    assert.matches("init.lua:1: tide.proxies: '10.0.0/8' is no address and no network such as 10.0.0.0/8", report, 1, true)
  end)

  it("lets an address in at its rate", function()
    assert.equal(200, app:get("/rare").status)
    local answer = app:get "/rare"
    assert.same({ 429, "30" }, { answer.status, answer.headers["retry-after"] })
    tide.spec.clock:jump "30s"
    assert.equal(200, app:get("/rare").status)
  end)

  describe("when a handler fails", function()
    it("answers a failure by its code", function()
      for code, status in pairs { bad_request = 400, denied = 403, not_found = 404, exists = 409, conflict = 409, too_large = 413,
        too_many = 429, full = 507, busy = 503, other = 500 } do
        local answer = app:get("/fails/" .. code)
        assert.equal(status, answer.status)
        assert.equal(status < 500, answer:json().detail == "because") -- ours is for the log alone
      end
      assert.equal("5", app:get("/fails/busy").headers["retry-after"])
    end)

    it("keeps a bug to itself and tells the log where it is", function()
      local answer = app:get "/bug"
      assert.same({ 500, "The service failed; the log says why." }, { answer.status, answer:json().detail })
      local line = last "handler failed"
      assert.equal("GET /bug", line.handler)
      assert.matches("init.lua:%d+: attempt to concatenate a nil value", line.message)
      assert.matches("init.lua", line.traceback)
    end)

    it("ends it at its timeout", function()
      local answer = app:get "/slow"
      assert.same({ 504, "The handler did not answer in time." }, { answer.status, answer:json().detail })
    end)

    it("has nothing more to say to a request that is over", function()
      app:get "/keep"
      assert.equal(500, app:get("/kept").status)
      assert.matches("this request is over", last("handler failed").message)
    end)
  end)

  it("ends a handler whose client goes away, where it waits", function()
    local answer, err = app:request { path = "/wait", timeout = "50ms" }
    assert.same({ nil, "timeout" }, { answer, err.code })
    local line = tide.spec.eventually(function() return last("request").route == "GET /wait" and last "request" end)
    assert.equal(499, line.status)
    assert.equal(1, #tide.spec.logged "waiting")
    assert.same({}, tide.spec.logged "woken")
  end)

  it("serves many at the same time", function()
    local calls = {}
    for i = 1, 50 do
      calls[i] = function() return app:get("/hello/a/in/" .. i):json().place end
    end
    for i, place in ipairs { tide.spec.together(unpack(calls)) } do
      assert.equal(tostring(i), place)
    end
  end)

  it("refuses what can't be a route, with its file and line", function()
    for source, problem in pairs {
      ['tide.route("GET /a", function() end)\ntide.route("GET /a", function() end)'] = "init.lua:2: tide.route: 'GET /a': ",
      ['tide.route("FETCH /a", function() end)'] = "init.lua:1: tide.route: 'FETCH /a': ",
      ['tide.route("GET a", function() end)'] = "init.lua:1: tide.route: 'GET a': ",
      ['tide.route("GET /{a", function() end)'] = "init.lua:1: tide.route: 'GET /{a': ",
      ['tide.route("GET /", { query = { n = "number!" } }, function() end)'] = "init.lua:1: tide.route: 'GET /': query: 'n' has no type",
    } do
      local ok, report = pcall(tide.spec.bundle, "wrong", { source = source })
      assert.is_false(ok)
      assert.truthy(report:find(problem, 1, true), report)
    end
  end)
end)
