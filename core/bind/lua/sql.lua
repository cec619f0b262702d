-- Statements with `?` parameters, and transactions.
local native, load = ...

local sql, Transaction = {}, {}

local function query(tx, statement, ...)
  local rows, err = native.sql_run(tx, statement, ...)
  if not rows then
    return nil, err
  end
  return rows
end

local function exec(tx, statement, ...)
  local rows, affected, last_id = native.sql_run(tx, statement, ...)
  if not rows then
    return nil, affected
  end
  return { affected = affected, last_id = last_id }
end

local function one(tx, statement, ...)
  local rows, err = query(tx, statement, ...)
  if not rows then
    return nil, err
  end
  return rows[1] or false
end

for name, run in pairs { query = query, exec = exec, one = one } do
  sql[name] = function(...) return run(nil, ...) end
  Transaction[name] = function(self, ...) return run(self.tx, ...) end
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

function sql.transaction(f)
  local tx, err = native.sql_begin()
  if not tx then
    return nil, err
  end
  return finish(tx, pcall(f, setmetatable({ tx = tx }, Transaction)))
end

load("api").define("sql", { ["tide.sql"] = sql, ["tide.Transaction"] = Transaction })
