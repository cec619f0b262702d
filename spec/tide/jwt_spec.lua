-- tide.jwt: signed tokens.
describe("tide.jwt", function()
  local SECRET = "a secret of these specs: 32 bytes or more"
  -- Signed with it by another library (HS256, unless the name says otherwise).
  local FOREIGN = {
    good = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwiaXNzIjoic2hvcCIsImF1ZCI6ImRlc2siLCJleHAiOjQxMDI0NDQ4M"
      .. "DB9.B1pm4B0WokFupf72wCWF7wfjJifVGPbZnhbAGiNzpr4",
    audiences = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwiaXNzIjoic2hvcCIsImF1ZCI6WyJ4IiwiZGVzayJdLCJleHAiOjQxM"
      .. "DI0NDQ4MDB9.Sub0dkovdBaY8BujYHR28WORLRwQefnEZ7GpHIoBHVA",
    expired = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwiaXNzIjoic2hvcCIsImF1ZCI6ImRlc2siLCJleHAiOjE3MDAwMDAwM"
      .. "DB9.Ul-k4ni6G-aQ1TW6E5otiJOTqUkRTPdmq2-VbLGYP5g",
    endless = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwiaXNzIjoic2hvcCIsImF1ZCI6ImRlc2sifQ.J__6rhmxgm7Yno0Xo7"
      .. "xXUBDuT5dp9KA8D2f02n6QFko",
    early = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwiaXNzIjoic2hvcCIsImF1ZCI6ImRlc2siLCJleHAiOjQxMDI0NDQ4M"
      .. "DAsIm5iZiI6NDEwMjQ0NDAwMH0.GfoMB9QJIUzmxltIBQRq-sqRaBeCSizq9zyEJmkpWZs",
    issuer = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwiaXNzIjoieCIsImF1ZCI6ImRlc2siLCJleHAiOjQxMDI0NDQ4MDB9."
      .. "oxb3Hev6wJyoaKUhoF1_sOG7QQ_zcY78EcR0gqeYkYo",
    audience = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwiaXNzIjoic2hvcCIsImF1ZCI6IngiLCJleHAiOjQxMDI0NDQ4MDB9."
      .. "uorRpJDFAgHnM8vbI4CDe-jTM0QO-vd1V4u1ne7kD70",
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhbm5hIiwiaXNzIjoic2hvcCIsImF1ZCI6ImRlc2siLCJleHAiOjQxMDI0NDQ4MDB9.",
    hs512 = "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwiaXNzIjoic2hvcCIsImF1ZCI6ImRlc2siLCJleHAiOjQxMDI0NDQ4M"
      .. "DB9.9qt4avUNOupFR6ofCF1mNoIdU0p6HpGTccM17EHNoNJ9nlWTajuoI8yW3vuXr9ji9iXJRA3cz7nxQNFqw9JbQQ",
    secret = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwiaXNzIjoic2hvcCIsImF1ZCI6ImRlc2siLCJleHAiOjQxMDI0NDQ4M"
      .. "DB9.tiwA1EelfBlWFeasnvPGs3ftP0mj4vbHlo6oOK4M3jI",
  }
  local tokens = tide.jwt { secret = SECRET, issuer = "shop", audience = "desk", ttl = "1h" }

  local function refusal(token, key)
    local claims, err = (key or tokens):verify(token)
    assert.is_nil(claims)
    assert.is_false(err.retryable)
    return err.code .. " " .. err.message
  end

  local function mistake(f)
    local ok, message = pcall(f)
    return not ok and message
  end

  it("gives back the claims that it has signed, with iat, exp, iss and aud", function()
    local now = tide.now()
    local claims = assert(tokens:verify(assert(tokens:sign { sub = "anna", n = 1.5, roles = { "a" }, none = tide.json.array {} })))
    assert.near(now, claims.iat, 2)
    assert.same({ sub = "anna", n = 1.5, roles = { "a" }, none = {}, iss = "shop", aud = "desk", iat = claims.iat, exp = claims.iat + 3600 },
      claims)
  end)

  it("doesn't change the claims given, and lets none of its own be forged", function()
    local given = { sub = "anna", iss = "forged", exp = 9999999999 }
    local claims = assert(tokens:verify(assert(tokens:sign(given))))
    assert.same({ "shop", claims.iat + 3600 }, { claims.iss, claims.exp })
    assert.same({ sub = "anna", iss = "forged", exp = 9999999999 }, given)
  end)

  it("understands another library's tokens, and refuses those that are wrong", function()
    assert.equal("anna", assert(tokens:verify(FOREIGN.good)).sub)
    assert.equal("anna", assert(tokens:verify(FOREIGN.audiences)).sub)
    assert.equal("denied token: expired", refusal(FOREIGN.expired))
    assert.equal("denied token: it has no exp", refusal(FOREIGN.endless))
    assert.equal("denied token: not valid yet (nbf)", refusal(FOREIGN.early))
    assert.equal("denied token: from another issuer (iss)", refusal(FOREIGN.issuer))
    assert.equal("denied token: for another audience (aud)", refusal(FOREIGN.audience))
    assert.equal("invalid token: not a JSON Web Token", refusal(FOREIGN.none))
    assert.equal("denied token: signed with another algorithm", refusal(FOREIGN.hs512))
    assert.equal("denied token: the signature is wrong", refusal(FOREIGN.secret))
  end)

  it("refuses a token when its time is up", function()
    local token = assert(tokens:sign { sub = "anna" })
    tide.spec.clock:jump "59m"
    assert(tokens:verify(token))
    tide.spec.clock:jump "2m"
    assert.equal("denied token: expired", refusal(token))
  end)

  it("refuses a token when one byte of it is another", function()
    local token = assert(tokens:sign { sub = "anna", admin = false })
    for at = 1, #token - 1, 7 do
      local other = token:sub(at, at) == "x" and "y" or "x"
      assert.matches("^%a+ token: ", refusal(token:sub(1, at - 1) .. other .. token:sub(at + 1)))
    end
    assert(tokens:verify(token))
  end)

  it("refuses what is no token, whatever a client sends", function()
    for _, garbage in ipairs { "", ".", "..", "...", "a.b.c", ("x"):rep(5000), ("x."):rep(3000), "\0.\0.\0", FOREIGN.good .. "\0", {}, 7, true } do
      assert.matches("^invalid ", refusal(garbage))
    end
    assert.matches("^invalid ", refusal(nil))
  end)

  it("signs no more than 4 KiB", function()
    local token, err = tokens:sign { sub = ("x"):rep(4096) }
    assert.same({ nil, "too_large", false }, { token, err.code, err.retryable })
  end)

  it("is nobody else's: another key, another kind of key", function()
    local other = tide.jwt { secret = SECRET .. "!", issuer = "shop", audience = "desk" }
    assert.equal("denied token: the signature is wrong", refusal(tokens:sign { sub = "anna" }, other))
    local private, public = [[
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgQpGWu38CtJmMhBs8
Tw4MFu0I5huoTq7dMCZ3ko8/qAGhRANCAATFe9Cdeak44aYL0ChpGM+WiFR0vIrO
6OPlbKcA9beoaQKr0toMKqpOXR2zz9fswJSnTAoJigWBfjGqz5xSOvft
-----END PRIVATE KEY-----
]], [[
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExXvQnXmpOOGmC9AoaRjPlohUdLyK
zujj5WynAPW3qGkCq9LaDCqqTl0ds8/X7MCUp0wKCYoFgX4xqs+cUjr37Q==
-----END PUBLIC KEY-----
]]
    local signer = tide.jwt { alg = "ES256", secret = private, issuer = "shop", audience = "desk" }
    local reader = tide.jwt { alg = "ES256", secret = public, issuer = "shop", audience = "desk" }
    local token = assert(signer:sign { sub = "anna" })
    assert.equal("anna", assert(reader:verify(token)).sub)
    assert.equal("internal token: an ES256 private key only signs; verify with its public key", refusal(token, signer))
    assert.matches("this key cannot sign", tostring(select(2, reader:sign { sub = "anna" })))
    assert.matches("^denied ", refusal(FOREIGN.good, reader))
    assert.matches("^denied ", refusal(token))
  end)

  it("accepts a second secret's tokens, and signs none with it", function()
    local OTHER = SECRET:reverse()
    local other = tide.jwt { secret = OTHER, issuer = "shop", audience = "desk" }
    local both = tide.jwt { secret = SECRET, accept = OTHER, issuer = "shop", audience = "desk" }
    assert.equal("anna", assert(both:verify(assert(other:sign { sub = "anna" }))).sub)
    assert.equal("anna", assert(both:verify(FOREIGN.good)).sub)
    assert.equal("denied token: expired", refusal(FOREIGN.expired, both))
    assert.equal("denied token: the signature is wrong", refusal(FOREIGN.secret, both))
    assert.equal("denied token: the signature is wrong", refusal(both:sign { sub = "anna" }, other))
    assert.matches("at least 32 bytes", mistake(function() tide.jwt { secret = SECRET, accept = "too short" } end))
  end)

  it("tells the mistakes of the script by file and line", function()
    local at = "^spec/tide/jwt_spec.lua:%d+: "
    assert.matches("at least 32 bytes", mistake(function() tide.jwt { secret = "too short" } end))
    assert.matches(at .. "tide.jwt: 'alg' must be one of", mistake(function() tide.jwt { alg = "none", secret = SECRET } end))
    assert.matches("PEM", mistake(function() tide.jwt { alg = "ES256", secret = SECRET } end))
    assert.matches(at .. "tide.jwt: unknown option 'secert' %(did you mean 'secret'%?%)", mistake(function() tide.jwt { secert = SECRET } end))
    assert.matches(at .. "tide.jwt: .ttl. must be a duration", mistake(function() tide.jwt { secret = SECRET, ttl = "1 hour" } end))
    assert.matches(at .. "tide.Jwt:sign: 'claims' must be a table", mistake(function() tokens:sign "anna" end))
    assert.matches(at .. "tide.Jwt:sign: this can't be written as JSON", mistake(function() tokens:sign { f = print } end))
    assert.matches(at .. "tide.Jwt:sign: .*colon", mistake(function() tokens.sign { sub = "anna" } end))
  end)
end)
