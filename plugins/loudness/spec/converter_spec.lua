-- The bundle converter with its setting `loudness`.
describe("the converter with a loudness", function()
  local OWNER = "anna@example.com"
  local meter = tide.spec.bundle("meter", { source = [[
    local loudness, mp3s = require "loudness", tide.bucket "mp3s"
    tide.route("GET /{id}", { params = { id = "id" } }, function(req)
      return assert(loudness.measure(assert(mp3s:open(req.params.id))))
    end)
  ]] })
  local tone = tide.spec.wav(3)

  -- The id of the MP3.
  local function convert(bytes, loudness)
    local app = tide.spec.bundle("converter", { settings = { loudness = loudness } })
    local fid = app:put("videos", { bytes = bytes }, { name = "tone.wav", owner = OWNER, metadata = { state = "QUEUED" } })
    assert.equal("done", app:deliver("video", { video_fid = fid, mp3_fid = tide.json.null, username = OWNER }))
    app:close()
    for _, message in ipairs(app:published "mp3") do
      if message.video_fid == fid then
        return message.mp3_fid
      end
    end
  end

  it("makes MP3s that are as loud as it says", function()
    assert.near(-20, meter:get("/" .. convert(tone, -20)):json().integrated, 0.3)
    assert.near(-35, meter:get("/" .. convert(tone, -35)):json().integrated, 0.3)
  end)

  it("turns them up as far as their peaks allow", function()
    assert.near(-1, meter:get("/" .. convert(tone, 0)):json().true_peak, 0.5)
  end)

  it("leaves silence as it is", function()
    assert.is_truthy(convert(tone:sub(1, 44) .. ("\0"):rep(#tone - 44), -20))
  end)
end)
