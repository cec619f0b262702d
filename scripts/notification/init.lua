-- notification: one e-mail for each MP3.
local claim = require "claim"
local config = tide.config {
  download_url = { "string", default = "http://127.0.0.1:8080/download", doc = "the gateway's address as its users see it" },
}
local videos, mp3s = tide.bucket "videos", tide.bucket "mp3s"
local mp3_queue = tide.queue("mp3", { video_fid = "id", mp3_fid = "id", username = "string" })
local none = tide.json.null

-- Another system's converter knows neither owners nor the state of jobs: who asked for the MP3 gets it all the same.
local function adopt(mp3, job)
  local done = { state = "COMPLETE", mp3_fid = mp3.id, percent = 100, code = none, reason = none }
  local told, err = videos:annotate(job.video_fid, done)
  assert(told ~= nil, err) -- false: the video is gone already
  assert(mp3:annotate { owner = job.username, video_fid = job.video_fid })
end

mp3_queue:consume({ concurrency = 8, attempts = 15, timeout = "3m" }, function(job)
  local mp3 = assert(mp3s:open(job.mp3_fid))
  if mp3.metadata.mailed then
    return -- the message came twice
  elseif not mp3.owner then
    adopt(mp3, job)
  end
  local mine = claim.take(mp3)
  if not mine then
    return tide.retry { after = "50s", code = "claimed", message = "another worker may be sending this e-mail" }
  end
  local facts = { fid = mp3.id, url = config.download_url .. "?fid=" .. mp3.id, username = job.username }
  local sent, err = tide.mail.send {
    id = mp3.id,
    before = mine.before,
    to = job.username,
    subject = "MP3 Download",
    text = tide.template("mp3_ready.txt", facts),
    html = tide.template("mp3_ready.html", facts),
  }
  if not sent then
    claim.drop(mine)
    error(err)
  end
  claim.done(mine)
end)
