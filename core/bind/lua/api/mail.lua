return {
  title = "E-mail",
  {
    name = "tide.mail.send",
    doc = "Sends an e-mail.",
    waits = true,
    params = { { name = "message", fields = {
      { name = "to", type = "string", doc = "one address: `name@host` or `Name <name@host>`" },
      { name = "subject", type = "string", doc = "one line of UTF-8" },
      { name = "text", type = "string", doc = "UTF-8" },
      { name = "html", type = "string", optional = true, doc = "the same as HTML; `tide.template` escapes" },
      { name = "from", type = "string", optional = true, doc = "by default the setting `mail_from`" },
      { name = "id", type = "string", optional = true,
        doc = "what makes it one: the Message-ID follows from it. A maildir keeps one; with SMTP note that it was sent, and look before" },
      { name = "before", type = "number", optional = true,
        doc = "seconds since 1970, as of `tide.now()`: given up when the server has not got the text by then" },
    } } },
    returns = { { name = "ok", type = "boolean", lua = "true" } },
    fails = {
      { "invalid", "an address, control bytes in a header, or the server refuses this message for good (5xx)" },
      { "full", "no space is left" },
      { "unavailable", "it can't be handed over now (no connection, 4xx); retryable" },
      { "denied", "the server refuses the sign-in; retryable, as that can be mended" },
      { "timeout", "the server is too slow, or it is after `before`; retryable" },
    },
    example = [[
assert(tide.mail.send {
  id = order.id, to = order.email, subject = "Your order",
  text = tide.template("ordered.txt", order), html = tide.template("ordered.html", order),
})]],
  },
}
