-- notification: one e-mail for each MP3.
local config = tide.config {
  download_url = { "string", default = "http://127.0.0.1:8080/download", doc = "the gateway's address as its users see it" },
}
local mp3_queue = tide.queue("mp3", { video_fid = "id", mp3_fid = "id", username = "string" })

mp3_queue:consume({ concurrency = 8, attempts = 10, timeout = "2m" }, function(job)
  local facts = { fid = job.mp3_fid, url = config.download_url .. "?fid=" .. job.mp3_fid, username = job.username }
  assert(tide.mail.send {
    id = job.mp3_fid, -- one e-mail a file, however often the message comes
    to = job.username,
    subject = "MP3 Download",
    text = tide.template("mp3_ready.txt", facts),
    html = tide.template("mp3_ready.html", facts),
  })
end)
