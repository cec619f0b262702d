-- local tokens = tide.jwt{ secret = ..., issuer = ..., ttl = "1h" }; tokens:sign{ sub = ... }; tokens:verify(token)
local native, load = ...

local api, json = load "api", load "json"
local cjson = native.cjson
local Failure = load "failure"

local Jwt = {}

function Jwt:sign(claims)
  local all = {}
  for key, value in pairs(claims) do
    all[key] = value
  end
  local now = math.floor(native.now_ms() / 1000)
  all.iat, all.exp, all.iss, all.aud = now, now + math.ceil(self.ttl / 1000), self.issuer, self.audience
  return native.jwt_sign(self.key, json.write("tide.Jwt:sign", all))
end

function Jwt:verify(token)
  if type(token) ~= "string" then
    return nil, setmetatable({ code = "invalid", message = "no token", retryable = false }, Failure)
  end
  local claims, err = native.jwt_verify(self.key, token, self.issuer, self.audience)
  if not claims then
    return nil, err
  end
  return cjson.decode(claims)
end

local function jwt(o)
  return setmetatable({ key = native.jwt_key(o.alg, o.secret, o.accept), issuer = o.issuer, audience = o.audience, ttl = o.ttl }, Jwt)
end

api.define("jwt", { tide = { jwt = jwt }, ["tide.Jwt"] = Jwt })
