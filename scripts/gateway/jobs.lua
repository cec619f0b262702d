-- Jobs: the state of one is kept with its video. A video whose state is SUBMITTED is the outbox: its message may not be out yet.
local jobs = {}
local videos = tide.bucket "videos"
local queue = tide.queue("video", { video_fid = "id", mp3_fid = "id?", username = "string" })

function jobs.create(filename, owner)
  return videos:create { name = filename, owner = owner, metadata = { state = "SUBMITTED" } }
end

-- The message first, then the note that it is out: a crash between them sends it twice, which the converter doesn't mind.
local function send(id, owner)
  local sent, err = queue:publish { video_fid = id, username = owner }
  if not sent then
    tide.log.warn("job stays in the outbox", { job = id, code = err.code, message = err.message })
    return nil, err
  end
  videos:annotate(id, { state = "QUEUED" }, { state = "SUBMITTED" })
  return true
end

-- True once the job will be done: its message is out, or, with an outbox, the relay will send it. Else the job is taken back, and
-- failed; so it is when the queue has no space, as it may have none for long.
function jobs.submit(id, owner, outbox)
  local sent, err = send(id, owner)
  if not sent and (err.code == "full" or not outbox) and videos:remove(id) then
    return nil, err
  end
  return true
end

-- Sends what a crash or an absent broker kept back.
function jobs.relay()
  for _, video in ipairs(assert(videos:find { where = { state = "SUBMITTED" }, older_than = "15s" })) do
    send(video.id, video.owner)
  end
end

local function describe(video)
  local m = video.metadata
  return {
    job = video.id, video_fid = video.id, name = video.name, length = video.length, username = video.owner,
    state = m.state or "QUEUED", -- a gateway of another system notes none
    percent = m.percent, mp3_fid = m.mp3_fid, code = m.code, reason = m.reason,
  }
end

-- Newest first, those behind the job `before`; and whether there are more. owner nil: everybody's.
function jobs.list(owner, before, limit)
  if before then
    local known, err = jobs.describe(before, owner)
    if not known then
      return nil, err.code == "not_found" and tide.failure { code = "bad_request", message = "in the query, 'before' names no job" } or err
    end
  end
  local found, err = videos:find { where = owner and { owner = owner }, before = before, limit = limit + 1 }
  if not found then
    return nil, err
  end
  local list = {}
  for i = 1, math.min(limit, #found) do
    list[i] = describe(found[i])
  end
  return list, #found > limit
end

function jobs.describe(id, owner)
  local video, err = videos:open(id, { owner = owner })
  return video and describe(video), err
end

return jobs
