-- Failed logins in a row, by account and by address, shared by all workers and replicas through the database.
local throttle = {}
local sql = tide.sql

local FREE = 5 -- failures in a row that cost nothing
local MAX_WAIT = 900 -- seconds

local function subjects(email, address)
  return { "account:" .. email:lower():sub(1, 255), "address:" .. address }
end

-- Seconds until another try is taken, or nil when one is taken now.
---@return integer?
function throttle.wait_for(email, address)
  local wait = 0
  for _, subject in ipairs(subjects(email, address)) do
    local row = assert(sql.query("SELECT failures, last_at FROM login_failure WHERE subject = ?", subject))[1]
    if row and row.failures >= FREE then
      local pause = math.min(MAX_WAIT, 15 * 2 ^ math.min(row.failures - FREE, 10))
      wait = math.max(wait, math.ceil(row.last_at + pause - tide.now()))
    end
  end
  return wait > 0 and wait or nil
end

local function count(subject, now)
  return assert(sql.exec("UPDATE login_failure SET failures = failures + 1, last_at = ? WHERE subject = ?", now, subject)).affected > 0
end

-- Without a transaction: many failures at once, each in two rows, would be in each other's way.
function throttle.failed(email, address)
  local now = math.floor(tide.now())
  for _, subject in ipairs(subjects(email, address)) do
    if not count(subject, now) then
      local done, err = sql.exec("INSERT INTO login_failure (subject, failures, last_at) VALUES (?, 1, ?)", subject, now)
      if not done and (err.code ~= "exists" or not count(subject, now)) then
        error(err)
      end
    end
  end
end

-- Most logins have nothing to forget: look before writing.
function throttle.succeeded(email, address)
  for _, subject in ipairs(subjects(email, address)) do
    if #assert(sql.query("SELECT failures FROM login_failure WHERE subject = ?", subject)) > 0 then
      assert(sql.exec("DELETE FROM login_failure WHERE subject = ?", subject))
    end
  end
end

function throttle.sweep()
  assert(sql.exec("DELETE FROM login_failure WHERE last_at < ?", math.floor(tide.now()) - 86400))
end

return throttle
