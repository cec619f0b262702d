-- scripts/NAME/spec/NAME_spec.lua: `tidemill test NAME` runs it in the engine, on backends of its own.
describe("NAME", function()
  local app = tide.spec.bundle "NAME"

  it("greets", function()
    local answer = app:get "/hello/ann"
    assert.equal(200, answer.status)
    assert.same({ hello = "ann" }, answer:json())
  end)

  it("takes a greeting and says so in the log", function()
    assert.equal(202, app:post("/greetings/bob").status)
    app:deliver("NAME.greetings", { name = "cleo" })             -- waits until the queue is empty
    local logged = tide.spec.logged "greeted"
    assert.equal("bob", logged[1].fields.name)
    assert.equal("cleo", logged[2].fields.name)
  end)

  it("sends a malformed message to the dead letters", function()
    assert.equal("dead", app:deliver("NAME.greetings", "{}"))
    assert.same({ { code = "bad_message", attempts = 1 } }, app:dead_letters("NAME.greetings", { "code", "attempts" }))
  end)
end)
