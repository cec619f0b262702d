-- tide.media: each job in a process of its own.
describe("tide.media", function()
  local media, box = tide.media, tide.bucket "box"
  local app = tide.spec.bundle("studio", { source = [[
    local box = tide.bucket "box"
    tide.route("GET /mp3/{id}", function(req)
      local mp3 = box:create()
      assert(tide.media.transcode(assert(box:open(req.params.id)), mp3, {
        on_progress = function(percent) tide.log.info("progress", { percent = percent }) end,
      }))
      assert(mp3:commit())
      return mp3.id
    end)
  ]] })
  local clips = (os.getenv "BUILD" or "build") .. "/media"
  local tone -- 3 s

  setup(function()
    assert(os.execute(("spec/media/generate %s silent.mp4 truncated.mp4 clip-7s.mp4"):format(clips)) == 0)
    tone = app:put("box", { bytes = tide.spec.wav(3) }, { name = "tone.wav" })
  end)

  -- Handles that a test need not close itself.
  local handles = {}
  local function open(id)
    local file = assert(box:open(id))
    handles[#handles + 1] = file
    return file
  end
  local function create(...)
    local file = assert(box:create(...))
    handles[#handles + 1] = { close = function() file:drop() end }
    return file
  end
  after_each(function()
    for i, handle in ipairs(handles) do
      handle:close()
      handles[i] = nil
    end
  end)
  local function clip(name) return open(app:put("box", { path = clips .. "/" .. name })) end
  local function long() return open(app:put("box", { bytes = tide.spec.wav(360) })) end -- takes most of a second

  local function children() -- processes of ours
    local pid = io.open("/proc/self/stat"):read "*n"
    local list = {}
    for child in io.open(("/proc/%d/task/%d/children"):format(pid, pid)):read("*a"):gmatch "%d+" do
      list[#list + 1] = tonumber(child)
    end
    return list
  end

  describe("transcode", function()
    it("writes the sound of a video as an MP3", function()
      local mp3 = create { name = "clip.mp3" }
      local result = assert(media.transcode(clip "clip-7s.mp4", mp3))
      assert.same({ "mov", "aac", 44100, 2 }, { result.container, result.codec, result.sample_rate, result.channels })
      assert.near(7, result.duration, 0.1)
      assert(mp3:commit())
      assert.equal(result.bytes, open(mp3.id).length)
      local probed = assert(media.probe(open(mp3.id)))
      assert.same({ "mp3", "mp3" }, { probed.container, probed.codec })
      assert.near(7, probed.duration, 0.1)
    end)

    it("does as its options say #embedded", function()
      local mp3 = create()
      local result = assert(media.transcode(open(tone), mp3, { quality = "64k", channels = 1, sample_rate = 22050, title = "Ein Ton ♪" }))
      assert.same({ 22050, 1 }, { result.sample_rate, result.channels })
      assert.near(3 * 64000 / 8, result.bytes, 2000)
      assert(mp3:commit())
      local head = io.popen(("head -c 100 '%s'/blobs/box/*/%s.*"):format(tide.spec.data, mp3.id)):read "*a"
      assert.truthy(head:gsub("%z", ""):find("TIT2.*Ein Ton j&")) -- UTF-16: ♪ is 0x266A
    end)

    it("tells how far it is, and waits for who is told", function()
      local percents, told, busy = {}, 0, false
      assert(media.transcode(long(), create(), { on_progress = function(percent)
        assert.is_false(busy)
        busy = true
        percents[#percents + 1] = percent
        tide.sleep "20ms"
        busy, told = false, told + 1
      end }))
      assert.is_true(#percents > 1)
      assert.equal(#percents, told)
      for i = 2, #percents do
        assert.is_true(percents[i] > percents[i - 1])
      end
    end)

    it("goes on when on_progress raises", function()
      assert(media.transcode(long(), create(), { on_progress = function() error "oops" end }))
    end)
  end)

  it("names a wrong argument, and who gave it", function()
    local _, why = pcall(function() return (media.transcode(open(tone), create(), { quality = "V11" })) end)
    assert.matches("media_spec.lua:%d+: tide.media.transcode: 'quality' must be a quality: .*, not \"V11\"", why)
    _, why = pcall(function() return (media.probe(tone)) end)
    assert.matches("media_spec.lua:%d+: tide.media.probe: 'file' must be an open file", why)
  end)

  it("probe looks without writing", function()
    local found = assert(media.probe(clip "clip-7s.mp4"))
    assert.same({ "mov", "aac", 0 }, { found.container, found.codec, found.bytes })
    assert.near(7, found.duration, 0.05)
  end)

  describe("fails with", function()
    local function fails(code, retryable, file, options)
      local result, err = media.transcode(file, create(), options)
      assert.is_nil(result)
      assert.same({ code, retryable }, { err.code, err.retryable })
      return err.message
    end

    it("unsupported", function()
      fails("unsupported", false, open(app:put("box", { bytes = "hello, I am no film" })))
      fails("unsupported", false, open(app:put("box", { bytes = "" })))
      assert.equal("unsupported", select(2, media.probe(open(app:put("box", { bytes = "#EXTM3U\nhttp://127.0.0.1/a.ts" })))).code)
    end)

    it("no_audio", function()
      fails("no_audio", false, clip "silent.mp4")
      assert.equal("no_audio", select(2, media.probe(clip "silent.mp4")).code)
    end)

    it("corrupt", function() fails("corrupt", false, clip "truncated.mp4") end)
    it("too_long", function() fails("too_long", false, open(tone), { max_duration = "2s" }) end)
    it("limit", function() fails("limit", false, long(), { max_output = "64KiB" }) end)
    it("timeout", function() fails("timeout", true, long(), { timeout = "20ms" }) end)

    it("invalid", function()
      assert.matches("title", fails("invalid", false, open(tone), { title = ("x"):rep(5000) }))
    end)

    it("crashed, when its process dies", function()
      local file, mp3 = long(), create()
      local result, killed = tide.spec.together(
        function() return select(2, media.transcode(file, mp3)) end,
        function()
          local child = tide.spec.eventually(function() return children()[1] end)
          return os.execute("kill -SEGV " .. child)
        end)
      assert.equal(0, killed)
      assert.equal("crashed", result.code)
    end)

    it("the new file dropped, so that no half of it can be committed", function()
      local mp3 = create()
      assert.is_nil(media.transcode(long(), mp3, { max_output = "64KiB" }))
      assert.error_matches(function() mp3:commit() end, "this file is closed")
    end)
  end)

  it("ends its process with the client that wanted it", function()
    local files = #assert(box:find())
    local id = app:put("box", { bytes = tide.spec.wav(120) })
    assert.same({}, children())
    local answer, err = app:request { path = "/mp3/" .. id, timeout = "100ms" }
    assert.same({ nil, "timeout" }, { answer, err.code })
    tide.spec.eventually(function() return #children() == 0 end)
    local told = #tide.spec.logged "progress"
    tide.sleep "300ms"
    assert.equal(told, #tide.spec.logged "progress")
    assert.equal(files + 1, #assert(box:find()))
  end)

  describe("a file in use", function()
    it("is not collected", function()
      local function collecting()
        for _ = 1, 20 do
          tide.sleep "5ms"
          collectgarbage()
        end
      end
      local _, result = tide.spec.together(collecting, function()
        local id = app:put("box", { bytes = tide.spec.wav(20) })
        return media.transcode((box:open(id)), (create()))
      end)
      assert.near(20, result.duration, 0.05)
    end)

    it("can't be closed, dropped or used by another call", function()
      local file, mp3, refused = long(), create(), 0
      assert(media.transcode(file, mp3, { on_progress = function()
        for _, call in ipairs { function() file:close() end, function() mp3:drop() end, function() mp3:commit() end,
          function() assert(media.probe(file)) end, function() assert(tide.copy(file, create())) end } do
          local ok, why = pcall(call)
          refused = refused + (not ok and tostring(why):find "in use" and 1 or 0)
        end
      end }))
      assert.is_true(refused > 0 and refused % 5 == 0)
      assert.is_true(mp3:commit())
    end)
  end)
end)
