-- Argon2id, on a thread pool of its own.
local native, load = ...

local password = {}

function password.hash(plain)
  return native.password_hash(plain)
end

function password.verify(stored, plain)
  return native.password_verify(stored, plain)
end

load("api").define("password", { ["tide.password"] = password })
