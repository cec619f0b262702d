local OWNER = "anna@example.com"

describe("converter", function()
  local app = tide.spec.bundle "converter"
  local videos, mp3s = tide.bucket "videos", tide.bucket "mp3s"

  local function store(name, bytes)
    return app:put("videos", { bytes = bytes }, { name = name, owner = OWNER, metadata = { state = "QUEUED" } })
  end

  local function clip(name) -- made by ffmpeg, once
    local folder = (os.getenv "BUILD" or "build") .. "/media"
    assert(os.execute(("spec/media/generate %s %s"):format(folder, name)) == 0, "the clip can't be made")
    return app:put("videos", { path = folder .. "/" .. name }, { name = name, owner = OWNER, metadata = { state = "QUEUED" } })
  end

  local function job(fid)
    return { video_fid = fid, mp3_fid = tide.json.null, username = OWNER }
  end

  local function facts(fid)
    local video = assert(videos:open(fid))
    video:close()
    return video.metadata
  end

  local function answers(fid) -- the messages for the queue mp3 about a video
    local list = {}
    for _, message in ipairs(app:published "mp3") do
      if message.video_fid == fid then
        list[#list + 1] = message
      end
    end
    return list
  end

  it("answers a video with an MP3 of the same length, for its owner", function()
    local fid = store("tone.wav", tide.spec.wav(3))
    assert.equal("done", app:deliver("video", job(fid)))
    local out = answers(fid)[1]
    assert.same({ video_fid = fid, mp3_fid = out.mp3_fid, username = OWNER }, out)
    local mp3 = assert(mp3s:open(out.mp3_fid, { owner = OWNER }))
    assert.equal("tone.mp3", mp3.name)
    local probed = assert(tide.media.probe(mp3))
    assert.near(3, probed.duration, 0.1)
    assert.equal("mp3", probed.codec)
    mp3:close()
    assert.same({ owner = OWNER, state = "COMPLETE", percent = 100, mp3_fid = out.mp3_fid }, facts(fid))
  end)

  it("takes a video with sound and pictures", function()
    local fid = clip "clip-7s.mp4"
    assert.equal("done", app:deliver("video", job(fid)))
    local mp3 = assert(mp3s:open(facts(fid).mp3_fid))
    assert.near(7, assert(tide.media.probe(mp3)).duration, 0.1)
    mp3:close()
  end)

  describe("when a message comes twice", function()
    it("makes one MP3 and one message", function()
      local fid = store("tone.wav", tide.spec.wav(1))
      local before = #assert(mp3s:find())
      assert.equal("done", app:deliver("video", job(fid)))
      assert.equal("done", app:deliver("video", job(fid)))
      assert.same({ 1, before + 1 }, { #answers(fid), #assert(mp3s:find()) })
    end)

    it("sends an equal message when it died before it noted that the first one is out", function()
      local fid = store("tone.wav", tide.spec.wav(1))
      app:deliver("video", job(fid))
      assert(videos:annotate(fid, { state = "PROGRESSING" }))
      app:deliver("video", job(fid))
      local first, second = unpack(answers(fid))
      assert.same(first, second)
    end)

    it("takes the MP3 that it made before it died, without converting again", function()
      local fid = store("gone.wav", "this can't be converted any more")
      local made = app:put("mp3s", { bytes = "an MP3" }, { id = tide.id.derive(fid, "mp3"), owner = OWNER, name = "gone.mp3" })
      assert.equal("done", app:deliver("video", job(fid)))
      assert.equal(made, answers(fid)[1].mp3_fid)
      assert.equal("COMPLETE", facts(fid).state)
    end)
  end)

  it("takes a message with fields that it doesn't know, about a video of which nothing is noted", function()
    local fid = app:put("videos", { bytes = tide.spec.wav(1) }, {}) -- as another system's gateway leaves it
    local message = job(fid)
    message.priority = 7
    assert.equal("done", app:deliver("video", message))
    assert(app:stat("mp3s", answers(fid)[1].mp3_fid, { owner = OWNER }))
  end)

  describe("what can't be converted is a dead letter after one attempt, and its owner reads why:", function()
    local function dies(with, fid)
      assert.equal("dead", app:deliver("video", job(fid)))
      local letters = app:dead_letters("video", { "code", "attempts", "message" })
      assert.same({ code = with, attempts = 1, message = job(fid) }, letters[#letters])
      local now = facts(fid)
      assert.same({ "ERROR", with }, { now.state, now.code })
      assert.is_true(#now.reason > 10)
      assert.same({}, answers(fid))
      assert.is_nil(mp3s:open(tide.id.derive(fid, "mp3")))
    end

    it("no media", function() dies("unsupported", store("hello.mp4", "hello")) end)
    it("an empty file", function() dies("unsupported", store("empty.mp4", "")) end)
    it("no sound", function() dies("no_audio", clip "silent.mp4") end)
    it("cut off", function() dies("corrupt", clip "truncated.mp4") end)

    it("too long", function()
      app:close()
      app = tide.spec.bundle("converter", { settings = { max_duration = "1s" } })
      dies("too_long", store("tone.wav", tide.spec.wav(2)))
    end)
  end)
end)

describe("converter", function()
  local app, videos = tide.spec.bundle "converter", tide.bucket "videos"

  it("makes dead letters of malformed messages, and of those whose video is gone", function()
    for _, message in ipairs { "no JSON", { username = OWNER }, { video_fid = "x", username = OWNER },
      { video_fid = ("0"):rep(24), username = OWNER } } do
      assert.equal("dead", app:deliver("video", message))
    end
    local codes = {}
    for _, letter in ipairs(app:dead_letters "video") do
      codes[letter.code] = (codes[letter.code] or 0) + 1
    end
    assert.same({ 3, 1 }, { codes.bad_message, codes.not_found })
  end)

  it("turns no job back that another one has completed meanwhile: it may have been frozen", function()
    local fid = app:put("videos", { bytes = tide.spec.wav(60) }, { name = "minute.wav", owner = OWNER, metadata = { state = "QUEUED" } })
    local function state() return assert(app:stat("videos", fid)).metadata.state end
    assert(tide.queue("video", { video_fid = "id", username = "string" }):publish { video_fid = fid, username = OWNER })
    tide.spec.eventually(function() return state() == "PROGRESSING" end)
    assert(videos:annotate(fid, { state = "COMPLETE" }))
    tide.spec.eventually(function()
      assert.equal("COMPLETE", state())
      return (app:stat("mp3s", tide.id.derive(fid, "mp3")))
    end)
  end)

  it("tells how far it is, and when it is stopped leaves the job to the next one", function()
    local fid = app:put("videos", { bytes = tide.spec.wav(60) }, { name = "minute.wav", owner = OWNER })
    local function state() return assert(app:stat("videos", fid)).metadata end
    assert(tide.queue("video", { video_fid = "id", username = "string" }):publish { video_fid = fid, username = OWNER })
    local percent = tide.spec.eventually(function()
      local now = state()
      return now.state == "PROGRESSING" and now.percent
    end)
    assert.is_true(percent >= 0 and percent <= 100 and percent == math.floor(percent))

    app:close()
    tide.spec.eventually(function() return app:queue("video").ready == 1 end)
    assert.is_nil(tide.bucket("mp3s"):open(tide.id.derive(fid, "mp3")))

    tide.spec.bundle "converter"
    tide.spec.eventually(function() return state().state == "COMPLETE" and app:queue("video").leased == 0 end)
    local log = tide.spec.logged "message"
    assert.same({ "ack", 1 }, { log[#log].outcome, log[#log].attempt }) -- a job that was given back has not used up an attempt
  end)
end)
