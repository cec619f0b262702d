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
      return pcall(tide.spec.bundle, "probe", { files = { ["init.lua"] = "-- tables alone", ["schema/" .. name] = "SELECT 1;" } })
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

  it("takes what may be the script's own for that", function()
    assert(tide.spec.bundle("probe", { source = [[
      local respond, store, made = tide.respond, tide.bucket "probe", nil
      tide.every("1h", function() respond = { made = function() end } store = {} made = "x" end)
      tide.every("1h", function() return respond.made(), store:made(), made end)
      tide.every("1h", function()
        local mine = { foo = function() end, text = function() end, create = function() end }
        local function own() return mine end
        return (mine or tide).foo(), (own() or tide.respond).foo(), (mine and mine.text or tide.respond.text) "x",
          (mine or tide.bucket "probe"):create { nam = "x" }
      end)]] }))
  end)

  it("looks through a long function in the time that a load has", function()
    local source = { "tide.every('1h', function(x)" }
    for i = 1, 150 do
      source[#source + 1] = ("local f%d = tide.respond.json"):format(i)
    end
    source[#source + 1] = ("do local t = { x, x, y = x } end\n"):rep(8000) .. "end)"
    assert(tide.spec.bundle("probe", { source = table.concat(source, "\n") }))
  end)

  it("finds what stands behind a branch", function()
    local report = problem [[
      local respond = tide.respond
      tide.every("1h", function()
        local late = tide.now() > 0 and respond.txt or respond.text
        return late, (tide.now() > 0 and 1 or respond).text
      end)]]
    assert.matches("init.lua:3: tide.respond has no 'txt' (did you mean 'text'?)", report, 1, true)
  end)

  it("tells all that is wrong with options, those of options too", function()
    assert.equal("init.lua:1: tide.route: unknown option 'limt' (did you mean 'limit'?)\n"
      .. "      1 | tide.route('GET /x', { timout = '1s', limt = {}, cpu = 'soon', limit = { rat = '1/s', body = 8.5 } }, function() end)\n"
      .. "                                                ^~~~\n"
      .. "  known options: limit, timeout, cpu, params, query\n"
      .. "  also: unknown option 'timout' (did you mean 'timeout'?)\n"
      .. "  also: limit: unknown option 'rat' (did you mean 'rate'?)\n"
      .. "  known options: body, rate\n"
      .. [[  also: limit: 'body' must be a size such as "512B", "8KiB", "2MiB" or "5GiB" or a whole number, not 8.5]] .. "\n"
      .. [[  also: 'cpu' must be a duration such as "250ms", "30s", "25m" or "2h", not "soon"]],
      problem "tide.route('GET /x', { timout = '1s', limt = {}, cpu = 'soon', limit = { rat = '1/s', body = 8.5 } }, function() end)")
  end)

  it("tells what is wrong in a handler beside a wrong declaration", function()
    local report = problem [[
      local respond = tide.respond
      tide.route("GET /x", { limt = {} }, function() return respond.jsn(200, {}) end)]]
    assert.matches("unknown option 'limt'", report, 1, true)
    assert.matches("tide.respond has no 'jsn' (did you mean 'json'?)", report, 1, true)
  end)

  it("looks into modules", function()
    local loaded, report = pcall(tide.spec.bundle, "probe", { files = {
      ["init.lua"] = "local jobs = require 'jobs'", ["jobs.lua"] = "return function() return undefned end",
    } })
    assert.is_false(loaded)
    assert.matches("jobs.lua:1: undefined global 'undefned'", report, 1, true)
  end)
end)
