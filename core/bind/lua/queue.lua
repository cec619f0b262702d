-- Queues: what goes through one is described by its shape, and nothing else gets in or out.
local native, load = ...

local check, report, shape, api = load "check", load "report", load "shape", load "api.core"
local debug = load("sandbox").debug
local cjson, json = native.cjson, load "json"
local Failure = load "failure"
local null = cjson.null

local queue = { handlers = {} }
local Queue = {}
Queue.__index = Queue

local function failure(code, message)
  return setmetatable({ code = code, message = message, retryable = false }, Failure)
end

-- ---- shapes: { video_fid = "id", mp3_fid = "id?", username = "string" } ----

-- The message to send, every field there (JSON null for a missing one); or nil and what is wrong.
local function conform(fields, message)
  local out = {}
  for key in pairs(message) do
    if not fields[key] then
      return nil, ("unknown field '%s'"):format(tostring(key))
    end
  end
  for key, field in pairs(fields) do
    local value = message[key]
    if value == nil or value == null then
      if not field.optional then
        return nil, ("the field '%s' is missing"):format(key)
      end
      out[key] = null
    else
      local used, expected = check.types[field.type](value)
      if used == nil then
        return nil, ("the field '%s' must be %s"):format(key, expected)
      end
      out[key] = used
    end
  end
  return out
end

-- Fields that a peer adds and we don't know are let through unread.
local function understand(fields, payload)
  local message, why = cjson.decode(payload)
  if type(message) ~= "table" then
    return nil, "not a JSON object: " .. (why or "another value")
  end
  local known = {}
  for key in pairs(fields) do
    known[key] = message[key]
  end
  local conforming, problem = conform(fields, known)
  if not conforming then
    return nil, problem
  end
  for key, value in pairs(conforming) do
    if value == null then
      conforming[key] = nil
    end
  end
  return conforming
end

function queue.new(name, declared)
  check.value("tide.queue", { name = "name", type = "string" }, name)
  check.value("tide.queue", { name = "shape", type = "table" }, declared)
  if not name:match("^[a-z0-9_.-]+$") or #name > 64 then
    report.misuse(("tide.queue: '%s' is no name of a queue: a-z, 0-9, '_', '.', '-', at most 64"):format(name))
  end
  return setmetatable({ name = name, fields = shape.parse(("tide.queue: '%s'"):format(name), declared) }, Queue)
end

-- ---- publish ----

function Queue:publish(message, options)
  local o = check.options("queue:publish", api.publish, options)
  check.value("queue:publish", { name = "message", type = "table" }, message)
  local conforming, problem = conform(self.fields, message)
  if not conforming then
    report.misuse(("queue:publish: message for '%s': %s"):format(self.name, problem))
  end
  return native.queue_publish(self.name, json.encode(conforming), o.delay or 0)
end

-- ---- consume ----

function Queue:consume(options, handler)
  if handler == nil then
    options, handler = nil, options
  end
  local o = check.options("queue:consume", api.consume, options)
  check.value("queue:consume", { name = "handler", type = "function" }, handler)
  local where = debug.getinfo(handler, "S")
  local index = native.declare_consumer(self.name, o.concurrency, o.attempts, o.lease, o.backoff, o.backoff_max, o.timeout,
    true, where.source:gsub("^@", ""), where.linedefined)
  queue.handlers[index] = { queue = self, handler = handler, on_dead = o.on_dead }
end

-- ---- what a handler may return ----

local Outcome = {}

-- Again later: in `after`, else by the queue's backoff. Takes a failure too.
function queue.retry(options)
  local o = getmetatable(options) == Failure and { code = options.code, message = options.message }
    or check.options("tide.retry", api.retry, options)
  return setmetatable({ "retry", o.after, o.code, o.message }, Outcome)
end

-- Never again: to the dead letters. Takes a failure or a sentence.
function queue.reject(reason)
  if type(reason) == "table" and reason.code then
    return setmetatable({ "reject", nil, reason.code, reason.message }, Outcome)
  end
  check.value("tide.reject", { name = "reason", type = "string" }, reason)
  return setmetatable({ "reject", nil, "rejected", reason }, Outcome)
end

-- outcome, delay_ms, code, reason
local function outcome(value, err)
  if getmetatable(value) == Outcome then
    return value[1], value[2], value[3], value[4]
  elseif value == nil and type(err) == "table" and err.code then -- `return queue:publish{...}` that failed
    return err.retryable and "retry" or "reject", nil, err.code, err.message
  end
  return "ack"
end

function queue.deliver(index, payload, attempt)
  local consumer = queue.handlers[index]
  local message, problem = understand(consumer.queue.fields, payload)
  if not message then
    return "reject", nil, "bad_message", problem
  end
  return outcome(consumer.handler(message, { attempt = attempt }))
end

function queue.bury(index, payload, code, reason)
  local consumer = queue.handlers[index]
  local message = consumer.on_dead and understand(consumer.queue.fields, payload)
  if message then
    consumer.on_dead(message, failure(code, reason))
  end
end

return queue
