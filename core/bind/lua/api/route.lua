local _, load = ...

return {
  title = "Routes and requests",
  text = [[
A route is a method and a path, declared at the top of a file. Its handler is a function that returns the answer. Each request runs in
a coroutine of its own, so a handler may wait for as long as its `timeout` lets it; when the client goes away, it ends where it waits,
and what it holds (open files, files being written, transactions) is closed.

A failure that a handler raises (with `assert` or `error`) is answered by its code: `bad_request` 400, `denied` 403, `not_found` 404,
`exists` and `conflict` 409, `too_large` 413, `too_many` 429, `full` 507; another one that is retryable 503, the rest 500 without details.]],
  {
    name = "tide.route",
    doc = "Declares a route.",
    declares = true,
    params = {
      { name = "spec", type = "string", doc = 'method and path: `"GET /jobs/{id}"`. `{name}` takes one segment of the path, '
        .. "`{name*}` at its end all that is left" },
      { name = "options", optional = true, fields = {
        { name = "limit", optional = true, type = "table", doc = "what a client may send", fields = {
          { name = "body", type = "size|integer", optional = true, doc = "largest body; over it 413. Without it the listener's limit" },
          { name = "rate", type = "rate", optional = true, doc = "requests per client address and worker; over it 429" },
        } },
        { name = "timeout", type = "duration", default = "60s", doc = "for the handler, without the time to send the response; over it 504" },
        { name = "cpu", type = "duration", optional = true, min = 1,
          doc = "CPU time between two waits of the handler; over it 500. Without it the setting `limits.script_cpu`" },
        { name = "params", type = "table", optional = true, lua = "table<string, string|tide.ParameterShape>",
          doc = "the shape of the path's parameters; 400 when they have another" },
        { name = "query", type = "table", optional = true, lua = "table<string, string|tide.ParameterShape>",
          doc = "the shape of the query; 400 when it has another. What it doesn't name is left out" },
      } },
      { name = "handler", type = "function", lua = "fun(req: tide.Request): tide.Answer|tide.FileAnswer|tide.HttpAnswer|table|string",
        doc = "returns the answer: what `tide.respond.*` makes, an answer of the HTTP client, a string (as text/plain) or another "
          .. "table (as JSON)" },
    },
    throws = "when the path is malformed or taken",
    example = [[
tide.route("GET /hello/{name}", { limit = { rate = "10/s" } }, function(req)
  return { hello = req.params.name }
end)]],
  },
  {
    name = "tide.proxies",
    doc = "Declares which peers of the bundle's listener are proxies. A request's `address` is then the one that they name in "
      .. "X-Forwarded-For: going back from the peer, the first that is no proxy. Without it the header is not believed.",
    declares = true,
    params = { { name = "list", type = "string", doc = "addresses and networks, blanks or commas between" } },
    throws = "when one is neither",
    example = [[
tide.proxies "10.0.0.0/8 ::1"]],
  },
  {
    name = "tide.ParameterShape",
    doc = "The shape of a parameter in a path or a query. A type's name alone will do: `{ id = \"id\", page = \"integer?\" }`.",
    plain = true,
    fields = load "api.shape",
    example = [[
tide.route("GET /items", { query = { limit = { "integer", min = 1, max = 100, default = 20 } } }, function(req)
  return tide.json.array(items(req.query.limit))
end)]],
  },
  {
    name = "tide.Request",
    doc = "A request, as its handler gets it. A script may add fields of its own.",
    open = true,
    fields = {
      { name = "method", type = "string", doc = '`"GET"`, `"POST"`, ...' },
      { name = "path", type = "string", doc = "decoded, without the query" },
      { name = "target", type = "string", doc = "path and query as they were sent" },
      { name = "params", type = "table", lua = "table<string, string>", doc = "what `{name}` in the route's path stands for" },
      { name = "query", type = "table", lua = "table<string, string>", doc = "decoded; the first value of a name. Malformed: raises `bad_request`" },
      { name = "raw_query", type = "string", doc = "the query as it was sent, without `?`" },
      { name = "headers", type = "table", lua = "table<string, string>",
        doc = "looked up by name without regard to case; the first value. Can't be walked: see `all_headers`" },
      { name = "address", type = "string", doc = "the client's IP address: the peer's, or what `tide.proxies` say" },
      { name = "id", type = "id", doc = "of this request: also in its log line and in `X-Request-Id`" },
    },
  },
  {
    name = "tide.Request:text",
    doc = "The whole body.",
    waits = true,
    params = { { name = "max", type = "size|integer", default = 1048576, doc = "largest body in bytes" } },
    returns = { { name = "text", type = "string" } },
    fails = { { "too_large", "over `max`" }, { "conflict", "the body was read already" }, { "timeout", "the client is too slow" } },
  },
  {
    name = "tide.Request:json",
    doc = "The body, which must be JSON.",
    waits = true,
    params = { { name = "max", type = "size|integer", default = 1048576, doc = "largest body in bytes" } },
    returns = { { name = "value", type = "any", doc = "JSON's null is `tide.json.null`" } },
    fails = { { "bad_request", "no JSON" }, { "too_large", "over `max`" }, { "conflict", "the body was read already" } },
  },
  {
    name = "tide.Request:accepts",
    doc = "Of the media types given, the one that the client likes best (RFC 9110, 12.5.1).",
    variadic = { name = "...", label = "a media type", type = "string", doc = "media types that the handler can answer with, the favourite first" },
    returns = { { name = "media_type", type = "string", optional = true,
      doc = "the first one when the client doesn't say, nil when it takes none" } },
  },
  {
    name = "tide.Request:body",
    doc = "The raw body as a stream, for `tide.copy`.",
    returns = { { name = "body", type = "tide.Body" } },
  },
  {
    name = "tide.Request:next_part",
    doc = "The next part of a multipart form. Asking for it skips what is left of the part before.",
    waits = true,
    returns = { { name = "part", type = "tide.Part", optional = true, doc = "nothing after the last one" } },
    fails = { { "bad_request", "no form, or a malformed one" }, { "conflict", "the body was read otherwise" } },
  },
  {
    name = "tide.Request:only_part",
    doc = "The one part of a form that has nothing but a file in one field.",
    waits = true,
    params = { { name = "name", type = "string", doc = "of the field" } },
    returns = { { name = "part", type = "tide.Part", doc = "`tide.copy` of it fails when another part follows" } },
    fails = { { "bad_request", "no form, another field before it, or no file in it" }, { "conflict", "the body was read otherwise" } },
    example = [[
local part = assert(req:only_part "file")
local file = assert(files:create { name = part.filename })
assert(tide.copy(part, file))]],
  },
  {
    name = "tide.Request:all_headers",
    doc = "All headers, to walk through.",
    returns = { { name = "headers", type = "table", lua = "table<string, string>",
      doc = 'names in lower case, repeated ones joined with `", "`' } },
  },
  {
    name = "tide.Request:basic_auth",
    doc = "The Basic credentials (RFC 7617).",
    returns = { { name = "credentials", type = "table", lua = "{ user: string, password: string }" } },
    fails = { { "bad_request", "there are none, or they are not UTF-8" } },
  },
  {
    name = "tide.Request:bearer",
    doc = "The Bearer token (RFC 6750). It is not verified: see `tide.jwt`.",
    returns = { { name = "token", type = "string" } },
    fails = { { "bad_request", "there is none" } },
  },
  {
    name = "tide.Part",
    doc = "A part of a multipart form, to be given to `tide.copy`.",
    fields = {
      { name = "name", type = "string", doc = "of the form's field" },
      { name = "filename", type = "string", optional = true, doc = "as the client calls it, without a path" },
      { name = "content_type", type = "string", optional = true, doc = "what the client claims" },
    },
  },
  { name = "tide.Body", doc = "The raw body of a request, to be given to `tide.copy`.", fields = {} },
}
