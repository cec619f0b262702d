-- Webhooks by Standard Webhooks 1.0. A delivery is a message in a queue: the queue's attempts, backoff and dead letters are its.
local crypto = tide.crypto
local webhook, Sender = {}, {}

-- ---- signatures ----

-- The key's bytes of a secret "whsec_BASE64".
local function key_of(secret)
  local key = type(secret) == "string" and crypto.decode((secret:match "^whsec_(.+)$") or "")
  if not key or #key < 24 or #key > 64 then
    error("webhook: the secret must be 'whsec_' and base64 of 24 to 64 random bytes, as `openssl rand -base64 32` makes", 0)
  end
  return key
end

local function signature(key, id, timestamp, body)
  return "v1," .. crypto.hmac(key, ("%s.%s.%s"):format(id, timestamp, body), "base64")
end

local function denied(why)
  return nil, tide.failure { code = "denied", message = "no webhook of the sender: " .. why }
end

function webhook.verify(headers, body, secret, tolerance)
  local id, timestamp, signatures = headers["webhook-id"], headers["webhook-timestamp"], headers["webhook-signature"]
  local key, seconds = key_of(secret), tonumber(timestamp)
  if not (id and seconds and signatures) then
    return denied "webhook-id, webhook-timestamp or webhook-signature is missing"
  elseif math.abs(tide.now() - seconds) * 1000 > tolerance then
    return denied "webhook-timestamp is too far from now"
  end
  local expected = signature(key, id, timestamp, body)
  for given in signatures:gmatch "%S+" do -- several while a secret is exchanged
    if crypto.equal(given, expected) then
      return id
    end
  end
  return denied "webhook-signature is not of this secret"
end

-- ---- deliveries ----

-- What the receiver's answer means for the delivery: nil and a failure, or that it is taken.
local function judge(answer)
  if answer.status >= 200 and answer.status < 300 then
    return true
  end
  local gone = answer.status == 410 -- the receiver wants no more of them
  return nil, tide.failure { code = gone and "gone" or "refused", message = ("the receiver answered %d"):format(answer.status),
    retryable = not gone }
end

local function deliver(options, message)
  local secret = options.secret
  local key = key_of(type(secret) == "function" and secret(message.url) or secret)
  local timestamp = ("%d"):format(tide.now())
  local answer, err = tide.http.post(message.url, { body = message.body, timeout = options.timeout, max_body = "1MiB", headers = {
    ["content-type"] = "application/json", ["webhook-id"] = message.id, ["webhook-timestamp"] = timestamp,
    ["webhook-signature"] = signature(key, message.id, timestamp, message.body),
  } })
  if not answer then
    return nil, err
  end
  return judge(answer)
end

function Sender:send(delivery)
  local id = "msg_" .. (delivery.id and tide.id.derive(delivery.id, delivery.type .. " " .. delivery.url) or tide.id.new())
  local body, err = tide.json.encode { type = delivery.type, timestamp = os.date("!%Y-%m-%dT%H:%M:%SZ", tide.now()),
    data = delivery.data }
  if not body then
    error("webhook.Sender:send: " .. err.message, 0)
  end
  local queued, why = self.queue:publish { url = delivery.url, id = id, body = body }
  if not queued then
    return nil, why
  end
  return id
end

function webhook.sender(options)
  local queue = tide.queue(options.queue, { url = "string", id = "string", body = "string" })
  if type(options.secret) == "string" then
    key_of(options.secret) -- a wrong one is told at load
  end
  queue:consume({ attempts = options.attempts, backoff = options.backoff, backoff_max = options.backoff_max,
    concurrency = options.concurrency, timeout = "5m" }, function(message)
    return deliver(options, message)
  end)
  return setmetatable({ queue = queue }, Sender)
end

webhook.Sender = Sender
return webhook
