-- tide.bucket, tide.copy: files with metadata, written once, seen by nobody before their commit.
describe("tide.bucket", function()
  local box = tide.bucket "box"
  local wait_for = tide.spec.eventually
  local app = tide.spec.bundle("shelf", { source = [[
    local box = tide.bucket "box"

    tide.route("POST /upload", { limit = { body = "1MiB" } }, function(req)
      local part = assert(req:only_part "file")
      local file = assert(box:create { name = part.filename, owner = "ann" })
      tide.log.info("uploading", { id = file.id })
      local bytes = assert(tide.copy(part, file))
      assert(file:commit())
      return tide.respond.json(201, { id = file.id, bytes = bytes })
    end)

    tide.route("POST /forget", function()
      local file = assert(box:create())
      return { id = file.id }                                    -- not committed: gone when the handler ends
    end)

    tide.route("GET /wait/{id}", function(req)
      local file = assert(box:open(req.params.id))
      tide.sleep "1m"
      return tide.respond.blob(file)
    end)

    tide.route("GET /file/{id}", function(req)
      return tide.respond.blob(assert(box:open(req.params.id)))
    end)
  ]] })

  -- Handles that a test need not close itself.
  local handles = {}
  local function open(...)
    local file, err = box:open(...)
    handles[#handles + 1] = file
    return file, err
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

  local function put(bytes, options)
    return app:put("box", { bytes = bytes }, options)
  end

  local function content(id)
    return app:get("/file/" .. id).body
  end

  local function lines(command)
    local pipe, list = io.popen(command), {}
    for line in pipe:lines() do
      list[#list + 1] = line
    end
    pipe:close()
    return list
  end

  -- The descriptors of this process whose files match the pattern, within the store's directory. Counting all of them would count
  -- what other tests left to the collector.
  local function descriptors(pattern, command)
    local pid = io.open("/proc/self/stat"):read "*n"
    return lines(("find /proc/%d/fd -lname '%s/blobs/%s' %s 2>/dev/null"):format(pid, tide.spec.data, pattern, command or ""))
  end

  local function is_open(id)
    return #descriptors("box/*" .. id .. "*") > 0
  end

  -- Is a large file being written? It has no name yet.
  local function is_writing()
    for _, size in ipairs(descriptors(".tmp/*", "-exec stat -Lc %s {} +")) do
      if tonumber(size) > 100000 then
        return true
      end
    end
    return false
  end

  -- Files in the bucket's directory, whatever their names.
  local function stored()
    return #lines(("find '%s/blobs/box' -type f"):format(tide.spec.data))
  end

  describe("a file", function()
    it("comes back with its bytes and what was said of it", function()
      local id = put("hello", { name = "a.b.txt", owner = "ann", metadata = { state = "NEW", size = { 1, 2 } } })
      local file = assert(app:stat("box", id))
      assert.same({ id, "a.b.txt", "a.b", 5, "ann" }, { file.id, file.name, file.stem, file.length, file.owner })
      assert.same({ owner = "ann", state = "NEW", size = { 1, 2 } }, file.metadata)
      assert.near(tide.now(), file.uploaded, 60)
      assert.equal("hello", content(id))
    end)

    it("is seen by nobody before its commit", function()
      local file = assert(box:create { name = "early" })
      assert.equal("not_found", select(2, box:open(file.id)).code)
      assert(file:commit { name = "late", metadata = { state = "DONE" } })
      assert.same({ "late", "DONE" }, { assert(app:stat("box", file.id)).name, assert(app:stat("box", file.id)).metadata.state })
    end)

    it("is dropped on demand, and with the handler that didn't commit it #embedded", function()
      local before = stored()
      local file = assert(box:create())
      assert(tide.copy(assert(open(put "abc")), file))
      file:drop()
      file:drop()
      assert.has_error(function() file:commit() end)
      assert.equal("not_found", select(2, box:open(app:post("/forget"):json().id)).code)
      assert.equal(before + 1, stored())                         -- "abc"
    end)

    it("can have an id of its own, once", function()
      local id = tide.id.derive(tide.id.new(), "mp3")
      assert.equal(id, put("first", { id = id }))
      local second = assert(box:create { id = id })
      local ok, err = second:commit()
      assert.is_nil(ok)
      assert.same({ "exists", false }, { err.code, err.retryable })
      assert.equal("first", content(id))
    end)

    it("is not found by another owner, no id and no file alike", function()
      local id = put("mine", { owner = "ann" })
      assert.equal("ann", assert(app:stat("box", id, { owner = "ann" })).owner)
      local _, foreign = box:open(id, { owner = "bob" })
      local _, missing = box:open(tide.id.new())
      local _, malformed = box:open "../../etc/passwd"
      local _, absent = box:open(nil)
      for _, err in ipairs { foreign, missing, malformed, absent } do
        assert.same({ "not_found", "there is no such file", false }, { err.code, err.message, err.retryable })
      end
    end)

    it("refuses a name and metadata that can't be kept", function()
      local _, err = assert(box:create { name = ("x"):rep(1025) }):commit()
      assert.equal("invalid", err.code)
      _, err = assert(box:create { metadata = { text = ("x"):rep(70000) } }):commit()
      assert.equal("invalid", err.code)
      assert.has_error(function() create({ metadata = { f = print } }):commit() end)
    end)

    it("can be read to its end by who has it open when it is removed #embedded", function()
      local id = put "going"
      local file = assert(box:open(id))
      assert.is_true(box:remove(id))
      assert.is_false(box:remove(id))
      local copy = create()
      assert.equal(5, tide.copy(file, copy))
      file:close()
      file:close()
    end)
  end)

  describe("annotate", function()
    it("merges, removes a key with null, and keeps the rest", function()
      local id = put("x", { owner = "ann", metadata = { state = "NEW", note = "n" } })
      assert.is_true(box:annotate(id, { state = "BUSY", percent = 5, note = tide.json.null }))
      assert.same({ owner = "ann", state = "BUSY", percent = 5 }, assert(app:stat("box", id)).metadata)
    end)

    it("changes only what meets its condition", function()
      local file = assert(app:stat("box", put("x", { metadata = { state = "NEW" } })))
      assert.is_false(file:annotate({ state = "LOST" }, { state = "BUSY" }))
      assert.is_true(file:annotate({ state = "BUSY" }, { state = "NEW" }))
      assert.equal("BUSY", assert(app:stat("box", file.id)).metadata.state)
      assert.is_false(box:annotate(tide.id.new(), { state = "BUSY" }))
    end)

    it("changes only what has no such key where null is asked for", function()
      local file = assert(app:stat("box", put("x", { metadata = { state = "NEW" } })))
      assert.is_false(file:annotate({ note = "lost" }, { state = tide.json.null }))
      assert.is_true(file:annotate({ note = "first" }, { note = tide.json.null, state = "NEW" }))
      assert.is_false(file:annotate({ note = "second" }, { note = tide.json.null }))
      assert.same({ state = "NEW", note = "first" }, assert(app:stat("box", file.id)).metadata)
    end)

    it("gives one of several what all want at the same time", function()
      local id, wins = put("x", { metadata = { state = "FREE" } }), 0
      local function take()
        if box:annotate(id, { state = "TAKEN" }, { state = "FREE" }) then
          wins = wins + 1
        end
      end
      tide.spec.together(take, take, take, take)
      assert.equal(1, wins)
    end)

    it("says when metadata grow too large", function()
      local changed, err = box:annotate(put "x", { text = ("x"):rep(70000) })
      assert.is_nil(changed)
      assert.equal("invalid", err.code)
    end)
  end)

  describe("find", function()
    it("gives what matches, newest first, page by page", function()
      local ids = {}
      for i = 1, 5 do
        ids[i] = put("x", { owner = "finder", name = "f" .. i, metadata = { state = i % 2 == 0 and "EVEN" or "ODD" } })
        tide.spec.clock:jump "1ms"                                    -- files of one millisecond have no order
      end
      local function names(options)
        options.where = options.where or { owner = "finder" }
        local list = {}
        for i, info in ipairs(assert(box:find(options))) do
          list[i] = info.name
        end
        return list
      end
      assert.same({ "f5", "f4", "f3", "f2", "f1" }, names {})
      assert.same({ "f5", "f3", "f1" }, names { where = { owner = "finder", state = "ODD" } })
      assert.same({ "f5" }, names { where = { owner = "finder", note = tide.json.null }, limit = 1 })
      assert.same({}, names { where = { owner = "finder", state = tide.json.null } })
      assert.same({ "f3", "f2" }, names { before = ids[4], limit = 2 })
      assert.same({}, names { older_than = "1h" })
      local info = box:find({ where = { owner = "finder" }, limit = 1 })[1]
      assert.same({ ids[5], "finder", 1 }, { info.id, info.owner, info.length })
      assert.is_true(info:annotate { state = "SEEN" })
    end)

    it("says that the file it should go on from is gone", function()
      local id = put "x"
      assert(box:remove(id))
      local list, err = box:find { before = id }
      assert.is_nil(list)
      assert.equal("not_found", err.code)
    end)
  end)

  describe("tide.copy", function()
    it("stores an upload", function()
      local answer = app:post("/upload", { form = { file = { filename = "a.mp4", bytes = ("video"):rep(20000) } } })
      assert.equal(201, answer.status)
      assert.equal(100000, answer:json().bytes)
      local file = assert(open(answer:json().id, { owner = "ann" }))
      assert.same({ "a.mp4", 100000 }, { file.name, file.length })
      assert.equal(("video"):rep(20000), content(file.id))
    end)

    it("takes no more than its limit", function()
      local source, file = assert(open(put(("x"):rep(1000)))), create()
      local bytes, err = tide.copy(source, file, { limit = 999 })
      assert.is_nil(bytes)
      assert.equal("too_large", err.code)
      assert.error_matches(function() file:commit() end, "this file is closed") -- no half of it
      assert.equal(1000, tide.copy(assert(open(source.id)), create(), { limit = "1000B" }))
    end)

    it("says what is closed", function()
      local source, file = assert(box:open(put "x")), assert(box:create())
      source:close()
      assert.equal("this file is closed", select(2, tide.copy(source, file)).message)
      file:drop()
      assert.equal("this file is closed", select(2, tide.copy(assert(open(source.id)), file)).message)
    end)

    it("refuses a form with more than the one file, and leaves nothing of it", function()
      local before = stored()
      local answer = app:post("/upload", { form = { file = { filename = "a", bytes = "x" }, other = "y" } })
      assert.equal(400, answer.status)
      assert.matches("more than the field 'file'", answer:json().detail)
      assert.equal(before, stored())
    end)

    it("leaves nothing of an upload whose client goes away #embedded", function()
      local before = stored()
      local hang_up = app:send("POST /upload HTTP/1.1\r\nHost: shelf\r\nContent-Length: 1000000\r\n"
        .. "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        .. '--b\r\nContent-Disposition: form-data; name="file"; filename="half.mp4"\r\n\r\n' .. ("half"):rep(100000))
      local uploading = wait_for(function()
        local list = tide.spec.logged "uploading"
        return is_writing() and list[#list]
      end)
      local answered = #tide.spec.logged "request"
      hang_up()
      wait_for(function() return not is_writing() and #tide.spec.logged "request" > answered end)
      assert.equal(before, stored())
      assert.equal("not_found", select(2, box:open(uploading.fields.id)).code)
      local requests = tide.spec.logged "request"
      assert.same({ "POST /upload", 499 }, { requests[#requests].route, requests[#requests].status })
    end)
  end)

  it("closes what a handler has open when its client goes away", function()
    local id = put "x"
    local answer, err = app:request { path = "/wait/" .. id, timeout = "100ms" }
    assert.is_nil(answer)
    assert.equal("timeout", err.code)
    wait_for(function() return not is_open(id) end)
  end)

  describe("a handle", function()
    local function collecting()
      for _ = 1, 10 do
        tide.sleep "1ms"
        collectgarbage()
      end
    end

    it("lives as long as the call that uses it, whoever else holds it", function()
      local id = put(("x"):rep(1000000))
      tide.spec.together(collecting, collecting, function()
        for _ = 1, 10 do
          local function commit_unheld() return box:create():commit() end
          local function copy_unheld() return tide.copy((box:open(id)), (box:create())) end
          assert.is_true(commit_unheld())
          assert.equal(1000000, copy_unheld())
        end
      end)
      wait_for(function() return not is_open(id) end)
    end)

    it("serves one call at a time", function()
      local file, source = create(), assert(open(put "x"))
      local function commit() return pcall(file.commit, file) end
      local first, second = tide.spec.together(commit, commit)
      assert.same({ true, false }, { first, second })
      local target = assert(box:create())
      local bytes, closed = tide.spec.together(function() return tide.copy(source, target) end,
        function() return pcall(source.close, source) end)
      assert.same({ 1, false }, { bytes, closed })
      assert.is_true(target:commit())
    end)

    it("outlives the task that opened it while another one uses it", function()
      local id = put(("x"):rep(4000000))
      local file
      local _, bytes = tide.spec.together(
        function()
          file = assert(box:open(id))
          wait_for(function() return file == "in use" end)
        end,
        function()
          wait_for(function() return file end)
          local source, target = file, assert(box:create())
          file = "in use"
          return tide.copy(source, target)
        end)
      assert.equal(4000000, bytes)
      file = nil
      wait_for(function() return not is_open(id) end)
    end)
  end)
end)
