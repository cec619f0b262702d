local PASSWORD = { name = "password", type = "string", doc = "at most 1024 bytes" }

return {
  title = "Passwords",
  text = "Argon2id (19 MiB, 2 passes), 10 to 20 ms each on threads of its own.",
  {
    name = "tide.password.hash",
    doc = "What to store for a password.",
    waits = true,
    params = { PASSWORD },
    returns = { { name = "hash", type = "string", doc = "at most 127 bytes" } },
    fails = { { "invalid", "a password over 1024 bytes" }, { "unavailable", "too many wait; retryable" } },
  },
  {
    name = "tide.password.verify",
    doc = "Whether a password is the stored one.",
    waits = true,
    params = {
      { name = "stored", type = "string", optional = true, doc = "a hash, or a legacy plain text; nil for an unknown user, which costs the same" },
      PASSWORD,
    },
    returns = { { name = "verdict", type = "string", lua = '"right"|"wrong"|"rehash"',
      doc = '`"rehash"`: right, but store `tide.password.hash` of it anew' } },
    fails = { { "unavailable", "too many wait; retryable" } },
  },
}
