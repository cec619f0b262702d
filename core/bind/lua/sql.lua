-- Statements with `?` parameters, and transactions.
local native, load = ...

local report, Failure = load "report", load "failure"
local running = load("sandbox").raw_running -- of a task too, where scripts see nil
local sql, Transaction = {}, {}
local inside = setmetatable({}, { __mode = "k" }) -- coroutines that run a transaction's function

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
  if not rows[1] then
    return nil, setmetatable({ code = "not_found", message = "there is no such row", retryable = false }, Failure)
  end
  return rows[1]
end

-- There is one writer: who holds it would wait for itself until the timeout, and a read would not see what it has written.
local function refuse_inside(name, instead)
  if inside[running()] then
    report.misuse(("tide.sql.%s: this is inside a transaction; %s"):format(name, instead))
  end
end

for name, run in pairs { query = query, exec = exec, one = one } do
  local instead = ("use its own, tx:%s(...)"):format(name)
  sql[name] = function(...)
    refuse_inside(name, instead)
    return run(nil, ...)
  end
  Transaction[name] = function(self, ...) return run(self.tx, ...) end
end

local function finish(tx, ok, value, err)
  inside[running()] = nil
  local good = ok and not (value == nil and err ~= nil)
  local ended, why = native.sql_end(tx, good)
  if not ok then
    error(value, 0)
  elseif good and not ended then
    return nil, why
  end
  if value == nil and good then
    return true
  end
  return value, err
end

function sql.transaction(f)
  refuse_inside("transaction", "pass `tx` on instead")
  local tx, err = native.sql_begin()
  if not tx then
    return nil, err
  end
  inside[running()] = true
  return finish(tx, pcall(f, setmetatable({ tx = tx }, Transaction)))
end

load("api").define("sql", { ["tide.sql"] = sql, ["tide.Transaction"] = Transaction })
