-- Argon2id, on a thread pool of its own.
local native, load = ...

local check = load "check"
local password = {}

function password.hash(plain)
  return native.password_hash(check.value("tide.password.hash", { name = "password", type = "string" }, plain))
end

-- "right", "wrong", or "rehash": right, but stored in a way that should be replaced. stored nil: an unknown user, "wrong" after the same work.
function password.verify(stored, plain)
  check.value("tide.password.verify", { name = "stored", type = "string", optional = true }, stored)
  check.value("tide.password.verify", { name = "password", type = "string" }, plain)
  return native.password_verify(stored, plain)
end

return password
