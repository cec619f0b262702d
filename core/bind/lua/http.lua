-- The HTTP client, and upstreams: another service behind a base URL.
local native, load = ...

local api, json, report = load "api", load "json", load "report"
local cjson = native.cjson
local Failure = load "failure"

local http, Answer, Upstream = {}, {}, {}

function Answer:json()
  local value, why = cjson.decode(self.body)
  if value == nil then
    return nil, setmetatable({ code = "invalid", message = "the answer is no JSON: " .. tostring(why), retryable = false }, Failure)
  end
  return value
end

local function fetch(where, method, url, o)
  local headers, body = {}, o.body
  for name, value in pairs(o.headers or {}) do
    headers[name:lower()] = value
  end
  if o.json ~= nil then
    if body then
      report.misuse(where .. ": 'json' and 'body' are both given; the body is one of them")
    end
    body = json.write(where, o.json)
    headers["content-type"] = headers["content-type"] or "application/json"
  end
  local status, received, content = native.fetch(method, url, headers, body, o.timeout, o.max_body, o.redirects)
  if not status then
    return nil, received
  end
  return setmetatable({ status = status, headers = received, body = content }, Answer)
end

function http.request(options)
  return fetch("tide.http.request", options.method, options.url, options)
end

-- What belongs to the connection to the upstream, or is made anew for ours (RFC 9110, 7.6.1).
local dropped = { "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "date",
  "x-request-id", "x-content-type-options", "server" }

-- An answer that a handler can return as its own.
local function own(response, err)
  if not response then
    return nil, err
  end
  for _, name in ipairs(dropped) do
    response.headers[name] = nil
  end
  return response
end

for name, method in pairs { get = "GET", post = "POST", put = "PUT", delete = "DELETE" } do
  http[name] = function(url, options)
    return fetch("tide.http." .. name, method, url, options)
  end
  Upstream[name] = function(self, path, options)
    return own(fetch("tide.Upstream:" .. name, method, self.base .. path, options))
  end
end

local passed = { "authorization", "accept", "content-type" }

-- A proxy's client may name the whole URL: what is behind the host counts.
function Upstream:forward(req)
  local body = assert(req:text())
  local headers = {}
  for _, name in ipairs(passed) do
    headers[name] = req.headers[name]
  end
  headers["x-forwarded-for"] = req.address -- what the client itself claims is not passed on
  return assert(own(http.request { method = req.method, url = self.base .. req.target:gsub("^%a+://[^/?]*", ""),
    headers = headers, body = body ~= "" and body or nil }))
end

local function upstream(url)
  native.declare_upstream(url, report.caller(1))
  return setmetatable({ base = (url:gsub("/+$", "")) }, Upstream)
end

api.define("http", {
  tide = { upstream = upstream },
  ["tide.http"] = http, ["tide.HttpAnswer"] = Answer, ["tide.Upstream"] = Upstream,
})
