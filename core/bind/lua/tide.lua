-- The one global of scripts.
local native, load = ...

local check = load "check"
local api = load "api.core"
local cjson = native.cjson
local respond = load "respond"

cjson.encode_empty_table_as_object = nil
cjson.decode_max_depth(64)
cjson.encode_max_depth(64)
cjson.encode_sparse_array(true)

local tide = {
  route = load("route").declare,
  respond = respond,
  every = load("timer").every,
  queue = load("queue").new,
  retry = load("queue").retry,
  reject = load("queue").reject,
  bucket = load("bucket").new,
  copy = load("bucket").copy,
  media = load "media",
  sql = load "sql",
  jwt = load "jwt",
  password = load "password",
  mail = load "mail",
  http = load("http").client,
  upstream = load("http").upstream,
  template = load("template").render,
  log = load "log",
  metrics = load "metrics",
  config = load("config").declare,
  json = { null = cjson.null },
  id = { new = native.id_new },
}

local function encode_failure(code, message)
  return nil, setmetatable({ code = code, message = message, retryable = false }, load "failure")
end

function tide.json.encode(value)
  local text, why = cjson.encode(value)
  if not text then
    return encode_failure("invalid", why)
  end
  return text
end

function tide.json.decode(text)
  check.value("tide.json.decode", { name = "text", type = "string" }, text)
  local value, why = cjson.decode(text)
  if value == nil then
    return encode_failure("invalid", why)
  end
  return value
end

function tide.id.derive(id, purpose)
  check.value("tide.id.derive", { name = "id", type = "id" }, id)
  check.value("tide.id.derive", { name = "purpose", type = "string" }, purpose)
  return native.id_derive(id, purpose)
end

function tide.sleep(duration)
  return native.sleep(check.value("tide.sleep", api.sleep, duration))
end

-- Seconds since 1970, with milliseconds.
function tide.now()
  return native.now_ms() / 1000
end

-- A runtime failure of a script's own, in the form of those of the primitives: `return nil, tide.failure{...}` or `error(tide.failure{...})`.
function tide.failure(fields)
  local f = check.options("tide.failure", api.failure, fields)
  return setmetatable({ code = f.code, message = f.message, retryable = f.retryable }, load "failure")
end

return tide
