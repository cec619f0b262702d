local VIDEO = { bytes = ("RIFF\0\r\n--binary--\255"):rep(1000) } -- the gateway doesn't look into it
local ADMIN, ANNA, BOB = { "georgio@email.com", "Admin123" }, { "anna@email.com", "Anna-1234" }, { "bob@email.com", "Bob-12345" }
local NOBODYS = ("0"):rep(24)

describe("gateway", function()
  local auth = tide.spec.bundle "auth"
  local app = tide.spec.bundle("gateway", { settings = { auth_url = auth.url, max_upload = "64KiB" } })
  local videos, mp3s = tide.bucket "videos", tide.bucket "mp3s"
  local admin, anna, bob -- tokens

  setup(function()
    for _, user in ipairs { ADMIN, ANNA, BOB } do
      assert(auth:call("users", "add", { email = user[1], password = user[2], admin = user == ADMIN }))
    end
    local function token(user) return app:post("/login", { user = user }).body end
    admin, anna, bob = token(ADMIN), token(ANNA), token(BOB)
  end)

  local function upload(token, form)
    return app:post("/upload", { token = token, form = form or { file = { filename = "clip.mp4", bytes = VIDEO.bytes } } })
  end

  local function describe_job(id, token)
    return app:get("/jobs/" .. id, { token = token }):json()
  end

  local function sent(id) -- messages about a video
    local count = 0
    for _, message in ipairs(app:published "video") do
      count = count + (message.video_fid == id and 1 or 0)
    end
    return count
  end

  describe("POST /login", function()
    it("passes auth's answer on, word for word", function()
      for _, user in ipairs { ANNA, { ANNA[1], "wrong" } } do
        local mine, its = app:post("/login", { user = user }), auth:post("/login", { user = user })
        assert.same({ its.status, its.headers["content-type"], its.headers["www-authenticate"] },
          { mine.status, mine.headers["content-type"], mine.headers["www-authenticate"] })
        assert.equal(its.status == 401 and its.body or nil, mine.status == 401 and mine.body or nil)
      end
    end)

    it("tells auth the address that the client has, not the one that it claims", function()
      app:post("/login", { user = { "carol@email.com", "wrong" }, headers = { ["X-Forwarded-For"] = "192.0.2.7" } })
      assert.same({}, assert(tide.sql.query "SELECT * FROM login_failure WHERE subject = 'address:192.0.2.7'"))
    end)

    it("tells it the one that a proxy in front names", function()
      local behind = tide.spec.bundle("gateway", { settings = { auth_url = auth.url, trusted_proxies = "127.0.0.0/8" } })
      behind:post("/login", { user = { "carol@email.com", "wrong" }, headers = { ["X-Forwarded-For"] = "192.0.2.7" } })
      assert.equal(1, #assert(tide.sql.query "SELECT * FROM login_failure WHERE subject = 'address:192.0.2.7'"))
    end)
  end)

  describe("POST /upload", function()
    it("keeps the video for its owner, and asks for its conversion", function()
      local answer = upload(anna)
      assert.equal(202, answer.status)
      local job = answer:json()
      assert.same({ job = job.job, video_fid = job.job, status_url = "/jobs/" .. job.job }, job)
      assert.equal(job.status_url, answer.headers.location)
      local video = assert(app:stat("videos", job.video_fid, { owner = ANNA[1] }))
      assert.same({ "clip.mp4", #VIDEO.bytes, "QUEUED" }, { video.name, video.length, video.metadata.state })
      local messages = app:published "video"
      assert.same({ video_fid = job.video_fid, username = ANNA[1], mp3_fid = tide.json.null }, messages[#messages])
    end)

    local refused = {
      ["without a token"] = { 401 },
      ["with a token that is none"] = { 400, token = "abc" },
      ["that is no form"] = { 400, body = "hello", type = "text/plain" },
      ["of a form without fields"] = { 400, body = "--b--\r\n", type = "multipart/form-data; boundary=b" },
      ["of a form that ends early"] = { 400, type = "multipart/form-data; boundary=b",
        body = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\nhello' },
      ["of a field of another name"] = { 400, form = { video = { filename = "a.mp4", bytes = "hello" } } },
      ["of a field that is no file"] = { 400, form = { file = "hello" } },
      ["of two files"] = { 400, form = { file = { filename = "a.mp4", bytes = "a" }, gile = { filename = "b.mp4", bytes = "b" } } },
      ["over the limit"] = { 413, form = { file = { filename = "a.mp4", bytes = ("x"):rep(65 * 1024) } } },
    }
    for what, case in pairs(refused) do
      it(("refuses one %s, and keeps nothing of it"):format(what), function()
        local before, queued = assert(videos:find()), app:queue("video").ready
        local answer = app:post("/upload", { token = case.token or case[1] ~= 401 and anna or nil, form = case.form, body = case.body,
          headers = case.type and { ["Content-Type"] = case.type } or nil })
        assert.equal(case[1], answer.status)
        assert.equal("application/problem+json", answer.headers["content-type"])
        assert.same({ #before, queued }, { #assert(videos:find()), app:queue("video").ready })
      end)
    end

    it("takes a form as browsers and programs write it", function()
      local answer = app:post("/upload", { token = anna, headers = { ["Content-Type"] = 'multipart/form-data; charset=utf-8; boundary="b b"' },
        body = "a preamble\r\n--b b\r\ncontent-type: video/mp4\r\n"
          .. "CONTENT-DISPOSITION: form-data; filename=\"Caf\195\169 \\\"1\\\".mp4\"; name=file\r\n\r\n--b\r\n--b b--\r\nan epilogue" })
      assert.equal(202, answer.status)
      local video = assert(app:stat("videos", answer:json().job))
      assert.same({ 'Caf\195\169 "1".mp4', #"--b" }, { video.name, video.length })
    end)

    it("takes no path from a file's name", function()
      local job = upload(anna, { file = { filename = "../../C:\\etc\\passwd.mp4", bytes = "x" } }):json().job
      assert.equal("passwd.mp4", assert(app:stat("videos", job)).name)
    end)
  end)

  describe("GET /jobs", function()
    it("lists one's own jobs, newest first, page by page", function()
      local carol = { "carol@email.com", "Carol-123" }
      assert(auth:call("users", "add", { email = carol[1], password = carol[2] }))
      local token, ids = app:post("/login", { user = carol }).body, {}
      assert.equal('{"jobs":[]}', app:get("/jobs", { token = token }).body)
      for i = 1, 5 do
        ids[6 - i] = upload(token):json().job
        tide.sleep "2ms"
      end
      local seen, path = {}, "/jobs?limit=2"
      while path do
        local page = app:get(path, { token = token }):json()
        assert.is_true(#page.jobs <= 2)
        for _, job in ipairs(page.jobs) do
          seen[#seen + 1] = job.job
        end
        path = page.next
      end
      assert.same(ids, seen)
      assert.equal(ids[1], app:get("/jobs?limit=1", { token = admin }):json().jobs[1].job)
    end)

    it("says what is wrong with a query", function()
      for _, query in ipairs { "limit=0", "limit=101", "limit=x", "before=x", "before=" .. NOBODYS } do
        assert.equal(400, app:get("/jobs?" .. query, { token = anna }).status)
      end
    end)

    it("calls a job queued of which nothing is noted: another system's gateway does so", function()
      local id = app:put("videos", VIDEO, { name = "clip.mp4", owner = ANNA[1] })
      assert.equal("QUEUED", describe_job(id, anna).state)
    end)

    it("describes a job in all its states", function()
      local id = upload(anna):json().job
      assert.same({ job = id, video_fid = id, name = "clip.mp4", length = #VIDEO.bytes, username = ANNA[1], state = "QUEUED" },
        describe_job(id, anna))
      assert(videos:annotate(id, { state = "PROGRESSING", percent = 40 }))
      assert.equal(40, describe_job(id, anna).percent)
      assert(videos:annotate(id, { state = "ERROR", percent = tide.json.null, code = "no_audio", reason = "it is silent" }))
      local job = describe_job(id, anna)
      assert.same({ "ERROR", "no_audio", "it is silent" }, { job.state, job.code, job.reason })
      assert.is_nil(job.percent)
    end)

    it("answers another's job like one that is not there; an admin sees all", function()
      local id = upload(anna):json().job
      local others, unknown = app:get("/jobs/" .. id, { token = bob }), app:get("/jobs/" .. NOBODYS, { token = bob })
      assert.same({ 404, 404 }, { others.status, unknown.status })
      assert.equal(unknown.body, others.body)
      assert.equal(400, app:get("/jobs?before=" .. id, { token = bob }).status)
      assert.equal(200, app:get("/jobs/" .. id, { token = admin }).status)
      assert.equal(401, app:get("/jobs/" .. id).status)
      assert.equal(400, app:get("/jobs/xyz", { token = anna }).status)
    end)
  end)

  describe("GET /download", function()
    local id ---@type string
    setup(function()
      id = app:put("mp3s", { bytes = "0123456789" }, { name = "K\195\164se \"1\".mp3", owner = ANNA[1] })
    end)

    local function download(token, headers)
      return app:get("/download?fid=" .. id, { token = token, headers = headers })
    end

    it("answers the owner with the file, as an attachment with its name", function()
      local answer = download(anna)
      assert.same({ 200, "0123456789", "audio/mpeg" }, { answer.status, answer.body, answer.headers["content-type"] })
      assert.equal("attachment; filename=\"K_se _1_.mp3\"; filename*=UTF-8''K%C3%A4se%20%221%22.mp3", answer.headers["content-disposition"])
    end)

    it("answers a part of it, and nothing to who has it", function()
      local part = download(anna, { Range = "bytes=2-4" })
      assert.same({ 206, "234", "bytes 2-4/10" }, { part.status, part.body, part.headers["content-range"] })
      assert.equal("789", download(anna, { Range = "bytes=-3" }).body)
      local behind = download(anna, { Range = "bytes=10-" })
      assert.same({ 416, "bytes */10" }, { behind.status, behind.headers["content-range"] })
      local same = download(anna, { ["If-None-Match"] = part.headers.etag })
      assert.same({ 304, "" }, { same.status, same.body })
      assert.equal("0123456789", download(anna, { Range = "bytes=2-4", ["If-Range"] = '"another"' }).body)
    end)

    it("answers another's file like one that is not there; an admin gets all", function()
      local others, unknown = download(bob), app:get("/download?fid=" .. NOBODYS, { token = bob })
      assert.same({ 404, 404, unknown.body }, { others.status, unknown.status, others.body })
      assert.equal(200, download(admin).status)
      assert.equal(401, download().status)
    end)

    it("wants an id", function()
      assert.equal(400, app:get("/download", { token = anna }).status)
      assert.equal(400, app:get("/download?fid=../x", { token = anna }).status)
      assert(mp3s:remove(id))
      assert.equal(404, download(anna).status)
    end)
  end)

  describe("the outbox", function()
    -- What a crash between the file's commit and its message leaves.
    local function kept_back()
      return app:put("videos", VIDEO, { name = "clip.mp4", owner = ANNA[1], metadata = { state = "SUBMITTED" } })
    end

    it("is sent by the relay when it is 15 s old, once", function()
      local id = kept_back()
      tide.spec.clock:jump "12s"
      app:tick()
      assert.equal(0, sent(id))
      tide.spec.clock:jump "4s"
      app:tick()
      app:tick()
      assert.equal(1, sent(id))
      assert.equal("QUEUED", describe_job(id, anna).state)
    end)

    it("sends a job again that gives no sign of life, each time after twice as long, and not for ever", function()
      local id = upload(anna):json().job
      tide.spec.clock:jump "590s"
      app:tick()
      assert.equal(1, sent(id))
      for resent, silence in ipairs { "11s", "20m", "40m", "80m", "160m" } do
        tide.spec.clock:jump(silence)
        app:tick()
        app:tick()
        assert.equal(1 + resent, sent(id))
      end
      tide.spec.clock:jump "12h"
      app:tick()
      assert.same({ 6, "QUEUED" }, { sent(id), describe_job(id, anna).state })
    end)

    it("leaves a job alone that goes on or has ended, or whose owner nobody knows", function()
      local live, ended, nobodys = upload(anna):json().job, upload(anna):json().job,
        app:put("videos", VIDEO, { name = "clip.mp4", metadata = { state = "QUEUED" } })
      tide.spec.clock:jump "599s"
      assert(videos:annotate(live, { state = "PROGRESSING", alive = tide.now() }))
      assert(videos:annotate(ended, { state = "ERROR" }))
      tide.spec.clock:jump "2s"
      app:tick()
      assert.same({ 1, 1, 0 }, { sent(live), sent(ended), sent(nobodys) })
      tide.spec.clock:jump "600s"
      app:tick()
      assert.same({ 2, 1, 0 }, { sent(live), sent(ended), sent(nobodys) })
      assert.equal("PROGRESSING", describe_job(live, anna).state)
    end)

    it("keeps a job whose message can't be sent; without an outbox the job is taken back", function()
      local too_long = ("x"):rep(2 * 1024 * 1024) -- no queue takes a message of this size
      local kept, refused = kept_back(), kept_back()
      assert.is_true(app:call("jobs", "submit", kept, too_long, true))
      assert.equal("SUBMITTED", describe_job(kept, anna).state)
      local _, err = app:call("jobs", "submit", refused, too_long, false)
      assert.matches("a message of 2097", err.message, 1, true)
      assert.equal(404, app:get("/jobs/" .. refused, { token = anna }).status)
    end)

    it("doesn't turn a job back that has gone on", function()
      local id = kept_back()
      assert(videos:annotate(id, { state = "COMPLETE" }))
      tide.spec.clock:jump "16s"
      app:tick()
      assert.same({ 0, "COMPLETE" }, { sent(id), describe_job(id, anna).state })
    end)
  end)
end)

describe("gateway without auth", function()
  local function gateway(source)
    local auth = tide.spec.bundle("auth_stand_in", { source = source })
    local app = tide.spec.bundle("gateway", { settings = { auth_url = auth.url } })
    return app, auth
  end

  it("answers 503 to everything, without telling where auth is", function()
    local videos = tide.bucket "videos"
    local before = #assert(videos:find())
    local app, auth = gateway [[tide.route("POST /validate", function() return { status = 200, body = "{}" } end)]]
    auth:close()
    for _, answer in ipairs {
      app:post("/login", { user = ANNA }), app:get("/jobs", { token = "abc" }),
      app:post("/upload", { token = "abc", form = { file = { filename = "a.mp4", bytes = "a" } } }),
    } do
      assert.equal(503, answer.status)
      assert.equal("application/problem+json", answer.headers["content-type"])
      assert.is_nil(answer.body:find("127.0.0.1", 1, true))
    end
    assert.equal(before, #assert(videos:find()))
  end)

  it("passes on auth's own trouble", function()
    local app = gateway [[tide.route("POST /validate", function() return { status = 429, body = "later" } end)]]
    local answer = app:get("/jobs", { token = "abc" })
    assert.same({ 429, "later" }, { answer.status, answer.body })
  end)

  -- Whoever has no name would see the files of everybody.
  it("lets nobody in on an answer that names nobody", function()
    for _, body in ipairs { "no JSON", "{}", "[]", "7", '{"username":null}', '{"username":{},"admin":false}' } do
      local app = gateway(("tide.route('POST /validate', function() return { status = 200, body = %q } end)"):format(body))
      assert.equal(503, app:get("/jobs", { token = "abc" }).status)
    end
  end)
end)
