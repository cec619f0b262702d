-- auth: who somebody is. POST /login gives a token for a password, POST /validate the claims of a token.
local users = require "users"
local throttle = require "throttle"
local respond = tide.respond

local config = tide.config {
  jwt_secret = { "secret", generate = true, doc = "signs the tokens (HS256); all replicas share it" },
  jwt_accepted_secret = { "secret", optional = true, doc = "tokens that it has signed are good, too: while it takes the other's place" },
  issuer = { "string", default = "tidemill", doc = "iss of the tokens" },
  trusted_proxies = { "string", default = "127.0.0.1 ::1", doc = "addresses and networks whose X-Forwarded-For is believed: the gateway's" },
  token_ttl = { "duration", default = "24h", doc = "how long a token is good" },
}
local tokens = tide.jwt {
  alg = "HS256", secret = config.jwt_secret, accept = config.jwt_accepted_secret,
  issuer = config.issuer, audience = config.issuer, ttl = config.token_ttl,
}

tide.proxies(config.trusted_proxies) -- failed logins are counted for the gateway's client, not the gateway

local NO_STORE = { ["Cache-Control"] = "no-store" } -- no cache keeps a token

local function unauthorized(detail, challenge)
  return respond.problem(401, detail, nil, { ["WWW-Authenticate"] = challenge })
end

local BASIC = 'Basic realm="tidemill", charset="UTF-8"'
local BEARER = 'Bearer realm="tidemill"'
local BAD_TOKEN = BEARER .. ', error="invalid_token"' -- RFC 6750, 3.1

tide.route("POST /login", { limit = { body = "8KiB" } }, function(req)
  local given, err = req:basic_auth()
  if not given then
    return req.headers.authorization and respond.problem(400, err.message) or unauthorized("credentials are missing", BASIC)
  end
  local wait = throttle.wait_for(given.user, req.address)
  local user = not wait and users.authenticate(given.user, given.password)
  wait = wait or throttle.wait_for(given.user, req.address) -- of many guesses at once, only the first ones hear whether they were right
  if wait then
    return respond.problem(429, "too many failed logins; try again later", nil, { ["Retry-After"] = tostring(wait) })
  elseif not user then
    throttle.failed(given.user, req.address)
    return unauthorized("wrong e-mail or password", BASIC)
  end
  throttle.succeeded(given.user, req.address)
  local token = assert(tokens:sign { sub = user.email, username = user.email, admin = user.admin })
  if req:accepts("text/plain", "application/json") == "application/json" then
    return respond.json(200, { token = token }, NO_STORE)
  end
  return respond.text(200, token, NO_STORE)
end)

-- The claims of the request's token; or nil and the answer.
local function claims_of(req)
  local token, err = req:bearer()
  if not token then
    return nil, req.headers.authorization and respond.problem(400, err.message) or unauthorized("a token is missing", BEARER)
  end
  local claims, why = tokens:verify(token)
  if claims and type(claims.username) == "string" then
    return claims
  elseif why and why.code == "invalid" then
    return nil, respond.problem(400, why.message)
  end
  return nil, unauthorized(why and why.message or "the token names nobody", BAD_TOKEN)
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
  if type(new) ~= "table" then
    return respond.problem(400, "the body must be a JSON object: email, password, admin")
  end
  local user = assert(users.add { email = new.email, password = new.password, admin = new.admin })
  return respond.json(201, user)
end)

local description = respond.file "openapi.json"
tide.route("GET /openapi.json", function()
  return description
end)

tide.every("1h", throttle.sweep)
