return {
  title = "Signatures of messages",
  text = "What webhooks and signed links need: a code over bytes that only who has the key can make. For tokens there is `tide.jwt`.",
  {
    name = "tide.crypto.hmac",
    doc = "The authentication code of bytes under a key: HMAC-SHA256 (RFC 2104).",
    params = {
      { name = "key", type = "string", min = 1, doc = "of any length; 32 random bytes are good" },
      { name = "bytes", type = "string" },
      { name = "encoding", type = "string", default = "hex", choices = { "hex", "base64", "bytes" }, doc = "of what is returned" },
    },
    returns = { { name = "code", type = "string", doc = "32 bytes, encoded" } },
    example = [[
local expected = "sha256=" .. tide.crypto.hmac(config.secret, assert(req:text()))
if not tide.crypto.equal(expected, req:all_headers()["x-hub-signature-256"] or "") then
  return tide.respond.problem(401, "the signature is wrong")
end]],
  },
  {
    name = "tide.crypto.equal",
    doc = "Whether two strings are the same. How long it takes doesn't tell where they differ: for secrets and codes.",
    params = { { name = "a", type = "string" }, { name = "b", type = "string" } },
    returns = { { name = "equal", type = "boolean" } },
  },
  {
    name = "tide.crypto.encode",
    doc = "Bytes as text.",
    params = {
      { name = "bytes", type = "string" },
      { name = "encoding", type = "string", default = "base64", choices = { "base64", "hex" } },
    },
    returns = { { name = "text", type = "string" } },
  },
  {
    name = "tide.crypto.decode",
    doc = "The bytes of a text in base64.",
    params = { { name = "text", type = "string" } },
    returns = { { name = "bytes", type = "string" } },
    fails = { { "invalid", "it is not base64" } },
  },
}
