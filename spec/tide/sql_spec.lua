-- tide.sql: statements with parameters, and transactions.
describe("tide.sql", function()
  local sql, together = tide.sql, tide.spec.together

  setup(function()
    local key = sql.query "SELECT sqlite_version()" and "INTEGER PRIMARY KEY" or "INTEGER AUTO_INCREMENT PRIMARY KEY"
    assert(sql.exec("CREATE TABLE fruit (id " .. key .. ", name VARCHAR(100) UNIQUE, weight DOUBLE, fresh INTEGER)"))
    assert(sql.exec "CREATE TABLE digit (d INTEGER)")
    assert(sql.exec "INSERT INTO digit VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)")
  end)
  before_each(function() assert(sql.exec "DELETE FROM fruit") end)

  local function count(name)
    return assert(sql.query("SELECT count(*) AS n FROM fruit WHERE name = ?", name))[1].n
  end

  -- The message of a call that is the script's own mistake.
  local function mistake(f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok)
    return message
  end

  describe("query, one, exec", function()
    it("give back what was stored", function()
      local done = assert(sql.exec("INSERT INTO fruit (name, weight, fresh) VALUES (?, ?, ?)", "apple", 1.5, true))
      assert.equal(1, done.affected)
      assert.same({ { id = done.last_id, name = "apple", weight = 1.5, fresh = 1 } }, assert(sql.query "SELECT * FROM fruit"))
    end)

    it("keep values as they are: bytes, large whole numbers, NULL", function()
      local bytes = "a\0b'\"\255; DROP TABLE fruit; --"
      local row = assert(sql.one("SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e", bytes, 2 ^ 53, -0.1, nil, false))
      assert.same({ a = bytes, b = 2 ^ 53, c = -0.1, e = 0 }, row)
      assert.same({ n = 1 }, assert(sql.one("SELECT ? IS NULL AS n", nil)))
      assert.same({ n = 1 }, assert(sql.one("SELECT ? IS NULL AS n", tide.json.decode('{"n":null}').n)))
    end)

    it("take no row for a failure only where one is wanted", function()
      local row, err = sql.one "SELECT * FROM fruit"
      assert.same({ nil, "not_found: there is no such row", false }, { row, tostring(err), err.retryable })
      assert.same({}, sql.query "SELECT * FROM fruit")
      assert.equal(0, assert(sql.exec "DELETE FROM fruit").affected)
    end)

    it("tell the mistakes of the script by file and line", function()
      assert.matches("^spec/tide/sql_spec.lua:%d+: tide.sql.query: 'statement' is missing", mistake(function() sql.query() end))
      assert.matches("^spec/tide/sql_spec.lua:%d+: tide.sql.exec: 'statement' must be a string, not a table",
        mistake(function() sql.exec {} end))
      assert.matches("^spec/tide/sql_spec.lua:%d+: tide.sql.one: a parameter must be .*, not a table",
        mistake(function() sql.one("SELECT ?", {}) end))
      assert.matches("at most 64 parameters", mistake(sql.query, "SELECT 1", unpack({}, 1, 65)))
    end)

    it("say which kind of failure it was", function()
      local function code(statement, ...)
        local value, err = sql.exec(statement, ...)
        assert.is_nil(value)
        assert.is_false(err.retryable)
        return err.code
      end
      assert(sql.exec("INSERT INTO fruit (name) VALUES (?)", "apple"))
      assert.equal("exists", code("INSERT INTO fruit (name) VALUES (?)", "apple"))
      assert.equal("invalid", code "SELECT * FROM vegetable")
      assert.equal("invalid", code "")
      assert.equal("invalid", code "SELECT 1; DELETE FROM fruit")
      assert.equal("invalid", code "SELECT 1\0")
      assert.equal("invalid", code("SELECT ?, ?", 1))
      assert.equal("invalid", code("SELECT ?", 1, 2))
      assert.equal("invalid", code "BEGIN")
      assert.equal("limit", code "SELECT a.d FROM digit a, digit b, digit c, digit d UNION ALL SELECT 1")
      assert.equal("limit", code("SELECT ? AS v FROM digit a, digit b", ("x"):rep(1048576)))
      assert.equal("too_large", code("SELECT ?", ("x"):rep(17 * 1024 * 1024)))
      assert.is_nil(sql.query("SELECT ? LIKE ?", ("a"):rep(50000), ("%a"):rep(20000) .. "b")) -- each % takes the thread's stack
      assert.equal(1, count "apple")
    end)

    it("keep their parameters while they run", function()
      local function echo(letter)
        return function() return assert(sql.one("SELECT ? AS v", letter:rep(100000))).v == letter:rep(100000) end
      end
      assert.is_true(together(echo "a", function() collectgarbage() return true end, echo "b", collectgarbage))
    end)
  end)

  describe("transaction", function()
    local function insert(tx, name)
      return tx:exec("INSERT INTO fruit (name) VALUES (?)", name)
    end

    it("commits when its function returns; before, nobody else sees what it has done", function()
      local inserted, before
      local result = together(function()
        return sql.transaction(function(tx)
          inserted = assert(insert(tx, "pear"))
          tide.spec.eventually(function() return before end)
          return assert(tx:one "SELECT name FROM fruit").name
        end)
      end, function()
        tide.spec.eventually(function() return inserted end)
        before = count "pear"
      end)
      assert.same({ 0, "pear", 1 }, { before, result, count "pear" })
    end)

    it("gives true when its function returns nothing", function()
      assert.is_true(sql.transaction(function(tx) assert(insert(tx, "plum")) end))
      assert.equal(1, count "plum")
    end)

    it("rolls back and raises what its function raised", function()
      local thrown = tide.failure { code = "sour", message = "too sour" }
      local ok, raised = pcall(sql.transaction, function(tx)
        assert(insert(tx, "lemon"))
        error(thrown)
      end)
      assert.is_false(ok)
      assert.equal(thrown, raised)
      assert.equal(0, count "lemon")
      assert.matches("sql_spec.lua:%d+: oops$", mistake(sql.transaction, function() error "oops" end))
    end)

    it("rolls back and returns the failure that its function returned", function()
      local value, err = sql.transaction(function(tx)
        assert(insert(tx, "lemon"))
        return insert(tx, "lemon")
      end)
      assert.same({ nil, "exists" }, { value, err.code })
      assert.equal(0, count "lemon")
    end)

    it("goes on after a failure that its function has dealt with", function()
      assert(sql.transaction(function(tx)
        assert(insert(tx, "fig"))
        assert.equal("exists", select(2, insert(tx, "fig")).code)
        assert(insert(tx, "date"))
      end))
      assert.same({ 1, 1 }, { count "fig", count "date" })
    end)

    it("loses no update to another one", function()
      assert(sql.exec "INSERT INTO fruit (name, weight) VALUES ('melon', 0)")
      local function grow()
        return assert(sql.transaction(function(tx)
          local weight = assert(tx:one "SELECT weight FROM fruit WHERE name = 'melon'").weight
          tide.sleep "3ms"
          return assert(tx:exec("UPDATE fruit SET weight = ? WHERE name = 'melon'", weight + 1))
        end))
      end
      together(grow, grow, grow, grow, grow, grow, grow, grow)
      assert.equal(8, assert(sql.one "SELECT weight FROM fruit WHERE name = 'melon'").weight)
    end)

    it("is not waited for by its own function: tide.sql is refused in it, in words", function()
      local function inside(f)
        return mistake(sql.transaction, function(tx) assert(insert(tx, "kiwi")) f() end)
      end
      assert.matches("^spec/tide/sql_spec.lua:%d+: tide.sql.exec: this is inside a transaction; use its own, tx:exec",
        inside(function() sql.exec "DELETE FROM fruit" end))
      assert.matches("tide.sql.transaction: this is inside a transaction", inside(function() sql.transaction(insert) end))
      assert.same({ 0, 1 }, { count "kiwi", assert(sql.exec "INSERT INTO fruit (name) VALUES ('kiwi')").affected })
    end)

    it("is over when it is over", function()
      local kept
      assert(sql.transaction(function(tx) kept = tx end))
      assert.matches("this transaction has ended", mistake(function() kept:exec "DELETE FROM fruit" end))
      assert.matches("tide.sql.transaction: 'f' must be a function, not a table", mistake(sql.transaction, {}))
    end)
  end)

  describe("in a handler that ends early", function()
    local app = tide.spec.bundle("market", { source = [[
      tide.route("POST /hold", function()
        return tide.sql.transaction(function(tx)
          assert(tx:exec "INSERT INTO fruit (name) VALUES ('held')")
          tide.log.info("holding")
          tide.sleep "1m"
        end)
      end)

      tide.route("POST /late", { timeout = "50ms" }, function()
        return tide.sql.transaction(function(tx)
          assert(tx:exec "INSERT INTO fruit (name) VALUES ('held')")
          tide.sleep "1m"
        end)
      end)

      tide.route("POST /wrong", function()
        assert(tide.sql.query "SELECT wrong")
      end)

      tide.route("POST /endless", { timeout = "50ms" }, function()
        return tide.sql.query("SELECT count(*) FROM digit a, digit b, digit c, digit d, digit e, digit f, digit g, digit h, digit i, digit j")
      end)
    ]] })

    -- The writer is free again, and what was held is undone.
    local function is_undone()
      assert(sql.exec "INSERT INTO fruit (name) VALUES ('next')")
      return count "held" == 0 and count "next" == 1
    end

    it("a transaction is rolled back when the client goes away", function()
      local answer, err = app:request { method = "POST", path = "/hold", timeout = "200ms" }
      assert.same({ nil, "timeout" }, { answer, err.code })
      assert.equal(1, #tide.spec.logged "holding")
      assert.is_true(is_undone())
    end)

    it("a transaction is rolled back when the time of the handler is up", function()
      assert.equal(504, app:post("/late").status)
      assert.is_true(is_undone())
    end)

    it("a failure that it asserts is logged with its place", function()
      assert.equal(500, app:post("/wrong").status)
      assert.matches("init.lua:%d+$", tide.spec.logged("handler failed")[1].at)
    end)

    it("a statement is interrupted", function()
      assert.equal(504, app:post("/endless").status)
      assert.is_true(is_undone())
    end)
  end)
end)
