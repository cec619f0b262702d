-- Wrong calls in handlers; those at load are in spec/e2e/05-misuse.sh.
describe("a wrong call in a handler", function()
  local app = tide.spec.bundle("misuse", { source = [[
tide.route("GET /problem", function()
  return tide.respond.problem(404, nil)
end)
tide.route("GET /option", function()
  local made = tide.bucket("misuse"):create { nam = "x" }
  return made.id
end)
tide.route("GET /declares", function()
  tide.every("1h", function() end)
  return "declared"
end)
tide.route("GET /closed", function()
  local file = tide.bucket("misuse"):create()
  file:drop()
  return tostring(file:commit())
end)
tide.route("GET /failure", function()
  return nil, tide.failure { code = "not_found", message = "gone with the wind" }
end)
tide.route("GET /nothing", function() end)
]] })

  -- What the log says of the handler's failure.
  local function failed(path)
    local before = #tide.spec.logged "handler failed"
    assert.equal(500, app:get(path).status)
    local logged = tide.spec.logged "handler failed"
    assert.equal(before + 1, #logged)
    return logged[#logged].message
  end

  it("is told with the line and what was meant", function()
    local message = failed "/option"
    assert.matches("misuse/init%.lua:5: tide%.Bucket:create: unknown option 'nam' %(did you mean 'name'%?%)", message)
  end)

  it("is told with the handler's line when it was a tail call", function()
    assert.matches("misuse/init%.lua:1: tide%.respond%.problem: 'detail' is missing %(in the function that begins here%)", failed "/problem")
  end)

  it("is told when it declares", function()
    assert.matches("misuse/init%.lua:9: tide%.every: declares, so it stands at the top of a file", failed "/declares")
  end)

  it("is told with the script's line when a C function finds it", function()
    assert.matches("misuse/init%.lua:15: this file is closed", failed "/closed")
  end)

  it("is returning nothing", function()
    assert.matches("the handler returned nothing; it must return an answer", failed "/nothing")
  end)

  it("is not: to return nil and a failure", function()
    local answer = app:get "/failure"
    assert.equal(404, answer.status)
    assert.equal("gone with the wind", answer:json().detail)
  end)
end)
