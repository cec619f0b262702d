describe("loading a bundle", function()
  local function problem(source)
    local loaded, report = pcall(tide.spec.bundle, "probe", { source = source })
    assert.is_false(loaded)
    return (report:gsub("%S*/probe/", ""))
  end

  it("finds an undefined global in a handler before it runs", function()
    assert.equal("init.lua:2: undefined global 'tosting' (did you mean 'tostring'?)\n"
      .. "      2 |   return tosting(req.path)\n"
      .. "                   ^~~~~~~", problem [[
tide.route("GET /x", function(req)
  return tosting(req.path)
end)]])
  end)

  it("finds a global that would leak from request to request", function()
    assert.matches("init.lua:1: assignment to undefined global 'count': write `local count = ...`",
      problem "tide.route('GET /x', function() count = 1 end)", 1, true)
  end)

  it("finds a primitive that isn't there, and every further problem", function()
    local report = problem [[
tide.route("GET /x", function() return tide.sql.qeury("SELECT 1") end)
tide.route("GET /y", function() return nothing end)]]
    assert.matches("init.lua:1: tide.sql has no 'qeury' (did you mean 'query'?)", report, 1, true)
    assert.matches("init.lua:2: undefined global 'nothing'", report, 1, true)
  end)

  it("refuses a schema file that would be passed over for its name", function()
    local function load_with(name)
      return pcall(tide.spec.bundle, "probe", { files = { ["init.lua"] = "", ["schema/" .. name] = "SELECT 1;" } })
    end
    for _, name in ipairs { "1_u.sql", "002-v.sql", "000_u.sql", "001_.sql", "0001_u.sql", "001_u.a.b.sql", "001_u..sql", "u.sql" } do
      local loaded, report = load_with(name)
      assert.is_false(loaded, name)
      assert.matches("probe/schema/" .. name .. ": a schema file is named NNN_name.sql or NNN_name.DIALECT.sql", report, 1, true)
    end
    assert.is_true(load_with "001_u.sql")
    assert.is_true(load_with "002_u.mysql.sql")
    assert.is_true(load_with ".3_u.sql")
    assert.is_true(load_with "notes.txt")
  end)

  it("tells what is used instead of Lua's own that scripts don't have", function()
    assert.matches("init.lua:1: undefined global 'print' (write to the log: tide.log.info)", problem "print 'x'", 1, true)
    assert.matches("undefined global 'io' (files are in buckets", problem "io.open 'x'", 1, true)
    assert.matches("init.lua:1: os has no 'execute'; scripts have os.time, os.date, os.clock and os.difftime", problem "os.execute 'x'", 1, true)
  end)

  it("tells what is wrong with a route once, and where the one is that is there already", function()
    assert.matches("init.lua:1: tide.route: '/a': a route must begin with GET", problem "tide.route('/a', function() end)", 1, true)
    assert.matches("init.lua:3: tide.route: 'GET /a/{y}': this route is there already",
      problem "tide.route('GET /b', function() end)\ntide.route('GET /a/{x}', function() end)\ntide.route('GET /a/{y}', function() end)", 1, true)
  end)

  it("looks into modules", function()
    local loaded, report = pcall(tide.spec.bundle, "probe", { files = {
      ["init.lua"] = "local jobs = require 'jobs'", ["jobs.lua"] = "return function() return undefned end",
    } })
    assert.is_false(loaded)
    assert.matches("jobs.lua:1: undefined global 'undefned'", report, 1, true)
  end)
end)
