-- Routes, and the request as a handler sees it.
local native, load = ...

local api, report, respond, shape = load "api", load "report", load "respond", load "shape"
local cjson = native.cjson

local route = { handlers = {}, steps = {} }

local Failure = load "failure"

local function bad_request(message)
  return nil, setmetatable({ code = "bad_request", message = message, retryable = false }, Failure)
end

-- ---- the request ----

local HANDLE = {}
local Request = {}
local fields = { method = true, path = true, target = true, raw_query = true, address = true, id = true }

local Headers = {}
function Headers.__index(headers, name)
  return native.request_header(headers[HANDLE], tostring(name))
end

local function lazily(req, name)
  if fields[name] then
    return native.request_field(req[HANDLE], name)
  elseif name == "headers" then
    return setmetatable({ [HANDLE] = req[HANDLE] }, Headers)
  elseif name == "query" then
    return assert(native.request_query(req[HANDLE]))
  end
end

local Part, Body = {}, {}

function Request.__index(req, name)
  local method = Request[name]
  if method then
    return method
  end
  local value = lazily(req, name)
  rawset(req, name, value)
  return value
end

function Request.text(req, max)
  return native.request_collect(req[HANDLE], max)
end

function Request.json(req, max)
  local text, err = req:text(max)
  if not text then
    return nil, err
  end
  local value, why = cjson.decode(text)
  if value == nil then
    return bad_request("the body is no JSON: " .. why)
  end
  return value
end

function Request.all_headers(req)
  return native.request_headers(req[HANDLE])
end

function Request.accepts(req, ...)
  return load("accept").best(req.headers.accept, { ... })
end

function Request.body(req)
  return setmetatable({ native = native.request_source(req[HANDLE]) }, Body)
end

function Request.next_part(req)
  local part, err = native.request_part(req[HANDLE])
  if part then
    part.native, part.source = part.source, nil
    setmetatable(part, Part)
  end
  return part, err
end

-- The one part of a form that has nothing else before it; tide.copy refuses what comes behind.
function Request.only_part(req, name)
  local part, err = req:next_part()
  if not part then
    return nil, err or select(2, bad_request(("the form has no field '%s'"):format(name)))
  end
  if part.name ~= name then
    return bad_request(("the form has the field '%s'; it must have '%s' alone"):format(part.name, name))
  end
  if not part.filename or part.filename == "" then
    return bad_request(("the field '%s' holds no file"):format(name))
  end
  part.request = req
  return part
end

local function credentials(req, scheme, what)
  local found, header = native.request_credentials(req[HANDLE], scheme)
  if found then
    return found
  end
  return bad_request(header and ("the Authorization header holds no %s"):format(what) or "no Authorization header")
end

-- { user, password } of Basic credentials (RFC 7617); or nil and why. Only UTF-8, as a database refuses other text.
function Request.basic_auth(req)
  local encoded, err = credentials(req, "Basic", "Basic credentials")
  if not encoded then
    return nil, err
  end
  local plain = native.base64_decode(encoded)
  local user, password = (plain or ""):match("^([^:]*):(.*)$")
  if not user then
    return bad_request("the Authorization header holds no Basic credentials")
  elseif not native.is_utf8(plain) then
    return bad_request("the Basic credentials are not UTF-8")
  end
  return { user = user, password = password }
end

-- The Bearer token (RFC 6750); or nil and why.
function Request.bearer(req)
  return credentials(req, "Bearer", "Bearer token")
end

function route.request(handle, ...)
  local params = {}
  for i = 1, select("#", ...), 2 do
    local name, value = select(i, ...)
    params[name] = value
  end
  return setmetatable({ [HANDLE] = handle, params = params }, Request)
end

-- `handler` as the script wrote it, `steps` with what its options put before it.
local run = report.runner(function(_, steps, handle, req)
  respond.send(handle, report.result(steps(req)))
end)

function route.run(index, handle, ...)
  run(route.handlers[index], route.steps[index], handle, route.request(handle, ...))
end

-- ---- rate limits: a token bucket for each client address, in this worker ----

local MAX_ADDRESSES = 10000

local function allowed(buckets, address, rate)
  local now = native.now_ms() / 1000
  local bucket = buckets[address]
  if not bucket then
    if buckets.count >= MAX_ADDRESSES then
      for key in pairs(buckets) do
        buckets[key] = nil
      end
      buckets.count = 0
    end
    bucket = { tokens = math.max(rate, 1), at = now }
    buckets[address] = bucket
    buckets.count = buckets.count + 1
  end
  bucket.tokens = math.min(math.max(rate, 1), bucket.tokens + math.max(0, now - bucket.at) * rate)
  bucket.at = now
  if bucket.tokens < 1 then
    return false
  end
  bucket.tokens = bucket.tokens - 1
  return true
end

local function limited(rate, handler)
  local buckets = { count = 0 }
  return function(req)
    if allowed(buckets, req.address, rate) then
      return handler(req)
    end
    return respond.problem(429, "too many requests from this address", nil,
      { ["Retry-After"] = tostring(math.max(1, math.ceil(1 / rate))) })
  end
end

-- ---- parameters ----

-- A shape of a parameter that the path doesn't have would never be met.
local function check_names(where, spec, params)
  local names = {}
  for name in spec:gmatch("{([%w_]+)%*?}") do
    names[#names + 1] = name
    names[name] = true
  end
  for name in pairs(params) do
    if not names[name] then
      report.misuse(("%s: the path has no parameter '%s'%s"):format(where, tostring(name), report.suggestion(name, names)))
    end
  end
end

-- The handler, for requests whose parameters have the shapes that the route declares; 400 for others.
local function shaped(spec, o, handler)
  local where = ("tide.route: '%s'"):format(spec)
  check_names(where, spec, o.params or {})
  local params = o.params and shape.parse(where .. ": params", o.params)
  local query = o.query and shape.parse(where .. ": query", o.query)
  return function(req)
    local values, problem = shape.read(params or {}, req.params)
    if not values then
      return respond.problem(400, ("in the path, %s"):format(problem))
    end
    req.params = params and values or req.params
    values, problem = shape.read(query or {}, query and req.query or {})
    if not values then
      return respond.problem(400, ("in the query, %s"):format(problem))
    end
    req.query = query and values or nil
    return handler(req)
  end
end

-- ---- the declaration ----

function route.declare(spec, o, handler)
  local index, why, place = native.declare_route(spec, o.limit and o.limit.body or -1, o.timeout, o.cpu, report.caller(1))
  if not index then
    report.misuse(("tide.route: '%s': %s"):format(spec, why), place and "  it is declared at " .. place)
  end
  local steps = handler
  if o.params or o.query then
    steps = shaped(spec, o, steps)
  end
  if o.limit and o.limit.rate then
    steps = limited(o.limit.rate, steps)
  end
  route.handlers[index], route.steps[index] = handler, steps
end

local function proxies(list)
  local why = native.declare_proxies(list)
  if why then
    report.misuse("tide.proxies: " .. why)
  end
end

api.define("route", { tide = { route = route.declare, proxies = proxies }, ["tide.Request"] = Request, ["tide.Part"] = Part, ["tide.Body"] = Body })

return route
