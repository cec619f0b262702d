return {
  title = "Tokens",
  {
    name = "tide.jwt",
    doc = "A key that signs and verifies tokens (JWT, RFC 7519).",
    params = { { name = "options", fields = {
      { name = "alg", type = "string", default = "HS256", choices = { "HS256", "ES256" }, doc = "a token with another one is refused" },
      { name = "secret", type = "string", doc = "HS256: at least 32 bytes; ES256: a PEM key, the private one to sign, the public one to verify" },
      { name = "accept", type = "string", optional = true,
        doc = "another secret (of ES256: a public key): tokens that it has signed are good, too, while one takes the other's place" },
      { name = "issuer", type = "string", optional = true, doc = "put into tokens as `iss`, and demanded of them" },
      { name = "audience", type = "string", optional = true, doc = "put into tokens as `aud`, and demanded of them" },
      { name = "ttl", type = "duration", default = "1h", doc = "how long a token is good" },
    } } },
    returns = { { name = "tokens", type = "tide.Jwt" } },
    throws = "when the secret is no key",
    example = [[
local tokens = tide.jwt { secret = config.secret, issuer = "shop", ttl = "24h" }
local token = assert(tokens:sign { sub = user.email })
local claims, err = tokens:verify(token)]],
  },
  { name = "tide.Jwt", doc = "A key.", fields = {
    { name = "issuer", type = "string", optional = true }, { name = "audience", type = "string", optional = true },
  } },
  {
    name = "tide.Jwt:sign",
    doc = "Signs claims. `iat`, `exp`, `iss` and `aud` are added.",
    params = { { name = "claims", type = "table" } },
    returns = { { name = "token", type = "string" } },
    fails = { { "too_large", "over 4 KiB" }, { "internal", "the key can't sign" } },
    throws = "when a claim can't be written as JSON",
  },
  {
    name = "tide.Jwt:verify",
    doc = "The claims of a token: its signature, `exp`, `nbf`, issuer and audience are checked.",
    params = { { name = "token", type = "any", optional = true, lua = "string?", doc = "what a client has sent" } },
    returns = { { name = "claims", type = "table" } },
    fails = { { "invalid", "no token" }, { "denied", "refused; the message tells why" } },
  },
}
