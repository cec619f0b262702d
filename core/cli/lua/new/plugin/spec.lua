-- plugins/NAME/spec/NAME_spec.lua: with plugins = { "NAME" } in the settings, `tidemill test NAME` runs it.
describe("NAME", function()
  local app = tide.spec.bundle("user", { source = [[
    local plugin = require "NAME"
    tide.route("POST /words", function(req)
      return { words = plugin.words(assert(req:text())) }
    end)
  ]] })

  it("counts words", function()
    assert.same({ words = 3 }, app:post("/words", { body = " one two  three" }):json())
    assert.same({ words = 0 }, app:post("/words", { body = "" }):json())
  end)
end)
