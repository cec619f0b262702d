-- auth: who somebody is. POST /login gives a token for a password, POST /validate the claims of a token.
local users = require "users"
local throttle = require "throttle"
local respond = tide.respond

local config = tide.config {
  jwt_secret = { "secret", generate = true, doc = "signs the tokens (HS256); all replicas share it" },
  issuer = { "string", default = "tidemill", doc = "iss of the tokens" },
  trusted_proxies = { "string", default = "127.0.0.1 ::1", doc = "addresses whose X-Forwarded-For is believed: the gateway's" },
  token_ttl = { "string", default = "24h", doc = "how long a token is good" },
}
local tokens = tide.jwt { alg = "HS256", secret = config.jwt_secret, issuer = config.issuer, audience = config.issuer, ttl = config.token_ttl }

local function unauthorized(detail, scheme)
  return respond.problem(401, detail, nil, { ["WWW-Authenticate"] = scheme .. ' realm="tidemill"' })
end

-- The address that failed logins are counted for: the gateway's client, not the gateway.
local function client_of(req)
  local forwarded = req.headers["x-forwarded-for"]
  for proxy in config.trusted_proxies:gmatch("%S+") do
    if forwarded and proxy == req.address then
      return forwarded:sub(1, 64)
    end
  end
  return req.address
end

tide.route("POST /login", { limit = { body = "8KiB" } }, function(req)
  local given, err = req:basic_auth()
  if not given then
    return req.headers.authorization and respond.problem(400, err.message) or unauthorized("credentials are missing", "Basic")
  end
  local address = client_of(req)
  local wait = throttle.wait_for(given.user, address)
  if wait then
    return respond.problem(429, "too many failed logins; try again later", nil, { ["Retry-After"] = tostring(wait) })
  end
  local user = users.authenticate(given.user, given.password)
  if not user then
    throttle.failed(given.user, address)
    return unauthorized("wrong e-mail or password", "Basic")
  end
  throttle.succeeded(given.user, address)
  local token = assert(tokens:sign { sub = user.email, username = user.email, admin = user.admin })
  if (req.headers.accept or ""):find("application/json", 1, true) then
    return respond.json(200, { token = token })
  end
  return respond.text(200, token)
end)

-- The claims of the request's token; or nil and the answer.
local function claims_of(req)
  local token, err = req:bearer()
  if not token then
    return nil, req.headers.authorization and respond.problem(400, err.message) or unauthorized("a token is missing", "Bearer")
  end
  local claims, why = tokens:verify(token)
  if not claims or type(claims.username) ~= "string" then
    return nil, unauthorized(why and why.message or "the token names nobody", "Bearer")
  end
  return claims
end

tide.route("POST /validate", { limit = { body = "8KiB" } }, function(req)
  local claims, answer = claims_of(req)
  return answer or respond.json(200, claims)
end)

tide.route("POST /users", { limit = { body = "8KiB" } }, function(req)
  local claims, answer = claims_of(req)
  if answer then
    return answer
  elseif claims.admin ~= true then
    return respond.problem(403, "only an admin may add users")
  end
  local new = assert(req:json())
  local user, err = users.add { email = new.email, password = new.password, admin = new.admin == true }
  if not user then
    return respond.problem(err.code == "exists" and 409 or 400, err.message)
  end
  return respond.json(201, user)
end)

tide.every("1h", throttle.sweep)
