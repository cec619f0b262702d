-- gateway: the public door. Log in, upload a video, follow its job, download the MP3.
local jobs = require "jobs"
local respond = tide.respond

local config = tide.config {
  auth_url = { "string", default = "http://127.0.0.1:5000", doc = "where the auth service listens" },
  trusted_proxies = { "string", default = "", doc = "addresses and networks whose X-Forwarded-For is believed: the proxies' in front" },
  max_upload = { "size", default = "5GiB", doc = "largest video" },
  outbox = { "boolean", default = true, doc = "keep an upload whose message can't be sent now, and send it later; false: answer 503" },
  resend_after = { "integer", default = 600, doc = "seconds without a sign of life after which a job's message is sent again; 0: never" },
}
tide.proxies(config.trusted_proxies)
local auth = tide.upstream(config.auth_url)
local mp3s = tide.bucket "mp3s"

-- Who it is, in auth's words. Nobody gets in on an answer that names nobody.
local function claims_of(answer)
  local claims = answer:json()
  if type(claims) == "table" and type(claims.username) == "string" then
    return claims
  end
  error(tide.failure { code = "unavailable", message = "auth answered /validate with something else than claims", retryable = true })
end

-- Runs the handler for whoever auth knows; its 401 is passed on word for word.
local function signed_in(handler)
  return function(req)
    local answer = assert(auth:post("/validate", { headers = { authorization = req.headers.authorization } }))
    if answer.status ~= 200 then
      return answer
    end
    local claims = claims_of(answer)
    req.user = claims.username
    req.owner = claims.admin ~= true and req.user or nil -- whose files it may see; nil: everybody's
    return handler(req)
  end
end

-- 404 is for what isn't there alone: what can't be looked up now may well be.
local function missing(err, detail)
  return err.code == "not_found" and respond.problem(404, detail) or error(err)
end

tide.route("POST /login", { limit = { body = "8KiB" } }, function(req)
  return auth:forward(req)
end)

tide.route("POST /upload", { limit = { body = config.max_upload }, timeout = "6h" }, signed_in(function(req)
  local part = assert(req:only_part "file")
  local video = assert(jobs.create(part.filename, req.user))
  assert(tide.copy(part, video)) -- streamed; dropped when the client goes away
  assert(video:commit())
  assert(jobs.submit(video.id, req.user, config.outbox))
  local url = "/jobs/" .. video.id
  return respond.json(202, { job = video.id, video_fid = video.id, status_url = url }, { Location = url })
end))

tide.route("GET /download", { query = { fid = "id" } }, signed_in(function(req)
  local mp3, err = mp3s:open(req.query.fid, { owner = req.owner })
  return mp3 and respond.blob(mp3, { attachment = true }) or missing(err, "there is no such file")
end))

local page = { limit = { "integer", min = 1, max = 100, default = 50 }, before = "id?" }

tide.route("GET /jobs", { query = page }, signed_in(function(req)
  local list, more = assert(jobs.list(req.owner, req.query.before, req.query.limit))
  local next_page = more and ("/jobs?limit=%d&before=%s"):format(req.query.limit, list[#list].job)
  return respond.json(200, { jobs = tide.json.array(list), next = next_page or nil })
end))

tide.route("GET /jobs/{id}", { params = { id = "id" } }, signed_in(function(req)
  local job, err = jobs.describe(req.params.id, req.owner)
  return job and respond.json(200, job) or missing(err, "there is no such job")
end))

local description = respond.file "openapi.json"
tide.route("GET /openapi.json", function()
  return description
end)

tide.every("10s", jobs.relay)

if config.resend_after > 0 then
  tide.every("30s", function()
    jobs.resend(config.resend_after)
  end)
end
