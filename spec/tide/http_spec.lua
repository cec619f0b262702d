-- tide.http, tide.upstream: requests to other services.
local function mistake(f)
  local ok, message = pcall(f)
  return not ok and message
end

describe("tide.http", function()
  local http = tide.http
  local server = tide.spec.bundle("server", { source = [[
    for _, method in ipairs { "GET", "POST", "PUT", "DELETE", "PATCH" } do
      tide.route(method .. " /echo", function(req)
        return { method = req.method, query = req.raw_query, type = req.headers["content-type"], x = req:all_headers()["x-x"],
          body = req:text() }
      end)
    end

    tide.route("GET /bytes/{n}", { params = { n = "integer" } }, function(req)
      return ("x"):rep(req.params.n)
    end)

    tide.route("GET /status/{n}", { params = { n = "integer" } }, function(req)
      return tide.respond.text(req.params.n, "as you like it", { Vary = { "Accept", "Cookie" } })
    end)

    tide.route("GET /hop/{n}", { params = { n = "integer" } }, function(req)
      if req.params.n == 0 then
        return "arrived"
      end
      return tide.respond.empty(302, { Location = "/hop/" .. req.params.n - 1 })
    end)

    tide.route("POST /hop", function()
      return tide.respond.empty(303, { Location = "/hop/0" })
    end)

    tide.route("GET /away", function()
      return tide.respond.empty(302, { Location = "file:///etc/passwd" })
    end)

    tide.route("GET /slow", { timeout = "10m" }, function()
      tide.log.info "slow began"
      tide.sleep "5m"
      return "at last"
    end)
  ]] })

  local function failure(answer, err)
    assert.is_nil(answer)
    return err.code, err.retryable
  end

  -- Whether the server's slow handler has been given up by its client, and has ended.
  local function is_given_up(times)
    local ended = 0
    for _, entry in ipairs(tide.spec.logged "request") do
      ended = ended + (entry.route == "GET /slow" and 1 or 0)
    end
    return ended == times and #tide.spec.logged "slow began" == times
  end

  it("sends any method, with a query, headers and a body as they are", function()
    local bytes = "a\0b\255" .. ("x"):rep(100000)
    for _, method in ipairs { "POST", "PUT", "DELETE", "PATCH" } do
      local answer = assert(http.request { method = method, url = server.url .. "/echo?a=%20b&c", body = bytes,
        headers = { ["X-X"] = { "one", "two" }, ["content-type"] = "text/odd" } })
      local got = answer:json()
      assert.same({ 200, method, "a=%20b&c", "text/odd", "one, two", #bytes },
        { answer.status, got.method, got.query, got.type, got.x, #got.body })
    end
    local got = assert(http.get(server.url .. "/echo")):json()
    assert.same({ "GET", "" }, { got.method, got.body })
    assert.is_nil(got.type)
    assert.equal("PUT", assert(http.put(server.url .. "/echo", { body = "" })):json().method)
    assert.equal("DELETE", assert(http.delete(server.url .. "/echo")):json().method)
  end)

  it("speaks JSON both ways", function()
    local got = assert(http.post(server.url .. "/echo", { json = { list = tide.json.array {}, url = "a/b" } })):json()
    assert.same({ "application/json", '{"list":[],"url":"a/b"}' }, { got.type, got.body == '{"url":"a/b","list":[]}'
      and '{"list":[],"url":"a/b"}' or got.body })
    assert.equal("text/x-json", assert(http.post(server.url .. "/echo", { json = false,
      headers = { ["Content-Type"] = "text/x-json" } })):json().type)
    local value, err = assert(http.get(server.url .. "/bytes/3")):json()
    assert.same({ nil, "invalid" }, { value, err.code })
  end)

  it("gives any status as an answer, with its headers in lower case", function()
    for _, status in ipairs { 200, 299, 404, 500, 503 } do
      local answer = assert(http.get(server.url .. "/status/" .. status))
      assert.same({ status, "as you like it", "Accept, Cookie" }, { answer.status, answer.body, answer.headers.vary })
    end
  end)

  it("follows as many redirects as it may, and only to the web", function()
    local answer = assert(http.get(server.url .. "/hop/1"))
    assert.same({ 302, "/hop/0" }, { answer.status, answer.headers.location })
    assert.equal("arrived", assert(http.get(server.url .. "/hop/2", { redirects = 2 })).body)
    assert.equal("arrived", assert(http.post(server.url .. "/hop", { body = "x", redirects = 1 })).body)
    assert.equal("invalid", failure(http.get(server.url .. "/hop/3", { redirects = 2 })))
    assert.equal("invalid", failure(http.get(server.url .. "/away", { redirects = 2 })))
  end)

  it("takes no more than max_body", function()
    assert.equal(1024, #assert(http.get(server.url .. "/bytes/1024", { max_body = "1KiB" })).body)
    assert.same({ "too_large", false }, { failure(http.get(server.url .. "/bytes/1025", { max_body = "1KiB" })) })
    assert.same({ "too_large", false }, { failure(http.get(server.url .. "/bytes/5000000")) })
  end)

  it("can be tried again when there is nobody, or nobody in time", function()
    local gone = tide.spec.bundle("gone", { source = 'tide.route("GET /", function() return "" end)' })
    local url = gone.url
    gone:close()
    assert.same({ "unavailable", true }, { failure(http.get(url)) })
    assert.same({ "timeout", true }, { failure(http.get(server.url .. "/slow", { timeout = "100ms" })) })
    tide.spec.eventually(function() return is_given_up(1) end)
  end)

  it("refuses what would be another request than it seems", function()
    local bad = {
      { url = "ftp://127.0.0.1/" }, { url = "file:///etc/passwd" }, { url = "127.0.0.1" }, { url = "http://" }, { url = "" },
      { url = "http://user:password@127.0.0.1/" }, { url = server.url .. "/echo\0" }, { url = server.url .. "/a b" },
      { method = "GET /" }, { method = "CONNECT" }, { method = "TRACE" }, { method = "" }, { body = "a body" },
      { headers = { ["X-X"] = "a\r\nY: b" } }, { headers = { ["X X"] = "a" } },
      { headers = { ["Content-Length"] = "7" } }, { headers = { ["Transfer-Encoding"] = "chunked" } },
    }
    for _, over in ipairs(bad) do
      local request = { url = server.url .. "/echo" }
      for key, value in pairs(over) do
        request[key] = value
      end
      assert.same({ "invalid", false }, { failure(http.request(request)) })
    end
  end)

  it("tells the mistakes of the script by file and line", function()
    local at = "^spec/tide/http_spec.lua:%d+: tide.http."
    assert.matches(at .. "get: 'url' is missing", mistake(function() http.get() end))
    assert.matches(at .. "request: 'url' is missing", mistake(function() http.request {} end))
    assert.matches(at .. "get: unknown option 'timout' %(did you mean 'timeout'%?%)", mistake(function() http.get("x", { timout = "1s" }) end))
    assert.matches(at .. "get: 'timeout' must be a duration", mistake(function() http.get("x", { timeout = "soon" }) end))
    assert.matches(at .. "get: 'timeout' must be at least", mistake(function() http.get("x", { timeout = "0s" }) end))
    assert.matches(at .. "get: 'redirects' must be between 0 and 5", mistake(function() http.get("x", { redirects = 6 }) end))
    assert.matches(at .. "get: 'headers' must be a table of headers", mistake(function() http.get("x", { headers = { "X: y" } }) end))
    assert.matches(at .. "get: 'headers' must be a table of headers", mistake(function() http.get("x", { headers = { X = "a\0b" } }) end))
    assert.matches(at .. "post: this can't be written as JSON", mistake(function() http.post("x", { json = { print } }) end))
    assert.matches(at .. "post: 'json' and 'body' are both given", mistake(function() http.post("x", { json = 1, body = "1" }) end))
  end)

  it("keeps what it sends, and takes no answer for another, many at a time", function()
    local requests = {}
    for i = 1, 40 do
      requests[i] = function()
        local body = ("%d "):format(i):rep(10000)
        local answer = assert(http.post(server.url .. "/echo", { body = body, headers = { ["X-X"] = "n" .. i } }))
        collectgarbage()
        return answer:json().body == body and answer:json().x == "n" .. i
      end
    end
    local right = { tide.spec.together(unpack(requests)) }
    for i = 1, 40 do
      assert.is_true(right[i])
    end
  end)

  it("gives up its request when its own client goes away", function()
    local front = tide.spec.bundle("front", { settings = { server = server.url }, source = [[
      local server = tide.config { server = { "string" } }.server
      tide.route("GET /", function() return assert(tide.http.get(server .. "/slow", { timeout = "10m" })) end)
    ]] })
    assert.equal("timeout", failure(front:request { path = "/", timeout = "200ms" }))
    tide.spec.eventually(function() return is_given_up(2) end)
  end)
end)

describe("tide.upstream", function()
  local back = tide.spec.bundle("back", { source = [[
    local function echo(req)
      local headers = req:all_headers()
      return tide.respond.json(201, { method = req.method, target = req.target, headers = headers, body = req:text() },
        { ["X-Back"] = "yes", ["X-Request-Id"] = "of the back", Connection = "close" })
    end
    for _, method in ipairs { "GET", "POST", "PUT", "DELETE" } do
      tide.route(method .. " /base/echo", echo)
      tide.route(method .. " /echo", echo)
    end
  ]] })
  local front = tide.spec.bundle("front", { settings = { back = back.url }, source = [[
    local back = tide.upstream(tide.config { back = { "string" } }.back)
    for _, method in ipairs { "GET", "POST", "PUT", "DELETE" } do
      tide.route(method .. " /echo", { limit = { body = "2MiB" } }, function(req) return back:forward(req) end)
    end
    tide.route("GET /answer", function() return assert(back:get "/echo") end)
  ]] })

  it("puts paths behind its URL", function()
    local upstream = tide.upstream(back.url .. "/base/")
    for _, method in ipairs { "get", "put", "post", "delete" } do
      local answer = assert(upstream[method](upstream, "/echo?x=1"))
      assert.same({ 201, method:upper(), "/base/echo?x=1" }, { answer.status, answer:json().method, answer:json().target })
    end
  end)

  it("gives answers that a handler can return as its own", function()
    local answer = front:get "/answer"
    assert.same({ 201, "yes", "application/json" }, { answer.status, answer.headers["x-back"], answer.headers["content-type"] })
    assert.not_equal("of the back", answer.headers["x-request-id"])
    assert.is_nil(answer.headers.connection)
  end)

  it("forwards method, target, body, and of the headers those about content and identity", function()
    for _, method in ipairs { "POST", "PUT", "DELETE" } do
      local answer = assert(front:request { method = method, path = "/echo?a=%2F&b", body = "a\0b", headers = {
        Authorization = "Bearer abc", Accept = "text/odd", ["Content-Type"] = "text/odd", Cookie = "a=b", ["X-Forwarded-For"] = "192.0.2.1" } })
      local got = answer:json()
      assert.same({ 201, method, "/echo?a=%2F&b", "a\0b" }, { answer.status, got.method, got.target, got.body })
      assert.same({ "Bearer abc", "text/odd", "text/odd", "127.0.0.1" }, { got.headers.authorization, got.headers.accept,
        got.headers["content-type"], got.headers["x-forwarded-for"] })
      assert.is_nil(got.headers.cookie)
    end
    assert.equal("GET", front:get("/echo"):json().method)
  end)

  it("forwards no body over 1 MiB", function()
    assert.equal(413, front:post("/echo", { body = ("x"):rep(1024 * 1024 + 1) }).status)
  end)

  it("raises when it is not there: 503", function()
    back:close()
    assert.equal(503, front:get("/echo").status)
    assert.equal(503, front:get("/answer").status)
  end)

  it("tells the mistakes of the script by file and line", function()
    local at = "^spec/tide/http_spec.lua:%d+: tide."
    assert.matches(at .. 'upstream: \'url\' must be a URL such as "http://127.0.0.1:5000", not "127.0.0.1:5000"',
      mistake(function() tide.upstream "127.0.0.1:5000" end))
    assert.matches(at .. "Upstream:get: 'path' is missing", mistake(function() tide.upstream("http://a"):get() end))
    assert.matches(at .. "Upstream:get: .*colon", mistake(function() tide.upstream("http://a").get "/x" end))
  end)
end)
