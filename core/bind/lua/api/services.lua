return {
  jwt = {
    { name = "alg", type = "string", default = "HS256", choices = { "HS256", "ES256" } },
    { name = "secret", type = "string", doc = "HS256: at least 32 bytes; ES256: a PEM key" },
    { name = "issuer", type = "string", optional = true },
    { name = "audience", type = "string", optional = true },
    { name = "ttl", type = "duration", default = "1h" },
  },
  mail = {
    { name = "to", type = "string" },
    { name = "subject", type = "string" },
    { name = "text", type = "string" },
    { name = "html", type = "string", optional = true },
    { name = "from", type = "string", optional = true, doc = "default: the setting mail_from" },
    { name = "id", type = "string", optional = true, doc = "what makes the message one: it is sent once, however often send is called" },
  },
  http = {
    { name = "headers", type = "table", optional = true },
    { name = "body", type = "string", optional = true },
    { name = "json", type = "any", optional = true },
    { name = "timeout", type = "duration", default = "30s" },
    { name = "max_body", type = "size", default = "4MiB", doc = "of the answer" },
    { name = "redirects", type = "integer", default = 0, min = 0, max = 5 },
  },
}
