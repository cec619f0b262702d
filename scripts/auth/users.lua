-- Users: the table `user` holds an Argon2id hash (or a legacy plain text, until its first login) in `password`; roles are kept apart.
local users = {}
local sql, password = tide.sql, tide.password

local function invalid(message)
  return nil, tide.failure { code = "bad_request", message = message }
end

local function checked(email, secret, admin)
  if type(email) ~= "string" or #email > 255 or not email:match("^[%w.!#$%%&'*+/=?^_`{|}~-]+@[%w-]+%.[%w.-]+$") then
    return invalid("email must be an address such as name@example.com")
  elseif type(secret) ~= "string" or #secret < 8 or #secret > 1024 then
    return invalid("password must have 8 to 1024 bytes")
  elseif admin ~= nil and type(admin) ~= "boolean" then
    return invalid("admin must be true or false")
  end
  return true
end

local function is_admin(email)
  return assert(sql.query("SELECT role FROM user_role WHERE email = ? AND role = 'admin'", email))[1] ~= nil
end

-- The user of an address, or nil. A table from before may be latin1: what it can't hold is nobody's.
local function find(email)
  local rows, err = sql.query("SELECT email, password FROM user WHERE email = ?", email)
  if not rows and err.code == "invalid" and email:find "[\128-\255]" then
    return nil
  end
  local row = assert(rows, err)[1]
  return row and row.email == email and row or nil -- a database may take other letters for the same, the throttle doesn't
end

-- { email, admin } when the password is right. An unknown user costs the same work as a known one.
function users.authenticate(email, given)
  local row = find(email)
  local verdict = assert(password.verify(row and row.password, given))
  if not row or verdict == "wrong" then
    return nil
  end
  if verdict == "rehash" then
    assert(sql.exec("UPDATE user SET password = ? WHERE email = ? AND password = ?", assert(password.hash(given)), row.email,
      row.password))
  end
  return { email = row.email, admin = is_admin(row.email) }
end

local function set_admin(tx, email, on)
  if on then
    local done, err = tx:exec("INSERT INTO user_role (email, role) VALUES (?, 'admin')", email)
    return done or err.code == "exists" or error(err)
  end
  return assert(tx:exec("DELETE FROM user_role WHERE email = ? AND role = 'admin'", email))
end

function users.add(new)
  local good, problem = checked(new.email, new.password, new.admin)
  if not good then
    return nil, problem
  end
  local hash = assert(password.hash(new.password))
  return sql.transaction(function(tx)
    local done, err = tx:exec("INSERT INTO user (email, password) VALUES (?, ?)", new.email, hash)
    if not done then
      return nil, err.code == "exists" and tide.failure { code = "exists", message = "this user exists" } or err
    end
    set_admin(tx, new.email, new.admin)
    return { email = new.email, admin = new.admin == true }
  end)
end

function users.list()
  local rows = assert(sql.query("SELECT user.email AS email, user_role.role AS role FROM user LEFT JOIN user_role "
    .. "ON user_role.email = user.email AND user_role.role = 'admin' ORDER BY user.email"))
  local list = {}
  for i, row in ipairs(rows) do
    list[i] = { email = row.email, admin = row.role == "admin" }
  end
  return list
end

-- true when a statement has met the user.
local function found(email, result, err)
  if not result then
    return nil, err
  elseif result.affected == 0 then
    return nil, tide.failure { code = "not_found", message = ("there is no user %s"):format(email) }
  end
  return true
end

function users.passwd(new)
  local good, problem = checked(new.email, new.password)
  if not good then
    return nil, problem
  end
  return found(new.email, sql.exec("UPDATE user SET password = ? WHERE email = ?", assert(password.hash(new.password)), new.email))
end

function users.remove(gone)
  return sql.transaction(function(tx)
    assert(tx:exec("DELETE FROM user_role WHERE email = ?", gone.email))
    return found(gone.email, tx:exec("DELETE FROM user WHERE email = ?", gone.email))
  end)
end

function users.role(new)
  return sql.transaction(function(tx)
    if not assert(tx:query("SELECT id FROM user WHERE email = ?", new.email))[1] then
      return nil, tide.failure { code = "not_found", message = ("there is no user %s"):format(new.email) }
    end
    set_admin(tx, new.email, new.admin)
    return true
  end)
end

return users
