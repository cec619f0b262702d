-- A bundle under test, as a spec holds it.
local native, load = ...

local cjson = native.cjson
local tide, settle = load "tide", load "settle"

local App = {}

local function new(handle, name, port)
  return setmetatable({ handle = handle, name = name, url = port > 0 and ("http://127.0.0.1:%d"):format(port) }, App)
end

-- Ends it, with what it has in flight. Without a call it is closed at the end of the block that opened it.
function App:close()
  local handle = self.handle
  self.handle, self.url = false, false
  if handle then
    native.spec_close(handle)
  end
end

-- ---- requests ----

local BOUNDARY = "tidemill-spec-7d1c6a9f"

-- { bytes = "..." } or { path = "..." }
local function bytes_of(content)
  if content.bytes then
    return content.bytes
  end
  local file = assert(io.open(content.path, "rb"))
  local bytes = file:read "*a"
  file:close()
  return bytes
end

-- multipart/form-data: { field = "text" or { filename = , type = , bytes = or path = } }, in the order of names
local function form_body(form)
  local names, out = {}, {}
  for name in pairs(form) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local part = type(form[name]) == "table" and form[name] or { bytes = form[name] }
    local head = ('--%s\r\nContent-Disposition: form-data; name="%s"'):format(BOUNDARY, name)
    if part.filename then
      head = head .. ('; filename="%s"\r\nContent-Type: %s'):format(part.filename, part.type or "application/octet-stream")
    end
    out[#out + 1] = head .. "\r\n\r\n" .. bytes_of(part) .. "\r\n"
  end
  return table.concat(out) .. ("--%s--\r\n"):format(BOUNDARY), "multipart/form-data; boundary=" .. BOUNDARY
end

-- One HTTP request: { method, path, headers, body | json | form, user = { name, password }, token, timeout }.
-- The answer has status, headers (lower case), body and :json().
function App:request(options)
  if not self.url then
    error(("the bundle '%s' has no routes"):format(self.name), 2)
  end
  local headers, body = {}, options.body
  for name, value in pairs(options.headers or {}) do
    headers[name:lower()] = value
  end
  if options.form then
    body, headers["content-type"] = form_body(options.form)
  end
  if options.user then
    headers.authorization = "Basic " .. native.base64_encode(options.user[1] .. ":" .. options.user[2])
  elseif options.token then
    headers.authorization = "Bearer " .. options.token
  end
  return tide.http.request { method = options.method or "GET", url = self.url .. options.path, headers = headers, body = body,
    json = options.json, timeout = options.timeout, max_body = "64MiB" }
end

for name, method in pairs { get = "GET", post = "POST", delete = "DELETE" } do
  App[name] = function(self, path, options)
    local all = { method = method, path = path }
    for key, value in pairs(options or {}) do
      all[key] = value
    end
    return assert(self:request(all))
  end
end

-- Sends bytes as they are, such as the first part of a request, on a connection of their own. Returns a function that hangs up.
function App:send(bytes)
  local connection = native.spec_connect(self.handle, bytes)
  return function()
    native.spec_hang_up(connection)
  end
end

-- require(module)[name](...) in the bundle's own state; arguments and result go through JSON.
function App:call(module, name, ...)
  local result, err = native.spec_call(self.handle, module, name, select("#", ...) == 0 and "[]" or cjson.encode { ... })
  if not result then
    return nil, err
  end
  return (cjson.decode(result))
end

-- ---- messages and timers ----

-- Messages of a queue that a handler has acknowledged.
local function acknowledged(queue)
  local count = 0
  for labels, value in native.spec_metrics():gmatch "tidemill_messages_total(%b{}) (%d+)" do
    if labels:find(('queue="%s"'):format(queue), 1, true) and labels:find('outcome="ack"', 1, true) then
      count = count + tonumber(value)
    end
  end
  return count
end

local function held(stat)
  return stat.ready + stat.delayed + stat.leased + stat.dead
end

-- What a queue holds and how many messages of it were acknowledged, at one moment: an acknowledgement counts before the message
-- is gone.
local function at_rest(queue)
  return settle(function()
    local count = acknowledged(queue)
    local stat = native.spec_queue(queue)
    return stat.leased == 0 and acknowledged(queue) == count and { held = held(stat), stat = stat, acknowledged = count }
  end)
end

-- Publishes a message (a table, or the bytes of a malformed one) and waits until the queue has no message to work on. Tells
-- what became of it: "done", "delayed" (it will be tried again) or "dead".
function App:deliver(queue, message)
  if not native.spec_consumes(self.handle, queue) then
    error(("app:deliver: the bundle '%s' doesn't consume the queue '%s'"):format(self.name, queue), 2)
  end
  local before = at_rest(queue)
  assert(native.queue_publish(queue, type(message) == "table" and cjson.encode(message) or message, 0))
  local now
  settle(function()
    now = native.spec_queue(queue)
    -- A broker doesn't tell which messages are leased: all that aren't acknowledged have to be found again.
    local expected = before.held + 1 - (acknowledged(queue) - before.acknowledged)
    return held(now) == expected and now.delayed + now.dead == expected and native.spec_in_flight(self.handle) == 0
  end)
  return now.dead > before.stat.dead and "dead" or now.delayed > before.stat.delayed and "delayed" or "done"
end

-- Runs every timer (tide.every) of the bundle once and waits for them.
function App:tick()
  native.spec_tick(self.handle)
  settle(function() return native.spec_in_flight(self.handle) == 0 end)
end

local function messages(queue, state, fields)
  local list = native.spec_messages(queue, state)
  for i, message in ipairs(list) do
    message.message = cjson.decode(message.payload)
    if fields then
      local picked = {}
      for _, field in ipairs(fields) do
        picked[field] = message[field]
      end
      list[i] = picked
    end
  end
  return list
end

-- The messages that wait in a queue without a consumer, oldest first.
function App.published(_, queue)
  local list = messages(queue, "ready")
  for i, message in ipairs(list) do
    list[i] = message.message
  end
  return list
end

-- The dead letters of a queue: { message, code, reason, attempts, detail }; only these fields when given.
function App.dead_letters(_, queue, fields)
  return messages(queue, "dead", fields)
end

-- How many messages of a queue are { ready, delayed, leased, dead }.
function App.queue(_, name)
  return native.spec_queue(name)
end

-- ---- files ----

-- Stores a file: content { bytes = or path = }, options of bucket:create. Returns its id.
function App.put(_, bucket, content, options)
  local file = assert(tide.bucket(bucket):create(options))
  assert(native.copy(native.spec_source(bytes_of(content)), file.native, -1))
  assert(file:commit())
  return file.id
end

-- What is known of a stored file; nil and why. It is not held open.
function App.stat(_, bucket, id, options)
  local file, err = tide.bucket(bucket):open(id, options)
  if file then
    file:close()
  end
  return file, err
end

return { class = App, new = new }
