-- `tidemill test` runs this in the engine, on backends of its own.
describe("NAME", function()
  local app = tide.spec.bundle "NAME"

  it("says hello", function()
    local answer = app:request("GET /hello/world")
    assert.equal(200, answer.status)
    assert.same({ hello = "world" }, answer:json())
  end)

  it("queues a greeting", function()
    assert.equal(202, app:request("POST /greetings/world").status)
    assert.same({ { name = "world" } }, app:published("NAME.greetings"))
  end)

  it("greets", function()
    app:deliver("NAME.greetings", { name = "world" })
    assert.same({}, app:dead_letters("NAME.greetings", { "code" }))
  end)
end)
