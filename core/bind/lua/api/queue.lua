return {
  title = "Queues",
  text = [[
A queue is durable: what `publish` has returned `true` for is delivered, over the death of any process, until a consumer has taken it
or it is a dead letter. A message may come twice (a worker dies between its work and its acknowledgement), so a handler has to find
what the first time has done.

What a consumer's handler does decides about its message:

| the handler | the message |
|---|---|
| returns | is done |
| raises, or returns `nil` and, an error or a retryable failure | comes again after the backoff, until its attempts are used up: then a dead letter |
| raises, or returns `nil` and, another failure | is a dead letter with the failure's code |
| returns `tide.retry{...}` | comes again |
| returns `tide.reject(reason)` | is a dead letter |
| can't be stopped past its CPU time, and takes its worker along | comes again or is a dead letter, like one that raises |
| dies with its worker otherwise | comes again, and no attempt is used up; the tenth time all are |

`tidemill queue` lists dead letters and sends them again.]],
  {
    name = "tide.queue",
    doc = "A queue and the shape of its messages. Nothing of another shape gets in, nor to a handler.",
    params = {
      { name = "name", type = "string", pattern = "^[a-z0-9_.-]+$", max = 64,
        expected = "a name of a-z, 0-9, '_', '.' and '-', at most 64 bytes", doc = "a-z, 0-9, `_`, `.`, `-`; at most 64 bytes" },
      { name = "shape", type = "table", lua = "table<string, string>",
        doc = "each field's type: `string`, `id`, `integer`, `number`, `boolean` or `table`, with `?` when it may be missing" },
    },
    returns = { { name = "queue", type = "tide.Queue" } },
    example = [[local orders = tide.queue("orders", { item = "string", count = "integer?" })]],
  },
  {
    name = "tide.Queue",
    doc = "A queue.",
    fields = { { name = "name", type = "string" } },
  },
  {
    name = "tide.Queue:publish",
    doc = "Puts a message into the queue. It is on disk when this returns.",
    waits = true,
    params = {
      { name = "message", type = "table", doc = "of the queue's shape" },
      { name = "options", optional = true, fields = {
        { name = "delay", type = "duration", optional = true, doc = "not delivered before" },
      } },
    },
    returns = { { name = "ok", type = "boolean", lua = "true" } },
    fails = { { "unavailable", "the queue can't be reached" }, { "full", "no space is left" }, { "too_large", "the message is" } },
    throws = "when the message has another shape",
  },
  {
    name = "tide.Queue:consume",
    doc = "Declares the handler of the queue's messages.",
    declares = true,
    params = {
      { name = "options", optional = true, fields = {
        { name = "concurrency", type = "integer", default = 1, min = 1, max = 1000, doc = "messages at a time in one worker process" },
        { name = "attempts", type = "integer", default = 5, min = 1, max = 100, doc = "so many may fail: the last one makes a dead letter" },
        { name = "timeout", type = "duration", default = "5m", doc = "for one attempt" },
        { name = "cpu", type = "duration", optional = true, min = 1,
          doc = "CPU time between two waits of the handler; over it the attempt has failed. Without it the setting `limits.script_cpu`" },
        { name = "backoff", type = "duration", default = "5s", doc = "before the second attempt; doubles after" },
        { name = "backoff_max", type = "duration", default = "10m", doc = "longest backoff" },
        { name = "lease", type = "duration", default = "30s",
          doc = "renewed while the handler runs; how soon another worker takes over from a dead one" },
        { name = "on_dead", type = "function", optional = true, lua = "fun(message: table, failure: tide.Failure)",
          doc = "called with the message and the failure before it goes to the dead letters; when it raises an error, or returns `nil` "
            .. "and a failure, that is retryable, it is tried up to three times more, after the backoff" },
      } },
      { name = "handler", type = "function", lua = "fun(message: table, delivery: tide.Delivery): any, tide.Failure?",
        doc = "gets the message and how it came" },
    },
    example = [[
orders:consume({ attempts = 3, timeout = "30s" }, function(message, delivery)
  tide.log.info("ordered", { item = message.item, attempt = delivery.attempt })
end)]],
  },
  {
    name = "tide.Delivery",
    doc = "How a message came.",
    plain = true,
    fields = { { name = "attempt", type = "integer", doc = "1 for the first; counts those too whose worker died" } },
  },
  {
    name = "tide.retry",
    doc = "What a consumer's handler returns to get the message again.",
    params = {
      { name = "why", type = "tide.Failure", optional = true, doc = "a failure, or options", fields = {
        { name = "after", type = "duration", optional = true, doc = "when; by default after the consumer's backoff" },
        { name = "code", type = "string", default = "retry", doc = "shown in the log and with a dead letter" },
        { name = "message", type = "string", default = "the handler asked for a retry", doc = "the same" },
      } },
    },
    returns = { { name = "outcome", type = "tide.Outcome" } },
    example = [[return tide.retry { after = "1m", message = "the shop is closed" }]],
  },
  {
    name = "tide.reject",
    doc = "What a consumer's handler returns to make a dead letter of the message.",
    params = { { name = "reason", type = "tide.Failure|string", expected = "a failure or a sentence", doc = "a failure or a sentence" } },
    returns = { { name = "outcome", type = "tide.Outcome" } },
  },
  { name = "tide.Outcome", doc = "What `tide.retry` and `tide.reject` make: to be returned.", plain = true, fields = {} },
}
