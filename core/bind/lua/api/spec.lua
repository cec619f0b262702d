local FIELDS = {
  { name = "headers", type = "headers", optional = true },
  { name = "body", type = "string", optional = true },
  { name = "json", type = "any", optional = true, doc = "a value to be sent as JSON" },
  { name = "form", type = "table", optional = true, lua = "table<string, string|{ filename: string, type?: string, bytes?: string, path?: string }>",
    doc = "a multipart form: each field a text, or `{ filename =, type =, bytes = or path = }`" },
  { name = "user", type = "table", optional = true, lua = "{ [1]: string, [2]: string }", doc = "`{ name, password }` of Basic credentials" },
  { name = "token", type = "string", optional = true, doc = "a Bearer token" },
  { name = "timeout", type = "duration", default = "30s", as_given = true },
}
local QUEUE = { name = "queue", type = "string" }
local ANSWER = { { name = "answer", type = "tide.HttpAnswer" } }

local function request(method)
  return {
    name = "tide.App:" .. method,
    doc = method:upper() .. " of a path; a failure is raised.",
    waits = true,
    params = { { name = "path", type = "string" }, { name = "options", optional = true, fields = FIELDS } },
    returns = ANSWER,
  }
end

return {
  title = "Specs",
  text = [[
What a spec has beside `tide`. `tidemill test` runs each file `*_spec.lua` (written for busted: `describe`, `it`, `assert`) inside an
engine with backends of its own. Calls that wait work in `it`, `setup`, `before_each` and their like. Bundles that were opened are closed
at the end of the `describe` or `it` that opened them.

A test that leaves something open fails, with the line that opened it: a file, an upload, a source of bytes, a transaction that it opened
(close it in the test, in `finally` or in `after_each`), and a request, message, timer or job that is still under way a few seconds
after its end (wait for it, or close its bundle).]],
  {
    name = "tide.spec.bundle",
    doc = "Opens a bundle: it serves, consumes and has timers as in an engine. Raises the report of one that can't be loaded.",
    params = {
      { name = "name", type = "string", doc = "of a bundle of the settings, or any name with `source` or `files`" },
      { name = "options", optional = true, fields = {
        { name = "source", type = "string", optional = true, doc = "its init.lua" },
        { name = "files", type = "table", optional = true, lua = "table<string, string>", doc = "its files: path and text" },
        { name = "settings", type = "table", optional = true, doc = "go over those of the settings file" },
      } },
    },
    returns = { { name = "app", type = "tide.App" } },
    example = [[
local app = tide.spec.bundle("echo", { source = 'tide.route("GET /{word}", function(req) return req.params.word end)' })
assert.equal("hello", app:get("/hello").body)]],
  },
  {
    name = "tide.spec.upstream",
    doc = [[
Puts a service into the place of another that a bundle calls. Its handlers are the spec's own functions, get the request and answer as
those of `tide.route` do, and serve until the end of the file. What else than a failure one raises, such as an assertion, fails the test.]],
    params = { { name = "routes", type = "table", lua = "table<string, fun(req: tide.Request): any>" } },
    returns = { { name = "url", type = "string" } },
    example = [[
local app = tide.spec.bundle("gateway", { settings = { auth_url = tide.spec.upstream {
  ["POST /login"] = function(req) return req:basic_auth() and "token" end,
} } })]],
  },
  {
    name = "tide.spec.mails",
    doc = "The e-mails sent, oldest first.",
    returns = { { name = "mails", type = "table",
      lua = "{ to: string, from: string, subject: string, id: string, text: string?, html: string?, headers: table, raw: string }[]" } },
  },
  {
    name = "tide.spec.logged",
    doc = "What was logged, a table an event.",
    params = { { name = "event", type = "string", optional = true, doc = "only those with this name" } },
    returns = { { name = "events", type = "table", lua = "table[]" } },
  },
  {
    name = "tide.spec.metrics",
    doc = "The metrics in Prometheus' text format, or the value of one series.",
    params = { { name = "series", type = "string", optional = true, doc = [[as `name{label="value"}`]] } },
    returns = { { name = "metrics", type = "any", lua = "string|number" } },
  },
  { name = "tide.spec.clock", type = "tide.Clock", doc = "The clock of the bundles and of the spec itself." },
  {
    name = "tide.Clock",
    doc = [[
Time passes in a spec as it does elsewhere, and the clock can be moved on. It covers `tide.sleep`, `tide.every` (whose handlers run in a
spec by this clock and `app:tick` alone), the `timeout` of handlers, the time of day (`tide.now`, ages, expiries), and by that the delays
and backoffs of the embedded queue, which gives out what is due within a second. It doesn't cover work: requests, queries, files and media
jobs run in real time, with their own timeouts, and so do the delays of a broker.]],
    fields = {},
  },
  {
    name = "tide.Clock:advance",
    doc = [[
Moves it on, and runs what becomes due on the way, each at its moment: wakes those that sleep, runs timers, ends handlers past their
`timeout`. Before each step, and at the end, it waits until every request, message and timer in flight is over or sleeps. Raises what
it waits for when that takes a minute. The time of day moves as much.]],
    waits = true,
    params = { { name = "duration", type = "duration" } },
    returns = { { name = "clock", type = "tide.Clock" } },
    example = [[
tide.spec.clock:advance "30s"
assert.equal(3, #tide.spec.logged "swept")                           -- by tide.every("10s", ...)]],
  },
  {
    name = "tide.Clock:jump",
    doc = [[
Moves the time of day alone on, until the end of the file, as if the machine had slept: no timer runs and no sleep ends. For what waits
for its age, a delay or an expiry.]],
    params = { { name = "duration", type = "duration" } },
    returns = { { name = "clock", type = "tide.Clock" } },
  },
  {
    name = "tide.spec.eventually",
    doc = "Waits until a function returns something, and returns that. Raises after a minute.",
    waits = true,
    params = { { name = "f", type = "function", lua = "fun(): any" } },
    returns = { { name = "value", type = "any" } },
  },
  {
    name = "tide.spec.together",
    doc = "Runs functions at the same time, each as a task of its own, and waits for all. Raises what one of them raised.",
    waits = true,
    variadic = { name = "...", label = "a function to run", type = "function", lua = "fun(): any", doc = "to run" },
    returns = { { name = "values", type = "any", lua = "any ...", doc = "the first value of each" } },
  },
  {
    name = "tide.spec.wav",
    doc = "A WAV file with a tone: mono, 16 bit, 44100 Hz.",
    params = { { name = "seconds", type = "number" } },
    returns = { { name = "bytes", type = "string" } },
  },
  { name = "tide.spec.data", type = "string", doc = "The directory where the backends keep theirs." },
  {
    name = "tide.App",
    doc = "A bundle under test.",
    hint = '  a request of any method: app:request { method = "PATCH", path = "/..." }',
    fields = {
      { name = "name", type = "string" },
      { name = "url", type = "string", lua = "string|false", doc = "of its listener; false when it has no routes" },
    },
  },
  {
    name = "tide.App:request",
    doc = "One HTTP request, of any method; `put` stores a file.",
    waits = true,
    params = { { name = "options", fields = {
      { name = "path", type = "string" },
      { name = "method", type = "string", default = "GET" },
      unpack(FIELDS),
    } } },
    returns = ANSWER,
    fails = { { "unavailable", "the connection ended" }, { "timeout", "retryable" } },
  },
  request "get",
  request "post",
  request "delete",
  {
    name = "tide.App:send",
    doc = "Sends bytes as they are, such as the first part of a request, on a connection of their own.",
    waits = true,
    params = { { name = "bytes", type = "string" } },
    returns = { { name = "hang_up", type = "function", lua = "fun()" } },
  },
  {
    name = "tide.App:call",
    doc = "`require(module)[name](...)` in the bundle's own state; arguments and result go through JSON.",
    waits = true,
    params = { { name = "module", type = "string" }, { name = "name", type = "string" } },
    variadic = { name = "...", type = "any", optional = true, doc = "arguments" },
    returns = { { name = "result", type = "any" } },
    fails = { { "invalid", "or the code that the function returned" } },
  },
  {
    name = "tide.App:deliver",
    doc = "Publishes a message and waits until its queue has nothing to work on.",
    waits = true,
    params = { QUEUE, { name = "message", type = "table|string", doc = "or the bytes of a malformed one" } },
    returns = { { name = "outcome", type = "string", lua = '"done"|"delayed"|"dead"', doc = "`delayed`: it will be tried again" } },
  },
  { name = "tide.App:tick", doc = "Runs every timer of the bundle once and waits for them.", waits = true },
  {
    name = "tide.App:published",
    doc = "The messages that wait in a queue without a consumer, oldest first.",
    params = { QUEUE },
    returns = { { name = "messages", type = "table", lua = "table[]" } },
  },
  {
    name = "tide.App:dead_letters",
    doc = "The dead letters of a queue, oldest first.",
    params = { QUEUE, { name = "fields", type = "table", optional = true, lua = "string[]", doc = "only these of each" } },
    returns = { { name = "letters", type = "table",
      lua = "{ message: table, code: string, reason: string, attempts: integer, detail: string? }[]" } },
  },
  {
    name = "tide.App:queue",
    doc = "How many messages a queue has.",
    params = { QUEUE },
    returns = { { name = "counts", type = "table", lua = "{ ready: integer, delayed: integer, leased: integer, dead: integer }" } },
  },
  {
    name = "tide.App:put",
    doc = "Stores a file. A PUT over HTTP is `app:request { method = \"PUT\", path = ... }`.",
    waits = true,
    params = {
      { name = "bucket", type = "string", pattern = "^[%w_-]+$",
        expected = 'the name of a bucket (a PUT over HTTP is app:request { method = "PUT", path = ... })' },
      { name = "content", type = "table", lua = "{ bytes?: string, path?: string }", doc = "`{ bytes = }` or `{ path = }`" },
      { name = "options", type = "table", optional = true, lua = "tide.Bucket.create.options", doc = "of `tide.Bucket:create`" },
    },
    returns = { { name = "id", type = "id" } },
  },
  {
    name = "tide.App:stat",
    doc = "What is known of a stored file: its name, length, owner, metadata. It is not held open.",
    waits = true,
    params = {
      { name = "bucket", type = "string" },
      { name = "id", type = "any", lua = "string?", optional = true, doc = "of the file" },
      { name = "options", type = "table", optional = true, lua = "tide.Bucket.open.options", doc = "of `tide.Bucket:open`" },
    },
    returns = { { name = "file", type = "tide.File" } },
    fails = { { "not_found", "there is no such file, or it is another owner's" } },
  },
  { name = "tide.App:close", doc = "Ends it, with what it has in flight. Once more does nothing." },
}
