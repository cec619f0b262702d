-- The HTTP client, and upstreams: another service behind a base URL.
local native, load = ...

local check, report, api = load "check", load "report", load "api.services"
local cjson, json = native.cjson, load "json"
local Failure = load "failure"

local http = {}
local Response = {}
Response.__index = Response

function Response:json()
  local value, why = cjson.decode(self.body)
  if value == nil then
    return nil, setmetatable({ code = "invalid", message = "the answer is no JSON: " .. tostring(why), retryable = false }, Failure)
  end
  return value
end

local function fetch(where, method, url, options)
  local o = check.options(where, api.http, options)
  local headers, body = {}, o.body
  for name, value in pairs(o.headers or {}) do
    headers[name:lower()] = value
  end
  if o.json ~= nil then
    body = json.encode(o.json)
    headers["content-type"] = headers["content-type"] or "application/json"
  end
  local status, received, content = native.fetch(method, url, headers, body, o.timeout, o.max_body, o.redirects)
  if not status then
    return nil, received
  end
  return setmetatable({ status = status, headers = received, body = content }, Response)
end

function http.request(options)
  if type(options) ~= "table" or type(options.url) ~= "string" then
    report.misuse("tide.http.request: wants a table with at least url: tide.http.request{ method = \"GET\", url = \"https://...\" }")
  end
  local rest = {}
  for key, value in pairs(options) do
    if key ~= "method" and key ~= "url" then
      rest[key] = value
    end
  end
  return fetch("tide.http.request", options.method or "GET", options.url, rest)
end

local Upstream = {}
Upstream.__index = Upstream

for name, method in pairs { get = "GET", post = "POST", put = "PUT", delete = "DELETE" } do
  http[name] = function(url, options)
    check.value("tide.http." .. name, { name = "url", type = "string" }, url)
    return fetch("tide.http." .. name, method, url, options)
  end
  Upstream[name] = function(self, path, options)
    return self:answer(fetch("upstream:" .. name, method, self.base .. path, options))
  end
end

-- What belongs to the connection to the upstream, or is made anew for ours (RFC 9110, 7.6.1).
local dropped = { "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "date",
  "x-request-id", "x-content-type-options", "server" }

-- An answer that a handler can return as its own.
function Upstream.answer(_, response, err)
  if not response then
    return nil, err
  end
  for _, name in ipairs(dropped) do
    response.headers[name] = nil
  end
  return response
end

local passed = { "authorization", "accept", "content-type" }

-- Passes a request on, with its body, and its answer back. A proxy's client may name the whole URL: what is behind the host counts.
function Upstream:forward(req)
  local body = assert(req:text())
  local headers = {}
  for _, name in ipairs(passed) do
    headers[name] = req.headers[name]
  end
  headers["x-forwarded-for"] = req.address -- what the client itself claims is not passed on
  return assert(self:answer(fetch("upstream:forward", req.method, self.base .. req.target:gsub("^%a+://[^/?]*", ""),
    { headers = headers, body = body ~= "" and body or nil })))
end

local function upstream(base)
  check.value("tide.upstream", { name = "url", type = "string" }, base)
  if not base:match("^https?://[^/]") then
    report.misuse(("tide.upstream: '%s' is no URL such as \"http://127.0.0.1:5000\""):format(base))
  end
  return setmetatable({ base = (base:gsub("/+$", "")) }, Upstream)
end

return { client = http, upstream = upstream }
