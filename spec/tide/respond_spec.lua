-- tide.respond, and everything else that a handler may return.
describe("tide.respond", function()
  local app = tide.spec.bundle("answers", {
    files = {
      ["about.html"] = "<p>about</p>",
      ["init.lua"] = [[
        local respond, box = tide.respond, tide.bucket "box"

        local answers = {
          json = function() return respond.json(201, { list = tide.json.array {} }, { Location = "/a" }) end,
          json_as = function() return respond.json(200, {}, { ["content-TYPE"] = "application/hal+json" }) end,
          text = function() return respond.text(200, "text") end,
          html = function() return respond.html(404, "<p>no</p>") end,
          empty = function() return respond.empty(204, { ["X-A"] = { "1", 2 } }) end,
          problem = function()
            return respond.problem(409, "taken", { z = 1, a = { true } }, { ["Retry-After"] = 3 })
          end,
          file = function() return respond.file "about.html" end,
          string = function() return "a string" end,
          table = function() return { a = 1 } end,
          raw = function() return { status = 202, headers = { ["Content-Type"] = "text/csv" }, body = "a,b" } end,
          status = function() return { status = 404 } end,
          status_with_headers = function() return { status = 204, headers = { ["X-A"] = "1" } } end,
          status_of_job = function() return { status = 5, state = "BUSY" } end,
          failure = function() return nil, tide.failure { code = "not_found", message = "no such thing" } end,
          nothing = function() end,
          number = function() return 5 end,
          teapot = function() return { status = 99, body = "" } end,
          header = function() return respond.text(200, "", { ["X-A"] = "a\r\nX-B: b" }) end,
          header_name = function() return respond.text(200, "", { ["X A"] = "a" }) end,
          header_line = function() return { status = 200, headers = "X-A: a", body = "" } end,
          header_size = function() return respond.text(200, "", { ["X-A"] = ("a"):rep(8192) }) end,
          header_large = function() return respond.text(200, "", { ["X-A"] = ("a"):rep(8000) }) end,
          cycle = function()
            local cycle = {}
            cycle.cycle = cycle
            return cycle
          end,
          closed = function()
            local file = box:create()
            assert(file:commit())
            file = assert(box:open(file.id))
            file:close()
            return respond.blob(file)
          end,
        }
        for name, handler in pairs(answers) do
          tide.route("GET /" .. name, handler)
        end

        tide.route("GET /blob/{id}", function(req)
          local file = assert(box:open(req.params.id))
          file.length = tonumber(req.query.length) or file.length
          return respond.blob(file, { attachment = req.query.attachment ~= nil, type = req.query.type })
        end)
      ]],
    },
  })

  local function status_type_body(path)
    local answer = app:get(path)
    return { answer.status, answer.headers["content-type"], answer.body }
  end

  local function failure()
    local list = tide.spec.logged "handler failed"
    return list[#list].message
  end

  it("makes answers with their type", function()
    assert.same({ 201, "application/json", '{"list":[]}' }, status_type_body "/json")
    assert.equal("/a", app:get("/json").headers.location)
    assert.same({ 200, "application/hal+json", "{}" }, status_type_body "/json_as")
    assert.same({ 200, "text/plain; charset=utf-8", "text" }, status_type_body "/text")
    assert.same({ 404, "text/html; charset=utf-8", "<p>no</p>" }, status_type_body "/html")
    assert.same({ 200, "text/html; charset=utf-8", "<p>about</p>" }, status_type_body "/file")
    local empty = app:get "/empty"
    assert.same({ 204, "", "1, 2" }, { empty.status, empty.body, empty.headers["x-a"] })
    assert.equal("nosniff", empty.headers["x-content-type-options"])
  end)

  it("writes equal problems as equal bytes", function()
    assert.same({ 409, "application/problem+json",
      '{"type":"about:blank","title":"Conflict","status":409,"detail":"taken","a":[true],"z":1}' }, status_type_body "/problem")
    assert.equal("3", app:get("/problem").headers["retry-after"])
  end)

  it("need not be used", function()
    assert.same({ 200, "text/plain; charset=utf-8", "a string" }, status_type_body "/string")
    assert.same({ 200, "application/json", '{"a":1}' }, status_type_body "/table")
    assert.same({ 202, "text/csv", "a,b" }, status_type_body "/raw")
    assert.same({ 404, nil, "" }, status_type_body "/status")
    assert.same({ 204, "1" }, { app:get("/status_with_headers").status, app:get("/status_with_headers").headers["x-a"] })
    assert.same({ status = 5, state = "BUSY" }, app:get("/status_of_job"):json())
    assert.same({ 404, "no such thing" }, { app:get("/failure").status, app:get("/failure"):json().detail })
  end)

  it("has room for 8 KiB of headers, however large the request's are", function()
    local answer = app:get("/header_large", { headers = { ["x-large"] = ("b"):rep(15000) } })
    assert.equal(8000, #answer.headers["x-a"])
  end)

  it("says what a handler must return, and where it begins", function()
    for path, message in pairs {
      nothing = "the handler returned nothing; it must return an answer",
      number = "the handler returned a number; it must return an answer",
      teapot = "an answer has a status between 200 and 599, not 99",
      header = "the header 'X-A' of the answer has a name or a value that HTTP does not allow",
      header_name = "the header 'X A' of the answer has a name or a value that HTTP does not allow",
      header_line = "the headers must be a table, not a string",
      header_size = "the headers of an answer take at most 8192 bytes, not ",
      cycle = "can't be written as JSON",
      closed = "this file is closed",
    } do
      assert.equal(500, app:get("/" .. path).status)
      assert.truthy(failure():find(message, 1, true), failure())
      assert.matches("/answers/init.lua:%d+: ", failure())
      local requests = tide.spec.logged "request"
      assert.equal(500, requests[#requests].status)
    end
  end)

  describe("a file", function()
    local bytes = ("0123456789"):rep(10000)
    local id, path

    setup(function()
      id = app:put("box", { bytes = bytes }, { name = "tone.MP3" })
      path = "/blob/" .. id
    end)

    local function range(value, headers)
      headers = headers or {}
      headers.range = value
      local answer = app:get(path, { headers = headers })
      return { answer.status, answer.headers["content-range"], answer.status == 206 and answer.body or #answer.body }
    end

    it("is sent whole, with its length, type and tag", function()
      local answer = app:get(path)
      assert.same({ 200, "100000", "audio/mpeg", '"' .. id .. '"', "bytes" }, { answer.status, answer.headers["content-length"],
        answer.headers["content-type"], answer.headers.etag, answer.headers["accept-ranges"] })
      assert.equal(bytes, answer.body)
      local head = assert(app:request { method = "HEAD", path = path })
      assert.same({ 200, "", "100000" }, { head.status, head.body, head.headers["content-length"] })
    end)

    it("is as long as it is, whatever the script makes of its table", function()
      for _, length in ipairs { "9007199254740992", "-5", "nan", "3" } do
        assert.equal(bytes, app:get(path .. "?length=" .. length).body)
      end
    end)

    it("is sent in part", function()
      assert.same({ 206, "bytes 0-0/100000", "0" }, range "bytes=0-0")
      assert.same({ 206, "bytes 99998-99999/100000", "89" }, range "bytes=99998-")
      assert.same({ 206, "bytes 99997-99999/100000", "789" }, range "bytes=-3")
      assert.same({ 206, "bytes 99999-99999/100000", "9" }, range "bytes=99999-200000")
      assert.same({ 416, "bytes */100000" }, { unpack(range "bytes=100000-", 1, 2) })
      for _, ignored in ipairs { "bytes=5-1", "bytes=a-b", "lines=1-2" } do
        assert.same({ 200, nil, 100000 }, range(ignored))
      end
    end)

    it("is sent when it is another than the client has", function()
      local tag = '"' .. id .. '"'
      local answer = app:get(path, { headers = { ["if-none-match"] = '"x", ' .. tag } })
      assert.same({ 304, "", tag }, { answer.status, answer.body, answer.headers.etag })
      assert.equal(304, app:get(path, { headers = { ["if-none-match"] = "*" } }).status)
      assert.equal(200, app:get(path, { headers = { ["if-none-match"] = '"x"' } }).status)
      assert.same({ 206, "bytes 1-2/100000", "12" }, range("bytes=1-2", { ["if-range"] = tag }))
      assert.same({ 200, nil, 100000 }, range("bytes=1-2", { ["if-range"] = '"x"' }))
    end)

    it("has a name that is safe in a header", function()
      local function disposition(name)
        local named = app:put("box", { bytes = "" }, { name = name })
        return app:get("/blob/" .. named .. "?attachment").headers["content-disposition"]
      end
      assert.equal("attachment; filename=\"a b.mp3\"; filename*=UTF-8''a%20b.mp3", disposition "a b.mp3")
      assert.equal("attachment; filename=\"J_rgen.mp3\"; filename*=UTF-8''J%C3%BCrgen.mp3", disposition "Jürgen.mp3")
      assert.equal("attachment; filename=\"a_b__c_.mp3\"; filename*=UTF-8''a%22b%0D%0Ac%5C.mp3", disposition 'a"b\r\nc\\.mp3')
      assert.is_nil(app:get(path).headers["content-disposition"])
    end)

    it("is closed when the client goes away in the middle of it #embedded", function()
      local big = app:put("box", { bytes = ("x"):rep(20000000) })
      local function is_open()
        return io.popen(("ls -l /proc/%d/fd 2>/dev/null"):format(io.open("/proc/self/stat"):read "*n")):read("*a"):find(big, 1, true)
      end
      local hang_up = app:send("GET /blob/" .. big .. " HTTP/1.1\r\nHost: answers\r\n\r\n")
      tide.spec.eventually(is_open)
      hang_up()
      tide.spec.eventually(function() return not is_open() end)
    end)

    it("has the media type of its name's extension", function()
      for name, expected in pairs { ["a.png"] = "image/png", ["a.b.JPEG"] = "image/jpeg", ["a.svg"] = "image/svg+xml",
        ["a.css"] = "text/css; charset=utf-8", ["a.js"] = "text/javascript; charset=utf-8", ["a.pdf"] = "application/pdf",
        ["a.wav"] = "audio/wav", ["a.mkv"] = "video/x-matroska", png = "application/octet-stream", ["a."] = "application/octet-stream" } do
        local named = app:put("box", { bytes = "" }, { name = name })
        assert.same({ name, expected }, { name, app:get("/blob/" .. named).headers["content-type"] })
      end
    end)

    it("may be empty, and of a type of the handler's", function()
      local empty = app:put("box", { bytes = "" }, { name = "nothing.bin" })
      local answer = app:get("/blob/" .. empty)
      assert.same({ 200, "", "0", "application/octet-stream" }, { answer.status, answer.body, answer.headers["content-length"],
        answer.headers["content-type"] })
      assert.equal(416, app:get("/blob/" .. empty, { headers = { range = "bytes=0-" } }).status)
      assert.equal("a/b", app:get("/blob/" .. empty .. "?type=a/b").headers["content-type"])
      assert.equal(500, app:get("/blob/" .. empty .. "?type=a%0Ab").status)
    end)
  end)
end)
