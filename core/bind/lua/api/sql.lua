local STATEMENT = { name = "statement", type = "string", doc = "SQL with a `?` for each parameter" }
local PARAMETERS = { name = "...", label = "a parameter", type = "string|number|boolean|null", optional = true,
  lua = "string|number|boolean|lightuserdata|nil", doc = "at most 64: nil and `tide.json.null` are NULL, true is 1" }
local FAILS = {
  { "invalid", "the statement" },
  { "exists", "a unique key is taken" },
  { "limit", "over 10000 rows or 16 MiB" },
  { "too_large", "a value over 16 MiB" },
  { "full", "no space is left" },
  { "conflict", "with another transaction; retryable" },
  { "timeout", "over 10 s; retryable" },
  { "unavailable", "the database can't be reached; retryable" },
}
local ONE_FAILS = { { "not_found", "there is no row" }, unpack(FAILS) }
local ROWS = { { name = "rows", type = "table", lua = "table<string, any>[]", doc = "each `{ column = value }`; NULL is nil" } }
local ROW = { { name = "row", type = "table", lua = "table<string, any>", doc = "the first row" } }
local RESULT = { { name = "result", type = "table", lua = "{ affected: integer, last_id: integer }",
  doc = "rows that were met, and the id of the row inserted (of several: the last; MySQL: the first)" } }

return {
  title = "SQL",
  text = [[
One database for all bundles (the setting `sql`). Statements are prepared: values only ever go in as parameters. The tables of a bundle
come from its schema files `schema/NNN_name.sql` (or `NNN_name.sqlite.sql`, `NNN_name.mysql.sql`), which the engine applies once and in
order before it starts. For the same SQL on MySQL: texts stand in single quotes and have no escapes, double quotes are around names, `||`
joins texts. A transaction holds no `CREATE` and the like. DECIMAL comes as a number while one can hold its digits, and as text beyond;
dates and times come as text, in UTC.]],
  {
    name = "tide.sql.query",
    doc = "Runs a statement and gives its rows.",
    waits = true,
    params = { STATEMENT },
    variadic = PARAMETERS,
    returns = ROWS,
    fails = FAILS,
    example = [[local rows = assert(tide.sql.query("SELECT id, name FROM item WHERE price < ?", 100))]],
  },
  {
    name = "tide.sql.one",
    doc = "Runs a statement and gives its first row. Where there may be none, `tide.sql.query(...)` and `[1]` give nil for it.",
    waits = true,
    params = { STATEMENT },
    variadic = PARAMETERS,
    returns = ROW,
    fails = ONE_FAILS,
    example = [[local item = assert(tide.sql.one("SELECT name, price FROM item WHERE id = ?", id)) -- a request is answered with 404]],
  },
  {
    name = "tide.sql.exec",
    doc = "Runs a statement that changes something.",
    waits = true,
    params = { STATEMENT },
    variadic = PARAMETERS,
    returns = RESULT,
    fails = FAILS,
    example = [[assert(tide.sql.exec("INSERT INTO item (name, price) VALUES (?, ?)", name, price))]],
  },
  {
    name = "tide.sql.transaction",
    doc = "Runs a function in a write transaction: committed when it returns, rolled back when it raises or returns nil and a failure. "
      .. "What it has read stays as it is until then. SQLite runs one at a time; MySQL runs several, and of two in each other's way it "
      .. "undoes one, whose function is run again, up to 9 times: it should do nothing that a rollback doesn't undo.",
    waits = true,
    params = { { name = "f", type = "function", lua = "fun(tx: tide.Transaction): any, tide.Failure?",
      doc = "gets the transaction, which ends after 30 s at the latest; in it `tide.sql` itself is refused" } },
    returns = { { name = "value", type = "any", doc = "what `f` returned; true when that was nothing" } },
    fails = FAILS,
    example = [[
assert(tide.sql.transaction(function(tx)
  assert(tx:exec("UPDATE account SET balance = balance - ? WHERE id = ?", sum, from))
  return assert(tx:exec("UPDATE account SET balance = balance + ? WHERE id = ?", sum, to))
end))]],
  },
  { name = "tide.Transaction", doc = "A transaction, in the hands of the function that runs in it.", fields = {} },
  {
    name = "tide.Transaction:query", doc = "As `tide.sql.query`, in the transaction.", waits = true,
    params = { STATEMENT }, variadic = PARAMETERS, returns = ROWS, fails = FAILS,
  },
  {
    name = "tide.Transaction:one", doc = "As `tide.sql.one`, in the transaction.", waits = true,
    params = { STATEMENT }, variadic = PARAMETERS, returns = ROW, fails = ONE_FAILS,
  },
  {
    name = "tide.Transaction:exec", doc = "As `tide.sql.exec`, in the transaction.", waits = true,
    params = { STATEMENT }, variadic = PARAMETERS, returns = RESULT, fails = FAILS,
  },
}
