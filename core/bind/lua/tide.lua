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
  json = load "json",
  id = { new = native.id_new },
}

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
