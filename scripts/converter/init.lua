-- converter: video in, MP3 out.
local config = tide.config {
  quality = { "quality", default = "V2", doc = "V0 (best) to V9, or a constant bit rate such as 192k" },
  loudness = { "number", optional = true, doc = "of every MP3 in LUFS, as -16, with peaks below -1 dBTP; by the plugin loudness" },
  max_duration = { "duration", default = "12h", doc = "of a video; a longer one ends in ERROR too_long" },
}
local videos, mp3s = tide.bucket "videos", tide.bucket "mp3s"
local shape = { video_fid = "id", mp3_fid = "id?", username = "string" }
local video_queue, mp3_queue = tide.queue("video", shape), tide.queue("mp3", shape)
local plugin = "loudness" -- not written into the call, where `check` would want it listed though it is switched off
local loudness = config.loudness and require(plugin)
local none = tide.json.null -- takes a key out of the metadata: a dead letter that is retried has its failure behind it

-- Notes how a job goes on; never over COMPLETE, as a worker that was frozen for longer than its lease comes late.
local function note(id, patch)
  for _, state in ipairs { "PROGRESSING", "QUEUED", "SUBMITTED", "ERROR" } do
    local changed, err = videos:annotate(id, patch, { state = state })
    if changed ~= false then
      return changed, err
    end
  end
end

-- For on_progress of a part of the job.
local function progress(video, from, to)
  return function(percent)
    note(video.id, { state = "PROGRESSING", percent = math.floor(from + percent * (to - from) / 100), alive = tide.now(), code = none,
      reason = none })
  end
end

-- In dB. Silence stays as it is.
local function gain_of(video)
  if not loudness then
    return 0
  end
  local measured, err = loudness.measure(video, { max_duration = config.max_duration, on_progress = progress(video, 0, 50) })
  if measured then
    return math.max(-60, math.min(30, loudness.gain(measured, config.loudness)))
  end
  return err.code == "silent" and 0 or error(err)
end

-- A message that came twice finds the MP3 of the first time: its id follows from the video's.
local function convert(video, owner)
  local id = tide.id.derive(video.id, "mp3")
  if mp3s:open(id) then
    return id
  end
  local mp3 = assert(mp3s:create { id = id, owner = owner, name = video.stem .. ".mp3", metadata = { video_fid = video.id } })
  assert(tide.media.transcode(video, mp3, {
    quality = config.quality, title = video.stem, max_duration = config.max_duration, gain = gain_of(video),
    on_progress = progress(video, loudness and 50 or 0, 100),
  }))
  local stored, err = mp3:commit()
  return (stored or err.code == "exists") and id or error(err)
end

-- The message goes to the dead letters: tell its owner why.
local function failed(job, err)
  return note(job.video_fid, { state = "ERROR", code = err.code, reason = err.message, percent = none, alive = none })
end

video_queue:consume({ concurrency = 1, attempts = 5, timeout = "25m", on_dead = failed }, function(job)
  local video = assert(videos:open(job.video_fid))
  if video.metadata.state == "COMPLETE" then
    return -- the message came twice: its answer is out
  elseif not video.metadata.state then
    assert(video:annotate { state = "QUEUED" }) -- a gateway of another system notes none
  end
  local mp3_fid = convert(video, job.username)
  assert(mp3_queue:publish { video_fid = job.video_fid, mp3_fid = mp3_fid, username = job.username })
  assert(video:annotate { state = "COMPLETE", mp3_fid = mp3_fid, percent = 100, alive = none, code = none, reason = none })
end)
