-- tide.mail.send: e-mail, here into a maildir.
describe("tide.mail.send", function()
  local send = tide.mail.send

  local function sent(subject)
    for _, one in ipairs(tide.spec.mails()) do
      if one.subject == subject then
        return one
      end
    end
  end

  local function count()
    return #tide.spec.mails()
  end

  local function mail(over)
    local message = { to = "anna@example.com", subject = "Hello", text = "How are you?" }
    for key, value in pairs(over or {}) do
      message[key] = value
    end
    return message
  end

  it("sends plain text", function()
    assert.is_true(send(mail()))
    local one = sent "Hello"
    assert.same({ 1, "anna@example.com", "How are you?" }, { count(), one.to, (one.text:gsub("%s+$", "")) })
    assert.matches("^text/plain; charset=utf%-8", one.headers["content-type"])
    assert.matches("^%w+, %d%d %w+ %d+ [%d:]+ %+0000$", one.headers.date)
    assert.is_nil(one.html)
  end)

  it("sends HTML beside the text, and any language in both", function()
    assert(send(mail { from = "Käse <cheese@example.com>", to = "Zoë <zoe@example.com>", subject = "Grüße, 你好 " .. ("lang "):rep(30),
      text = "Grüße\n.\nFrom me\n" .. ("x"):rep(2000), html = "<p>Grüße</p>\r\n=3D" }))
    local one = assert(sent("Grüße, 你好 " .. ("lang "):rep(30)))
    assert.matches("zoe@example.com", one.to, 1, true)
    assert.matches("cheese@example.com", one.from, 1, true)
    assert.equal("Grüße\n.\nFrom me\n" .. ("x"):rep(2000), (one.text:gsub("\r\n", "\n"):gsub("\n+$", "")))
    assert.equal("<p>Grüße</p>\n=3D", (one.html:gsub("\r\n", "\n"):gsub("\n+$", "")))
    for line in one.raw:gmatch "[^\n]*" do
      assert.is_true(#line <= 999)
    end
  end)

  it("sends what has the same id once, and what has none each time #embedded", function()
    local before = count()
    for _ = 1, 3 do
      assert(send(mail { id = "job 1" }))
    end
    assert(send(mail { id = "job 2" }))
    assert(send(mail()))
    assert(send(mail()))
    assert.equal(before + 4, count())
    local ids = {}
    for _, one in ipairs(tide.spec.mails()) do
      assert.is_nil(ids[one.id])
      ids[one.id] = true
    end
  end)

  it("sends it once, too, when it is asked for at the same time #embedded", function()
    local before = count()
    local function once() return assert(send(mail { id = "at once" })) end
    tide.spec.together(once, once, once, once)
    assert.equal(before + 1, count())
  end)

  it("gives up what is not begun in time", function()
    local ok, err = send(mail { subject = "too late", before = tide.now() - 1 })
    assert.is_nil(ok)
    assert.same({ "timeout", true }, { err.code, err.retryable })
    assert.is_nil(sent "too late")
    assert.is_true(send(mail { subject = "in time", before = tide.now() + 30 }))
    assert.is_table(sent "in time")
  end)

  it("refuses what would be another header or another recipient", function()
    local before = count()
    for _, over in ipairs {
      { to = "a@b.c\r\nBcc: all@b.c" }, { to = "a@b.c\nBcc: all@b.c" }, { to = "a@b.c, d@e.f" }, { to = "a@b.c\0d@e.f" },
      { to = "" }, { to = "nobody" }, { to = "a@" }, { to = "@b.c" }, { to = "a b@c.d" }, { to = "a@b.c <x@y.z" }, { to = "a@b.c> RCPT TO:<x@y.z" },
      { subject = "Hello\r\n\r\nbody" }, { subject = "Hello\nX: y" }, { subject = "a\0b" }, { subject = "\255" }, { subject = ("x"):rep(2000) },
      { from = "a@b.c\r\nX: y" }, { from = "nobody" }, { text = "\255\254" }, { text = "a\0b" }, { html = "\255" },
    } do
      local ok, err = send(mail(over))
      assert.same({ nil, "invalid", false }, { ok, err and err.code, err and err.retryable })
    end
    assert.equal(before, count())
  end)

  local function mistake(f)
    local ok, message = pcall(f)
    return not ok and message
  end

  it("tells the mistakes of the script by file and line", function()
    local at = "^spec/tide/mail_spec.lua:%d+: tide.mail.send: "
    assert.matches(at .. "'to' is missing", mistake(function() send { subject = "x", text = "x" } end))
    assert.matches(at .. "'to' must be a string, not a table", mistake(function() send(mail { to = { "a@b.c", "d@e.f" } }) end))
    assert.matches(at .. "unknown option 'sujet' %(did you mean 'subject'%?%)", mistake(function() send(mail { sujet = "x" }) end))
    assert.matches(at .. "the options must be a table", mistake(function() send "hello" end))
  end)

  it("keeps a message that is being sent when its handler ends #embedded", function()
    local before = count()
    local app = tide.spec.bundle("post", { source = [[
      tide.route("GET /send", { timeout = "50ms" }, function()
        for i = 1, 100000 do
          assert(tide.mail.send { id = "one of many", to = "anna@example.com", subject = "many", text = ("x"):rep(i % 1000 + 1) })
        end
      end)
    ]] })
    assert.equal(504, app:get("/send").status)
    app:close()
    assert.equal(before + 1, count())
    assert.matches("^x+%s*$", sent("many").text)
  end)

  it("can be tried again when the maildir is not there #embedded", function() -- the last: it is gone
    assert(os.remove(tide.spec.data .. "/mail/tmp"))
    local ok, err = send(mail())
    assert.same({ nil, "unavailable", true }, { ok, err.code, err.retryable })
  end)
end)
