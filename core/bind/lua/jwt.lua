-- local tokens = tide.jwt{ secret = ..., issuer = ..., ttl = "1h" }; tokens:sign{ sub = ... }; tokens:verify(token)
local native, load = ...

local check, api = load "check", load "api.services"
local cjson = native.cjson
local Failure = load "failure"

local Keyring = {}
Keyring.__index = Keyring

function Keyring:sign(claims)
  check.value("jwt:sign", { name = "claims", type = "table" }, claims)
  local all = {}
  for key, value in pairs(claims) do
    all[key] = value
  end
  local now = math.floor(native.now_ms() / 1000)
  all.iat, all.exp, all.iss, all.aud = now, now + math.ceil(self.ttl / 1000), self.issuer, self.audience
  return native.jwt_sign(self.key, cjson.encode(all))
end

-- The claims, or nil and why not (code "denied" or "invalid").
function Keyring:verify(token)
  if type(token) ~= "string" then
    return nil, setmetatable({ code = "invalid", message = "no token", retryable = false }, Failure)
  end
  local claims, err = native.jwt_verify(self.key, token, self.issuer, self.audience)
  if not claims then
    return nil, err
  end
  return cjson.decode(claims)
end

return function(options)
  local o = check.options("tide.jwt", api.jwt, options)
  return setmetatable({ key = native.jwt_key(o.alg, o.secret), issuer = o.issuer, audience = o.audience, ttl = o.ttl }, Keyring)
end
