-- Statements with `?` parameters, and transactions.
local native, load = ...

local report, Failure = load "report", load "failure"
local running = load("sandbox").raw_running -- of a task too, where scripts see nil
local sql, Transaction = {}, {}
local TRIES = 9 -- of a transaction that others are in the way of; the pauses add up to about a second
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

-- Another transaction was in the way: this one is undone, and may come through next time.
local function is_conflict(err)
  return err ~= nil and err.code == "conflict" and err.retryable
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
  Transaction[name] = function(self, ...)
    local value, err = run(self.tx, ...)
    self.conflict = self.conflict or is_conflict(err)
    return value, err
  end
end

-- The outcome of the function becomes that of the transaction: true when it is to be run again, or false, value, err.
local function finish(self, ok, value, err)
  inside[running()] = nil
  local good = ok and not (value == nil and err ~= nil)
  local ended, why = native.sql_end(self.tx, good)
  if self.conflict or not ended and is_conflict(why) then
    return true, nil, why or err or value
  elseif not ok then
    error(value, 0)
  elseif good and not ended then
    return false, nil, why
  end
  return false, value == nil and good or value, err
end

local function attempt(f)
  local tx, err = native.sql_begin()
  if not tx then
    return is_conflict(err), nil, err
  end
  local self = setmetatable({ tx = tx, conflict = false }, Transaction)
  inside[running()] = true
  return finish(self, pcall(f, self))
end

function sql.transaction(f)
  refuse_inside("transaction", "pass `tx` on instead")
  local again, value, err
  for try = 1, TRIES do
    again, value, err = attempt(f)
    if not again then
      return value, err
    end
    native.sleep(math.random(2 ^ try, 2 ^ (try + 1))) -- ms; not in step with the other one
  end
  return nil, err
end

load("api").define("sql", { ["tide.sql"] = sql, ["tide.Transaction"] = Transaction })
