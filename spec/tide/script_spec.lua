-- What a script has beside tide: its modules, a closed room, a bounded memory.
describe("require", function()
  local function load(files)
    local good, report = pcall(tide.spec.bundle, "probe", { files = files })
    return good, not good and report:gsub("%S*/probe/", "")
  end

  it("gives a module of the bundle, once, and what it returned", function()
    local app = tide.spec.bundle("probe", { files = {
      ["init.lua"] = [[
        local a, again = require "parts.a", require "parts.a"
        assert(a == again and a.name == "parts.a" and require "plain" == true)
        local count = require "count"
        tide.route("GET /", function() return { require "parts.a" == a, count.up(), count.up() } end)]],
      ["parts/a.lua"] = "return { name = ... }",
      ["plain.lua"] = "local _ = 1",
      ["count.lua"] = "local n = 0 return { up = function() n = n + 1 return n end }",
    } })
    assert.same({ true, 1, 2 }, app:get("/"):json())
    assert.same({ true, 3, 4 }, app:get("/"):json())
  end)

  it("says where it looked", function()
    local _, report = load { ["init.lua"] = 'require "jobs"' }
    assert.matches("init.lua:1: require: no module 'jobs'; looked at", report, 1, true)
    assert.matches("jobs.lua: No such file", report, 1, true)
  end)

  it("names the file and line of a mistake in a module", function()
    local _, report = load { ["init.lua"] = 'require "jobs"', ["jobs.lua"] = "\nlocal x = = 1" }
    assert.matches("^jobs.lua:2: unexpected symbol near '='\n *2 | local x = = 1", report)
    _, report = load { ["init.lua"] = 'require "jobs"', ["jobs.lua"] = "\nlocal x = {} .. 1" }
    assert.matches("^jobs.lua:2: attempt to concatenate", report)
  end)

  it("refuses a circle, another place and a handler's late wish", function()
    local _, report = load { ["init.lua"] = 'require "a"', ["a.lua"] = 'require "b"', ["b.lua"] = 'require "a"' }
    assert.matches("b.lua:1: require: 'a' requires itself (a cycle)", report, 1, true)
    for _, name in ipairs { "../other/init", "/etc/passwd", "a/b", "..", "" } do
      _, report = load { ["init.lua"] = ("require %q"):format(name) }
      assert.matches("init.lua:1: require: a module's name is letters", report, 1, true)
    end
    local app = tide.spec.bundle("late", { files = {
      ["init.lua"] = 'tide.route("GET /", function() return require "later" end)', ["later.lua"] = "return {}" } })
    assert.equal(500, app:get("/").status)
    assert.matches("require modules at the top of the file, not in a handler", tide.spec.logged("handler failed")[1].message)
  end)
end)

describe("a script", function()
  local app = tide.spec.bundle("room", { source = [[
    local global = _G
    tide.route("GET /has/{name}", function(req) return { has = rawget(global, req.params.name) ~= nil } end)
    tide.route("GET /leak", function() rawset(global, "leaked", 1) return { leaked = rawget(global, "leaked") } end)
    tide.route("POST /load", function(req)
      local f, why = load(assert(req:text()))
      if not f then
        return { why = why }
      end
      return { value = f() }
    end)
    tide.route("GET /hungry", function()
      local list = {}
      for i = 1, 1e9 do
        list[i] = ("x"):rep(1e6) .. i
      end
      return "full"
    end)
    tide.route("GET /small", function() return "fine" end)
    tide.route("GET /deep", function()
      local function down(n) return 1 + down(n + 1) end
      return { depth = down(1) }
    end)
  ]] })

  local function last_failure()
    local list = tide.spec.logged "handler failed"
    return list[#list].message
  end

  local function run(code)
    return app:post("/load", { body = code }):json()
  end

  it("has Lua's own library without what reaches outside", function()
    for _, name in ipairs { "string", "table", "math", "coroutine", "pcall", "os", "bit" } do
      assert.is_true(app:get("/has/" .. name):json().has, name)
    end
    for _, name in ipairs { "io", "ffi", "jit", "package", "dofile", "loadfile", "loadstring", "setfenv", "getfenv", "collectgarbage",
      "module", "newproxy", "print" } do
      assert.is_false(app:get("/has/" .. name):json().has, name)
    end
    for _, name in ipairs { "os.execute", "os.getenv", "os.exit", "string.dump", "debug.getinfo", "debug.sethook" } do
      assert.same({ value = "nil" }, run("return type(" .. name .. ")"))
    end
  end)

  it("may compile text, not bytecode", function()
    assert.same({ value = 3 }, run "return 1 + 2")
    assert.matches("near", run("return return").why)
    assert.equal("attempt to load chunk with wrong mode", run(string.dump(function() return 1 end)).why)
  end)

  it("that wants too much memory fails alone", function()
    assert.equal(500, app:get("/hungry").status)
    assert.matches("not enough memory %(the setting limits%.script_memory%)", last_failure())
    assert.equal("fine", app:get("/small").body)
  end)

  it("that calls itself without end fails alone", function()
    assert.equal(500, app:get("/deep").status)
    assert.matches("stack overflow", last_failure())
    assert.equal("fine", app:get("/small").body)
  end)

  it("is a bundle of its own: what it changes is not seen by another", function()
    app:get "/leak"
    local other = tide.spec.bundle("other", { source = 'local g = _G tide.route("GET /", function() return { leaked = rawget(g, "leaked") } end)' })
    assert.same({}, other:get("/"):json())
  end)
end)

describe("tide.id", function()
  it("new is another one each time, in the order of time", function()
    local first, second = tide.id.new(), tide.id.new()
    assert.matches("^" .. ("[0-9a-f]"):rep(24) .. "$", first)
    assert.not_equal(first, second)
    tide.spec.clock:jump "2s"
    assert.is_true(tide.id.new() > first)
  end)

  it("derive follows from its arguments", function()
    local id = tide.id.new()
    assert.equal(tide.id.derive(id, "mp3"), tide.id.derive(id:upper(), "mp3"))
    assert.not_equal(tide.id.derive(id, "mp3"), tide.id.derive(id, "mp4"))
    assert.not_equal(tide.id.derive(id, "mp3"), tide.id.derive(tide.id.new(), "mp3"))
  end)
end)

describe("tide.failure", function()
  it("is what primitives fail with", function()
    local err = tide.failure { code = "sold_out", message = "come back", retryable = true }
    assert.same({ "sold_out", "come back", true }, { err.code, err.message, err.retryable })
    assert.equal("sold_out: come back", tostring(err))
    assert.equal("tide.Failure", getmetatable(err).__name)
    assert.equal("tide.Failure", getmetatable(select(2, tide.json.decode "{")).__name)
    assert.is_false(tide.failure({ code = "a", message = "b" }).retryable)
  end)
end)
