-- tide.spec: what a spec has beside `tide`. What fails a spec is in spec/e2e/65-test.sh.
describe("tide.spec.upstream", function()
  local seen = {}
  local allowed = "yes"
  local url = tide.spec.upstream {
    ["POST /login"] = function(req)
      local who = assert(req:basic_auth())
      return { status = 200, headers = { ["Content-Type"] = "text/plain", ["X-Allowed"] = allowed }, body = "token of " .. who.user }
    end,
    ["GET /users/{id}"] = function(req)
      seen[#seen + 1] = { path = req.path, target = req.target, id = req.params.id, page = req.query.page }
      return { id = req.params.id }
    end,
    ["GET /slow"] = function() tide.sleep "20s" return "at last" end,
    ["GET /away"] = function() return nil, tide.failure { code = "busy", message = "later", retryable = true } end,
  }
  local app = tide.spec.bundle("front", { settings = { url = url }, source = [[
    local other = tide.upstream(tide.config { url = { "string" } }.url)
    tide.route("GET /{path*}", function(req) return (assert(other:get(req.target))) end)
    tide.route("POST /{path*}", function(req) return other:forward(req) end)
  ]] })

  it("answers a bundle by functions of the spec", function()
    local answer = app:post("/login", { user = { "ann", "secret" } })
    assert.same({ 200, "token of ann", "yes" }, { answer.status, answer.body, answer.headers["x-allowed"] })
    allowed = "no"
    assert.equal("no", app:post("/login", { user = { "ann", "secret" } }).headers["x-allowed"])
  end)

  it("shows a handler the request as the other would see it", function()
    app:get "/users/7?page=2"
    assert.same({ { path = "/users/7", target = "/users/7?page=2", id = "7", page = "2" } }, seen)
  end)

  it("answers what it has no route for, and failures, as a bundle does", function()
    assert.equal(404, app:get("/nothing").status)
    assert.equal(405, app:get("/login").status)
    assert.equal(503, app:get("/away").status)
  end)

  it("is one of several, and goes by the clock", function()
    local second = tide.spec.upstream { ["GET /slow"] = function() return "the second" end }
    assert.equal("the second", tide.http.get(second .. "/slow").body)
    local body
    tide.spec.together(function() body = app:get("/slow").body end, function()
      tide.spec.clock:advance "19s"
      assert.is_nil(body)
      tide.spec.clock:advance "1s"
    end)
    assert.equal("at last", body)
  end)

  it("names a route that is none", function()
    local good, why = pcall(tide.spec.upstream, { login = function() end })
    assert.is_false(good)
    assert.matches('spec_spec.lua:%d+: tide.spec.upstream: "login" must be a route such as "POST /login"', why)
  end)
end)
