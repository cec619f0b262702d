-- tide.json: values as JSON and back.
describe("tide.json", function()
  local json = tide.json

  it("writes and reads what JSON has", function()
    local value = { text = "a/\"\\ü\n\0", whole = 99999999999999, half = 0.5, yes = true, list = { 1, { 2 } }, none = json.null, object = {} }
    assert.same(value, json.decode(json.encode(value)))
    assert.equal('"http://a/b"', json.encode "http://a/b")
    assert.equal("99999999999999", json.encode(99999999999999))
    assert.equal("0.1", json.encode(0.1))
    assert.equal("[1,null,3]", json.encode { 1, json.null, 3 })
    assert.equal('{"a":null}', json.encode { a = json.null })
  end)

  it("writes an empty list as a list when it is told that it is one", function()
    assert.equal("{}", json.encode {})
    assert.equal("[]", json.encode(json.array {}))
    assert.equal('{"a":[[],{},[]]}', json.encode { a = { json.array {}, {}, json.array {} } })
    assert.equal("[1,2]", json.encode(json.array { 1, 2 }))
    assert.equal("[]", json.encode(json.decode "[]" and json.array(json.decode "[]")))
  end)

  it("fails on what is no JSON", function()
    for _, text in ipairs { "", "{", "[1,]", "{'a':1}", "nul", "1 2", "NaN", "Infinity", "0x10", ("["):rep(65) .. ("]"):rep(65) } do
      local value, err = json.decode(text)
      assert.is_nil(value, text)
      assert.same({ "invalid", false }, { err.code, err.retryable })
      assert.is_true(#err.message > 0)
    end
  end)

  it("fails on what can't be written", function()
    local cycle = {}
    cycle[1] = cycle
    for _, value in ipairs { cycle, { print }, { [true] = 1 }, { 0 / 0 }, { math.huge } } do
      local text, err = json.encode(value)
      assert.is_nil(text)
      assert.equal("invalid", err.code)
    end
  end)

  it("names a wrong argument, and who gave it", function()
    local _, why = pcall(function() return (json.decode(5)) end)
    assert.matches("json_spec.lua:%d+: tide.json.decode: 'text' must be a string, not 5", why)
    _, why = pcall(function() return (json.array "a") end)
    assert.matches("json_spec.lua:%d+: tide.json.array: 'list' must be a table, not \"a\"", why)
  end)
end)
