local URL = { name = "url", type = "string", doc = "absolute, http or https" }
local PATH = { name = "path", type = "string", doc = "put behind the upstream's URL" }
local FIELDS = {
  { name = "headers", type = "headers", optional = true, doc = "at most 32" },
  { name = "body", type = "string", optional = true, doc = "not with GET" },
  { name = "json", type = "any", optional = true, doc = "a value to be sent as JSON, instead of `body`" },
  { name = "timeout", type = "duration", default = "30s", min = 1, doc = "for everything" },
  { name = "max_body", type = "size", default = "4MiB", min = 1, doc = "of the answer" },
  { name = "redirects", type = "integer", default = 0, min = 0, max = 5, doc = "to follow" },
}
local OPTIONS = { name = "options", optional = true, fields = FIELDS }
local RETURNS = { { name = "answer", type = "tide.HttpAnswer", doc = "whatever its status is" } }
local FAILS = {
  { "unavailable", "refused, reset, no such host, a bad certificate; retryable" },
  { "timeout", "retryable" },
  { "too_large", "over `max_body`" },
  { "invalid", "the URL or a header" },
}

local function request(name, doc, first)
  return { name = name, doc = doc, waits = true, params = { first, OPTIONS }, returns = RETURNS, fails = FAILS,
    throws = "when `json` can't be written as JSON" }
end

return {
  title = "HTTP client",
  text = "HTTP/1.1 with kept connections; certificates are verified. A status of 400 and above is an answer, not a failure.",
  request("tide.http.get", "GET of a URL.", URL),
  request("tide.http.post", "POST to a URL.", URL),
  request("tide.http.put", "PUT to a URL.", URL),
  request("tide.http.delete", "DELETE of a URL.", URL),
  {
    name = "tide.http.request",
    doc = "A request with any method.",
    waits = true,
    params = { { name = "options", fields = {
      { name = "url", type = "string", doc = "absolute, http or https" },
      { name = "method", type = "string", default = "GET", doc = "not CONNECT or TRACE" },
      unpack(FIELDS),
    } } },
    returns = RETURNS,
    fails = FAILS,
    throws = "when `json` can't be written as JSON",
    example = [[local answer = assert(tide.http.request { method = "PATCH", url = url, json = { name = "new" } })]],
  },
  {
    name = "tide.HttpAnswer",
    doc = "An answer to the HTTP client. A handler may return it as its own.",
    fields = {
      { name = "status", type = "integer" },
      { name = "headers", type = "table", lua = "table<string, string>", doc = 'names in lower case, repeated ones joined with `", "`' },
      { name = "body", type = "string" },
    },
  },
  {
    name = "tide.HttpAnswer:json",
    doc = "The body, which must be JSON.",
    returns = { { name = "value", type = "any" } },
    fails = { { "invalid", "it is none" } },
  },
  {
    name = "tide.upstream",
    doc = "Another service, whose answers a handler can return as its own: headers of the connection are left out.",
    params = { { name = "url", type = "string", pattern = "^https?://[^/]", expected = 'a URL such as "http://127.0.0.1:5000"',
      doc = "what its paths are put behind" } },
    returns = { { name = "upstream", type = "tide.Upstream" } },
    example = [[
local auth = tide.upstream "http://127.0.0.1:5000"
tide.route("POST /login", function(req)
  return auth:forward(req)
end)]],
  },
  { name = "tide.Upstream", doc = "Another service.", fields = { { name = "base", type = "string", doc = "its URL" } } },
  request("tide.Upstream:get", "GET of a path.", PATH),
  request("tide.Upstream:post", "POST to a path.", PATH),
  request("tide.Upstream:put", "PUT to a path.", PATH),
  request("tide.Upstream:delete", "DELETE of a path.", PATH),
  {
    name = "tide.Upstream:forward",
    doc = "Passes a request on, with method, target and body and the headers Authorization, Accept and Content-Type, and adds "
      .. "X-Forwarded-For. What fails is raised.",
    waits = true,
    params = { { name = "req", type = "tide.Request" } },
    returns = RETURNS,
  },
}
