-- Queues: what goes through one is described by its shape, and nothing else gets in or out.
local native, load = ...

local api, check, report, shape, json = load "api", load "check", load "report", load "shape", load "json"
local loader = load "loader"
local debug = load("sandbox").debug
local cjson = native.cjson
local Failure = load "failure"
local null = cjson.null

local queue = { handlers = {} }
local Queue = {}

local function failure(code, message)
  return setmetatable({ code = code, message = message, retryable = false }, Failure)
end

-- ---- shapes: { video_fid = "id", mp3_fid = "id?", username = "string" } ----

local function unknown(fields, key)
  local names = {}
  for name in pairs(fields) do
    names[#names + 1] = name
  end
  return ("unknown field '%s'%s"):format(key, report.suggestion(key, names))
end

-- The message to send, every field there (JSON null for a missing one); or nil and what is wrong.
local function conform(fields, message)
  local out = {}
  for key in pairs(message) do
    if not fields[key] then
      return nil, unknown(fields, tostring(key))
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

local function new(name, declared)
  if loader.loading then
    native.declare_publisher(name, report.caller(2))
  end
  return setmetatable({ name = name, fields = shape.parse(("tide.queue: '%s'"):format(name), declared) }, Queue)
end

-- ---- publish ----

function Queue:publish(message, options)
  local conforming, problem = conform(self.fields, message)
  if not conforming then
    report.misuse(("tide.Queue:publish: message for '%s': %s"):format(self.name, problem))
  end
  return native.queue_publish(self.name, json.write("tide.Queue:publish", conforming), options.delay or 0)
end

-- ---- consume ----

function Queue:consume(o, handler)
  local where = debug.getinfo(handler, "S")
  local index = native.declare_consumer(self.name, o.concurrency, o.attempts, o.lease, o.backoff, o.backoff_max, o.timeout,
    o.cpu, o.on_dead ~= nil, where.source:gsub("^@", ""), where.linedefined)
  queue.handlers[index] = { queue = self, handler = handler, on_dead = o.on_dead }
end

-- ---- what a handler may return ----

local Outcome = {}

local function retry(why)
  return setmetatable({ "retry", why.after, why.code, why.message }, Outcome)
end

local function reject(reason)
  if type(reason) == "table" then
    return setmetatable({ "reject", nil, reason.code, reason.message }, Outcome)
  end
  return setmetatable({ "reject", nil, "rejected", reason }, Outcome)
end

-- outcome, delay_ms, code, reason
local function outcome(value)
  if getmetatable(value) == Outcome then
    return value[1], value[2], value[3], value[4]
  end
  return "ack"
end

function queue.deliver(index, payload, attempt)
  local consumer = queue.handlers[index]
  local message, problem = understand(consumer.queue.fields, payload)
  if not message then
    return "reject", nil, "bad_message", problem
  end
  return outcome(report.result(report.enter(consumer.handler, message, { attempt = attempt })))
end

function queue.bury(index, payload, code, reason)
  local consumer = queue.handlers[index]
  local message = consumer.on_dead and understand(consumer.queue.fields, payload)
  if message then
    report.result(report.enter(consumer.on_dead, message, failure(code, reason)))
  end
end

api.define("queue", { tide = { queue = new, retry = retry, reject = reject }, ["tide.Queue"] = Queue })

return queue
