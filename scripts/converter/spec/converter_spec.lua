describe("converter", function()
  local app = tide.spec.bundle "converter"

  it("answers a video with an MP3 of the same length", function()
    local fid = app:put("videos", { bytes = tide.spec.wav(3) }, { name = "tone.wav" })
    assert.equal("done", app:deliver("video", { video_fid = fid, username = "a@b.c" }))
    local out = app:published("mp3")[1]
    assert.equal(fid, out.video_fid)
    local mp3 = assert(tide.bucket("mp3s"):open(out.mp3_fid, { owner = "a@b.c" }))
    assert.equal("tone.mp3", mp3.name)
    assert.near(3, assert(tide.media.probe(mp3)).duration, 0.1)
  end)

  it("sends what is no media to the dead letters, once", function()
    local fid = app:put("videos", { bytes = "hello" }, { name = "hello.mp4" })
    assert.equal("dead", app:deliver("video", { video_fid = fid, username = "a@b.c" }))
    assert.same({ { code = "unsupported", attempts = 1 } }, app:dead_letters("video", { "code", "attempts" }))
  end)
end)
