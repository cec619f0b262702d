-- Statements with `?` parameters, and transactions.
local native, load = ...

local check = load "check"
local sql = {}

local STATEMENT = { name = "statement", type = "string", doc = "SQL with a ? for each parameter" }

local function methods(where, tx)
  local m = {}

  -- The rows, each { column = value } (NULL is nil).
  function m.query(statement, ...)
    check.value(where .. ".query", STATEMENT, statement)
    local rows, err = native.sql_run(tx, statement, ...)
    if not rows then
      return nil, err
    end
    return rows
  end

  -- { affected, last_id }
  function m.exec(statement, ...)
    check.value(where .. ".exec", STATEMENT, statement)
    local rows, affected, last_id = native.sql_run(tx, statement, ...)
    if not rows then
      return nil, affected
    end
    return { affected = affected, last_id = last_id }
  end

  -- The first row, or false when there is none.
  function m.one(statement, ...)
    local rows, err = m.query(statement, ...)
    if not rows then
      return nil, err
    end
    return rows[1] or false
  end

  return m
end

local plain = methods("tide.sql")
sql.query, sql.exec, sql.one = plain.query, plain.exec, plain.one

local function as_method(f)
  return function(_, ...)
    return f(...)
  end
end

local function finish(tx, ok, value, err)
  local good = ok and not (value == nil and err ~= nil)
  local ended, why = native.sql_end(tx, good)
  if not ok then
    error(value, 0)
  elseif good and not ended then
    return nil, why
  end
  return value, err
end

-- Runs f(tx) in a transaction: committed when it returns, rolled back when it raises or returns nil and a failure.
function sql.transaction(f)
  check.value("tide.sql.transaction", { name = "f", type = "function" }, f)
  local tx, err = native.sql_begin()
  if not tx then
    return nil, err
  end
  local m = methods("tx", tx)
  return finish(tx, pcall(f, { query = as_method(m.query), exec = as_method(m.exec), one = as_method(m.one) }))
end

return sql
