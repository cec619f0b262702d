describe("tide.sql", function()
  local sql = tide.sql

  setup(function()
    assert(sql.exec "CREATE TABLE fruit (id INTEGER PRIMARY KEY, name TEXT UNIQUE, weight REAL)")
  end)

  it("gives back what was stored", function()
    local done = assert(sql.exec("INSERT INTO fruit (name, weight) VALUES (?, ?)", "apple", 1.5))
    assert.equal(1, done.affected)
    assert.same({ { id = done.last_id, name = "apple", weight = 1.5 } }, assert(sql.query "SELECT * FROM fruit"))
  end)

  it("says which kind of failure it was", function()
    local rows, err = sql.query "SELECT * FROM vegetable"
    assert.is_nil(rows)
    assert.equal("invalid", err.code)
  end)
end)
