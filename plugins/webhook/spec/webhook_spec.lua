-- The receiver checks signatures with what is written in the specification, not with webhook.verify.
local SECRET = "whsec_" .. tide.crypto.encode(("k"):rep(32))
local ID = ("ab"):rep(12)

local SENDER = [[
  local webhook = require "webhook"
  local hooks = webhook.sender { queue = "hooks", secret = %q, attempts = 3 }
  tide.route("POST /send", function(req)
    local sent = assert(req:json())
    return { id = assert(hooks:send { url = sent.url, type = "order.paid", id = sent.id, data = { order = 7 } }) }
  end)
]]

local RECEIVER = [[
  local taken = 0
  tide.route("POST /hooks/{status}", { params = { status = "integer" } }, function(req)
    local headers = req:all_headers()
    tide.log.info("received", { id = headers["webhook-id"], timestamp = headers["webhook-timestamp"],
      signature = headers["webhook-signature"], type = headers["content-type"], body = req:text() })
    return tide.respond.empty(req.params.status)
  end)
  tide.route("POST /second", function(req)
    taken = taken + 1
    tide.log.info("received", { id = req:all_headers()["webhook-id"] })
    return tide.respond.empty(taken == 1 and 503 or 204)
  end)
]]

describe("webhook", function()
  local receiver, sender = tide.spec.bundle("receiver", { source = RECEIVER }),
    tide.spec.bundle("sender", { source = SENDER:format(SECRET) })

  local function received(id)
    local list = {}
    for _, entry in ipairs(tide.spec.logged "received") do
      if entry.fields.id == id then
        list[#list + 1] = entry.fields
      end
    end
    return list
  end

  local function send(path, id)
    local answer = sender:post("/send", { json = { url = receiver.url .. path, id = id } })
    assert.equal(200, answer.status)
    return answer:json().id
  end

  local function delivered(id, times)
    return tide.spec.eventually(function()
      local list = received(id)
      return #list >= times and list
    end)
  end

  it("delivers once, signed as Standard Webhooks has it", function()
    local id = send "/hooks/204"
    local got = delivered(id, 1)[1]
    assert.equal("application/json", got.type)
    assert.near(tide.now(), tonumber(got.timestamp), 60)
    assert.equal("v1," .. tide.crypto.hmac(("k"):rep(32), ("%s.%s.%s"):format(id, got.timestamp, got.body), "base64"), got.signature)
    local body = tide.json.decode(got.body)
    assert.same({ "order.paid", { order = 7 } }, { body.type, body.data })
    assert.is_truthy(body.timestamp:match "^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$")
  end)

  it("makes the example of the specification", function()
    local key = assert(tide.crypto.decode "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert.equal("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
      tide.crypto.hmac(key, 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}', "base64"))
  end)

  it("names what has happened by an id that follows from its own, and sends it with every attempt", function()
    local id = send("/second", ID)
    delivered(id, 1)
    tide.spec.eventually(function() return sender:queue("hooks").delayed == 1 end)
    tide.spec.clock:advance "10s"
    assert.equal(2, #delivered(id, 2))
    assert.equal(id, send("/second", ID))
    assert.are_not.equal(id, send("/hooks/204", ID)) -- another receiver
  end)

  it("makes a dead letter of what is refused each time, and at once of 410", function()
    local id = send "/hooks/410"
    tide.spec.eventually(function() return sender:queue("hooks").dead == 1 end)
    send "/hooks/500"
    tide.spec.eventually(function()
      tide.spec.clock:advance "1m"
      return sender:queue("hooks").dead == 2
    end)
    local codes = {}
    for _, letter in ipairs(sender:dead_letters("hooks", { "code", "attempts", "message" })) do
      codes[letter.code] = letter.attempts
      assert.is_nil(assert(tide.json.encode(letter.message)):find(SECRET, 1, true))
    end
    assert.same({ gone = 1, refused = 3 }, codes)
    assert.equal(1, #received(id))
  end)
end)

describe("webhook.verify", function()
  local app = tide.spec.bundle("verifier", { source = ([[
    local webhook = require "webhook"
    tide.route("POST /hook", function(req)
      local id, err = webhook.verify(req:all_headers(), assert(req:text()), %q)
      return id or tide.respond.text(401, err.message)
    end)
  ]]):format(SECRET) })

  local function post(key, at, body)
    local timestamp = ("%d"):format(at)
    local code = tide.crypto.hmac(key, ("msg_1.%s.%s"):format(timestamp, "{}"), "base64")
    return app:post("/hook", { body = body or "{}", headers = { ["webhook-id"] = "msg_1", ["webhook-timestamp"] = timestamp,
      ["webhook-signature"] = "v1,bm9uZQ== v1," .. code } })
  end

  it("takes what was signed with the secret, and nothing else", function()
    local key, now = ("k"):rep(32), tide.now()
    assert.equal("msg_1", post(key, now).body)
    assert.is_truthy(post(("j"):rep(32), now).body:find "not of this secret")
    assert.is_truthy(post(key, now, "{ }").body:find "not of this secret")
    assert.is_truthy(post(key, now - 600).body:find "too far from now")
    assert.is_truthy(app:post("/hook", { body = "{}" }).body:find "is missing")
  end)
end)

describe("a plugin", function()
  local function report(source)
    local ok, why = pcall(tide.spec.bundle, "user", { source = source })
    assert.is_false(ok)
    return tostring(why)
  end

  it("checks its arguments by its description", function()
    local why = report [[require("webhook").sender { queue = "hooks", secret = "x", atempts = 3 }]]
    assert.is_truthy(why:find("init.lua:1: webhook.sender: unknown option 'atempts' (did you mean 'attempts'?)", 1, true))
    assert.is_truthy(report([[require("webhook").verfy()]]):find("webhook has no 'verfy' (did you mean 'verify'?)", 1, true))
    assert.is_truthy(report([[require("webhook").sender { queue = "hooks", secret = "x" }]]):find "the secret must be 'whsec_'")
  end)

  it("is there only when the settings list it", function()
    local why = report [[require "webhok"]]
    assert.is_truthy(why:find("no module 'webhok'", 1, true))
    assert.is_truthy(why:find([[the plugin 'webhok' is not listed in the settings (did you mean 'webhook'?)]], 1, true))
  end)
end)
