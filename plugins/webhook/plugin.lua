-- The manifest of the plugin webhook.
return {
  title = "Webhooks (plugin)",
  text = [[
Signed deliveries as Standard Webhooks 1.0 (https://www.standardwebhooks.com) has them, tried again until the receiver has taken
them. With the setting `plugins = { "webhook" }`, a bundle gets it by `local webhook = require "webhook"`.]],
  {
    name = "webhook.sender",
    doc = "A queue of deliveries, with the consumer that makes them. What is not taken in the end is a dead letter of that queue.",
    declares = true,
    params = { { name = "options", fields = {
      { name = "queue", type = "string", doc = "of these deliveries alone; a name of `tide.queue`" },
      { name = "secret", type = "string|function", lua = "string|fun(url: string): string",
        doc = "`whsec_` and base64 of 24 to 64 bytes, or a function that tells it for a receiver. It is not kept in the queue" },
      { name = "attempts", type = "integer", default = 10, min = 1, max = 100, doc = "before a delivery is a dead letter" },
      { name = "backoff", type = "duration", default = "5s", as_given = true, doc = "before the second attempt; doubles after" },
      { name = "backoff_max", type = "duration", default = "6h", as_given = true, doc = "longest backoff" },
      { name = "timeout", type = "duration", default = "15s", as_given = true, doc = "for the receiver's answer" },
      { name = "concurrency", type = "integer", default = 4, min = 1, max = 1000, doc = "deliveries at a time in one worker process" },
    } } },
    returns = { { name = "sender", type = "webhook.Sender" } },
    throws = "when the secret is none",
    example = [[
local webhook = require "webhook"
local hooks = webhook.sender { queue = "shop.webhooks", secret = config.webhook_secret }

tide.route("POST /orders/{id}/paid", { params = { id = "id" } }, function(req)
  assert(hooks:send { url = config.webhook_url, type = "order.paid", id = req.params.id, data = { order = req.params.id } })
  return tide.respond.empty(202)
end)]],
  },
  { name = "webhook.Sender", doc = "Sends webhooks.", fields = { { name = "queue", type = "tide.Queue" } } },
  {
    name = "webhook.Sender:send",
    doc = "Puts a delivery into the queue. It will be made, over the death of any process, when this returns.",
    waits = true,
    params = { { name = "delivery", fields = {
      { name = "url", type = "string", pattern = "^https?://[^/]", expected = 'a URL such as "https://shop.example/hooks"', doc = "the receiver" },
      { name = "type", type = "string", pattern = "^[%w_.]+$", expected = 'a word such as "order.paid"', doc = "what has happened" },
      { name = "data", type = "table", doc = "about what" },
      { name = "id", type = "id", optional = true,
        doc = "of what has happened; the header `webhook-id` is the same for each attempt, and for each `send` with this id and type to "
          .. "this receiver, so that it can tell what it has had. By default a new one" },
    } } },
    returns = { { name = "id", type = "string", doc = "the header `webhook-id`" } },
    fails = { { "unavailable", "the queue can't be reached" }, { "full", "no space is left" }, { "too_large", "`data` is" } },
    throws = "when `data` can't be written as JSON",
  },
  {
    name = "webhook.verify",
    doc = "For a receiver: whether a request was signed with this secret, not long ago.",
    params = {
      { name = "headers", type = "table", lua = "table<string, string>", doc = "`req:all_headers()`" },
      { name = "body", type = "string", doc = "as it came" },
      { name = "secret", type = "string" },
      { name = "tolerance", type = "duration", default = "5m", doc = "how far the sender's clock may be off" },
    },
    returns = { { name = "id", type = "string", doc = "of the delivery: the same one may come twice" } },
    fails = { { "denied", "a header is missing, too old or another secret's" } },
    throws = "when the secret is none",
  },
}
