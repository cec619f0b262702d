-- Jobs: the state of one is kept with its video. A video whose state is SUBMITTED is the outbox: its message may not be out yet.
local jobs = {}
local videos = tide.bucket "videos"
local RESENDS, PAGE = 5, 100
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
  videos:annotate(id, { state = "QUEUED", alive = tide.now() }, { state = "SUBMITTED" })
  return true
end

-- True once the job will be done: its message is out, or, with an outbox, the relay will send it. Else the job is taken back, and
-- failed; so it is when the queue has no space, as it may have none for long.
function jobs.submit(id, owner, outbox)
  local sent, err = send(id, owner)
  if not sent and (not outbox or err and err.code == "full") and videos:remove(id) then
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

-- Each time after twice as long: it may only wait behind many others.
local function is_silent(video, seconds)
  local m = video.metadata
  local resent = m.resent or 0
  return video.owner and resent < RESENDS and tide.now() - (m.alive or video.uploaded) >= seconds * 2 ^ resent
end

local function send_again(video, state)
  assert(queue:publish { video_fid = video.id, username = video.owner })
  tide.log.warn("job sent again, as it gave no sign of life", { job = video.id, state = state })
  video:annotate({ alive = tide.now(), resent = (video.metadata.resent or 0) + 1 }, { state = state })
end

-- A broker may lose a message that it has confirmed: its queue is deleted, or its disk is gone. The jobs that have shown no sign of life
-- for so many seconds are sent again; the converter doesn't mind what comes twice.
function jobs.resend(seconds)
  for _, state in ipairs { "QUEUED", "PROGRESSING" } do
    local page, last
    repeat
      page = assert(videos:find { where = { state = state }, older_than = seconds .. "s", before = last, limit = PAGE })
      for _, video in ipairs(page) do
        last = video.id
        if is_silent(video, seconds) then
          send_again(video, state)
        end
      end
    until #page < PAGE
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
