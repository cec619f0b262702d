local ANNA = "anna@example.com"
local directory = assert(debug.getinfo(1, "S")).source:match "^@(.*)/"

describe("notification", function()
  local app = tide.spec.bundle("notification", { settings = { download_url = "https://mp3.example.com/download" } })
  local mp3s = tide.bucket "mp3s"
  local queue = tide.queue("mp3", { video_fid = "id", mp3_fid = "id", username = "string" })
  local video

  setup(function()
    video = app:put("videos", { bytes = "a video" }, { name = "clip.mp4", owner = ANNA, metadata = { state = "QUEUED" } })
  end)

  local function store(owner)
    return app:put("mp3s", { bytes = "an MP3" }, { name = "clip.mp3", owner = owner })
  end

  local function deliver(fid, to)
    return app:deliver("mp3", { video_fid = video, mp3_fid = fid, username = to or ANNA })
  end

  local function mails_about(fid)
    local found = {}
    for _, mail in ipairs(tide.spec.mails()) do
      found[#found + 1] = assert(mail.text):find(fid, 1, true) and mail or nil
    end
    return found
  end

  it("mails the owner how to get the MP3, as text and as HTML", function()
    local fid = store(ANNA)
    assert.equal("done", deliver(fid))
    local mails = mails_about(fid)
    assert.equal(1, #mails)
    assert.same({ ANNA, "MP3 Download" }, { mails[1].to, mails[1].subject })
    local url = "https://mp3.example.com/download?fid=" .. fid
    assert.matches("File id: " .. fid, mails[1].text, 1, true)
    assert.matches('curl -H "Authorization: Bearer <your-jwt-token>" "' .. url .. '"', mails[1].text, 1, true)
    assert.matches("<code>" .. fid .. "</code>", mails[1].html, 1, true)
    assert.matches('&lt;your-jwt-token&gt;" "' .. url .. '"', mails[1].html, 1, true)
  end)

  it("mails once, however often the message comes, and notes when", function()
    local fid, other = store(ANNA), store(ANNA)
    local before = math.floor(tide.now())
    assert.equal("done", deliver(fid))
    local noted = assert(app:stat("mp3s", fid)).metadata.mailed
    assert.is_true(noted >= before and noted <= tide.now())
    assert.equal("done", deliver(fid))
    assert.equal("done", deliver(other))
    assert.same({ 1, 1, noted }, { #mails_about(fid), #mails_about(other), assert(app:stat("mp3s", fid)).metadata.mailed })
  end)

  it("mails nothing that is noted as mailed, whoever did it", function()
    local fid = store(ANNA)
    assert(mp3s:annotate(fid, { mailed = 1 }))
    assert.equal("done", deliver(fid))
    assert.equal(0, #mails_about(fid))
  end)

  it("leaves an e-mail to the worker that is at it, until that must be dead", function()
    local fid = store(ANNA)
    assert(mp3s:annotate(fid, { mailing = ("%d another"):format(tide.now() + 20) }))
    assert.equal("delayed", deliver(fid))
    assert.equal(0, #mails_about(fid))
    tide.spec.clock:jump "21s"
    assert.equal("done", deliver(fid))
    assert.equal(1, #mails_about(fid))
    assert.is_nil(assert(app:stat("mp3s", fid)).metadata.mailing)
  end)

  it("waits for no claim that a clock which was set back has left", function()
    local fid = store(ANNA)
    assert(mp3s:annotate(fid, { mailing = ("%d another"):format(tide.now() + 3600) }))
    assert.equal("done", deliver(fid))
    assert.equal(1, #mails_about(fid))
  end)

  -- The MP3 whose store dies as it is asked for the first time, before it has done that or after.
  local function dying(fid, done)
    local mp3, asked = assert(app:stat("mp3s", fid)), 0
    return setmetatable({ annotate = function(_, ...)
      asked = asked + 1
      if asked > 1 or done then
        local result, err = mp3:annotate(...)
        if asked > 1 then
          return result, err
        end
      end
      return nil, { code = "unavailable", message = "no answer", retryable = true }
    end }, { __index = mp3 })
  end

  it("knows its claim when the store died before it could say so, and leaves none that wasn't written", function()
    local claim = dofile(directory .. "/../claim.lua")
    local fid = store(ANNA)
    local mine = claim.take(dying(fid, true))
    assert.equal(mine.name, assert(app:stat("mp3s", fid)).metadata.mailing)
    claim.drop(mine)
    local ok, err = pcall(claim.take, dying(fid, false))
    assert.same({ false, "no answer" }, { ok, err.message })
    assert.is_nil(assert(app:stat("mp3s", fid)).metadata.mailing)
  end)

  it("mails once when a message comes several times at once #embedded", function()
    local fid = store(ANNA)
    for _ = 1, 4 do
      assert(queue:publish { video_fid = video, mp3_fid = fid, username = ANNA })
    end
    tide.spec.eventually(function()
      local counts = app:queue "mp3"
      return counts.ready + counts.leased == 0
    end)
    tide.spec.clock:jump "60s" -- those that found it claimed come again
    tide.spec.eventually(function()
      local counts = app:queue "mp3"
      return counts.ready + counts.leased + counts.delayed == 0
    end)
    assert.equal(1, #mails_about(fid))
  end)

  -- What a converter of another system leaves.
  it("gives an MP3 without owner to who asked for it, and completes the job", function()
    local fid = store(nil)
    assert.equal("done", deliver(fid))
    assert(app:stat("mp3s", fid, { owner = ANNA }))
    assert.same({ owner = ANNA, state = "COMPLETE", percent = 100, mp3_fid = fid }, assert(app:stat("videos", video)).metadata)
    assert.equal(1, #mails_about(fid))
  end)

  it("does so too when the video is gone", function()
    local fid = store(nil)
    assert.equal("done", app:deliver("mp3", { video_fid = ("0"):rep(24), mp3_fid = fid, username = ANNA }))
    assert(app:stat("mp3s", fid, { owner = ANNA }))
  end)

  it("takes no MP3 from its owner", function()
    local fid = store "bob@example.com"
    deliver(fid)
    assert(app:stat("mp3s", fid, { owner = "bob@example.com" }))
  end)

  it("makes dead letters of malformed messages and addresses, and of MP3s that are gone, and mails nobody", function()
    local before = #tide.spec.mails()
    for _, to in ipairs { "no address", "", "a@b.c\r\nBcc: all@example.com", "a@b.c, d@e.f" } do
      assert.equal("dead", deliver(store(ANNA), to))
    end
    assert.equal("dead", deliver(("0"):rep(24)))
    for _, message in ipairs { "no JSON", "[1]", { video_fid = video, mp3_fid = store(ANNA) }, { video_fid = video,
      mp3_fid = tide.json.null, username = ANNA }, { video_fid = video, mp3_fid = "../x", username = ANNA } } do
      assert.equal("dead", app:deliver("mp3", message))
    end
    assert.equal(before, #tide.spec.mails())
    local letters = app:dead_letters("mp3", { "code", "attempts" })
    assert.same({ code = "invalid", attempts = 1 }, letters[1])
    assert.same({ code = "not_found", attempts = 1 }, letters[5])
    assert.same({ code = "bad_message", attempts = 1 }, letters[#letters])
  end)

  it("keeps no claim on what could not be sent", function()
    local fid = store(ANNA)
    assert.equal("dead", deliver(fid, "no address"))
    assert.is_nil(assert(app:stat("mp3s", fid)).metadata.mailing)
    assert.equal("done", deliver(fid))
  end)

  it("escapes in HTML what it is told", function()
    local odd = tide.spec.bundle("notification", { settings = { download_url = 'https://mp3.example.com/"><script>' } })
    app:close()
    local fid = store(ANNA)
    assert.equal("done", odd:deliver("mp3", { video_fid = video, mp3_fid = fid, username = ANNA }))
    local html = mails_about(fid)[1].html
    assert.matches('&quot;&gt;&lt;script&gt;', html, 1, true)
    assert.not_matches("<script>", html, 1, true)
  end)
end)
