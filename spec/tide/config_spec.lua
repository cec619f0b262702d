-- tide.config: the settings that a bundle declares.
describe("tide.config", function()
  local function values(declarations, settings, name)
    local app = tide.spec.bundle(name or "shop", { settings = settings, files = {
      ["init.lua"] = 'require "settings"', ["settings.lua"] = "local values = tide.config " .. declarations .. [[

        return { all = function() return values end }]],
    } })
    return app:call("settings", "all")
  end

  local function problem(declarations, settings)
    local good, report = pcall(values, declarations, settings)
    assert.is_false(good)
    return report
  end

  it("gives what is set, converted to its type, and defaults for the rest", function()
    assert.same({ quality = "V2", port = 25, ratio = 0.5, on = true, wait = "90s", most = "5GiB", rate = "2/s",
      list = { 1, 2 }, secret = ("s"):rep(32) }, values([[{
        quality = { "string", default = "V2" },
        port = { "integer", default = 1 },
        ratio = { "number" },
        on = { "boolean", default = false },
        wait = { "duration", default = "90s" },
        most = { "size", default = "5GiB" },
        rate = { "rate", default = "2/s" },
        list = { "table" },
        secret = { "secret" },
        nothing = { "string", optional = true },
        no_secret = { "secret", optional = true },
      }]], { port = "25", ratio = 0.5, on = "true", list = { 1, 2 }, secret = ("s"):rep(32) }))
  end)

  it("refuses settings of a bundle that declares none", function()
    local loaded, report = pcall(tide.spec.bundle, "shop", { source = "-- nothing", settings = { port = 1 } })
    assert.is_false(loaded)
    assert.matches("unknown setting 'port'\n  known settings: none, the bundle declares none with tide.config", report, 1, true)
  end)

  it("makes up a secret that may be generated, and keeps it", function()
    local secret = values('{ key = { "secret", generate = true } }').key
    assert.is_true(#secret >= 32)
    assert.equal(secret, values('{ key = { "secret", generate = true } }').key)
    assert.not_equal(secret, values('{ key = { "secret", generate = true } }', nil, "other").key)
    assert.equal("600", io.popen(("stat -c %%a '%s/secrets/shop.key'"):format(tide.spec.data)):read "*l")
  end)

  it("refuses a setting of another type, that is missing or not known, before anything is served", function()
    assert.matches("bundles.shop.port (TIDEMILL_SHOP_PORT): must be a whole number, not ten",
      problem('{ port = { "integer" } }', { port = "ten" }), 1, true)
    assert.matches("bundles.shop.port (TIDEMILL_SHOP_PORT): must be a whole number, not missing", problem '{ port = { "integer" } }', 1, true)
    assert.matches("unknown setting 'qualty' (did you mean 'quality'?)",
      problem('{ quality = { "string", default = "V2" }, port = { "integer", default = 1 } }', { qualty = "V0" }), 1, true)
    assert.matches('must be a duration such as "250ms"', problem('{ wait = { "duration" } }', { wait = 5 }), 1, true)
  end)

  it("tells all settings that are wrong", function()
    local report = problem('{ port = { "integer" }, wait = { "duration" }, key = { "secret" } }', { port = "ten", wait = 5, kee = "x" })
    assert.matches("bundles.shop.key .*\n.*bundles.shop.port .*\n.*bundles.shop.wait .*\n.*unknown setting 'kee' %(did you mean 'key'%?%)", report)
  end)

  it("finds a setting that is read and not declared, before the handler runs", function()
    local loaded, report = pcall(tide.spec.bundle, "shop", { files = {
      ["init.lua"] = 'local config = require "config"\ntide.every("1h", function() return config.qualty end)',
      ["config.lua"] = 'return tide.config { quality = { "string", default = "V2" }, port = { "integer", optional = true } }',
    } })
    assert.is_false(loaded)
    assert.matches("shop/init.lua:2: tide.config has no 'qualty' (did you mean 'quality'?)", report, 1, true)
    assert.matches("declared are: port, quality", report, 1, true)
  end)

  it("raises when it is read by a name that is made up as it runs; what is optional is nil", function()
    local app = tide.spec.bundle("shop", { source = [[
      local config = tide.config { port = { "integer", optional = true } }
      tide.route("GET /{name}", function(req) return { value = config[req.params.name] or "none" } end)]] })
    assert.same({ value = "none" }, app:get("/port"):json())
    assert.equal(500, app:get("/prot").status)
    local list = tide.spec.logged "handler failed"
    assert.matches("init.lua:2: tide.config has no 'prot' (did you mean 'port'?)", list[#list].message, 1, true)
  end)

  it("refuses a short secret without showing it", function()
    local report = problem('{ key = { "secret" } }', { key = "hunter2" })
    assert.matches("bundles.shop.key (TIDEMILL_SHOP_KEY): a secret of at least 32 bytes is needed", report, 1, true)
    assert.is_nil(report:find("hunter2", 1, true))
    assert.equal("hunter2", values('{ key = { "secret", min = 7 } }', { key = "hunter2" }).key)
    assert.matches("a secret of at least 32 bytes is needed", problem('{ key = { "secret", optional = true } }', { key = "hunter2" }), 1, true)
  end)

  it("refuses a wrong declaration, with its file and line", function()
    assert.matches("settings.lua:1: tide.config: port: unknown option 'defalt' (did you mean 'default'?)",
      problem '{ port = { "integer", defalt = 1 } }', 1, true)
    assert.matches([[settings.lua:1: tide.config: port: 'default' must be a whole number, not "x"]],
      problem('{ port = { "integer", default = "x" } }', { port = 25 }), 1, true)
    assert.matches("settings.lua:1: tide.config: port: the type must be one of", problem '{ port = { "int" } }', 1, true)
  end)

  it("is no longer there for handlers", function()
    local app = tide.spec.bundle("late", { source = 'tide.route("GET /", function() return tide.config {} end)' })
    assert.equal(500, app:get("/").status)
    local list = tide.spec.logged "handler failed"
    assert.matches("init.lua:1: tide.config: declares, so it stands at the top of a file", list[#list].message)
  end)
end)
