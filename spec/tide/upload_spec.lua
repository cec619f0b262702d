-- Forms (multipart/form-data) and raw bodies, part by part, into files.
describe("a form", function()
  local app = tide.spec.bundle("forms", { source = [[
    local box = tide.bucket "box"

    tide.route("POST /parts", function(req)
      local list = {}
      while true do
        local part, err = req:next_part()
        assert(part or not err, err)
        if not part then
          return tide.json.array(list)
        end
        list[#list + 1] = { name = part.name, filename = part.filename, type = part.content_type }
      end
    end)

    tide.route("POST /second", function(req)
      assert(req:next_part())                                    -- not read: skipped
      local file = box:create()
      local bytes = assert(tide.copy(assert(req:next_part()), file))
      assert(file:commit())
      return { id = file.id, bytes = bytes }
    end)

    tide.route("POST /only", function(req)
      local part = assert(req:only_part "file")
      local file = box:create { name = part.filename }
      assert(tide.copy(part, file))
      assert(file:commit())
      return { name = file.name, length = file.length }
    end)

    tide.route("POST /again", function(req)
      local part = assert(req:only_part "file")
      assert(tide.copy(part, box:create()))
      local bytes, err = tide.copy(part, box:create())
      return { bytes = bytes, code = err.code, message = err.message }
    end)

    tide.route("POST /late", function(req)
      assert(req:text())
      local part, err = req:next_part()
      return { part = part, code = err.code }
    end)

    tide.route("PUT /raw", { limit = { body = "1MiB" } }, function(req)
      local file = box:create()
      local bytes = assert(tide.copy(req:body(), file))
      assert(file:commit())
      return { id = file.id, bytes = bytes }
    end)

    tide.route("GET /file/{id}", function(req) return tide.respond.blob(assert(box:open(req.params.id))) end)
  ]] })

  local function post(path, body)
    return app:post(path, { body = body, headers = { ["content-type"] = "multipart/form-data; boundary=b" } })
  end

  it("gives its parts in order, with their names and types", function()
    assert.same({ { name = "a" }, { name = "b", filename = "b.txt", type = "text/plain" }, { name = "c", filename = "",
      type = "application/octet-stream" } }, app:post("/parts", { form = {
        a = "text", b = { filename = "b.txt", type = "text/plain", bytes = "x" }, c = { filename = "", bytes = "" },
      } }):json())
    assert.same({}, post("/parts", "--b--\r\n"):json())
  end)

  it("lets a part be skipped", function()
    local answer = app:post("/second", { form = { a = ("a"):rep(300000), b = "second" } }):json()
    assert.equal(6, answer.bytes)
    assert.equal("second", app:get("/file/" .. answer.id).body)
  end)

  it("may hold what looks like its boundary", function()
    local tricky = "\r\n-b\r\n--c--\r\n--\r\n\r\n--"
    local answer = app:post("/second", { form = { x = tricky, y = tricky } }):json()
    assert.equal(tricky, app:get("/file/" .. answer.id).body)
  end)

  it("with one file is taken whole", function()
    local answer = app:post("/only", { form = { file = { filename = "../../evil.mp4", bytes = "" } } })
    assert.equal(200, answer.status)
    assert.same({ name = "evil.mp4", length = 0 }, answer:json())
  end)

  it("with something else than one file is refused with what is wrong", function()
    local file = { filename = "a", bytes = "x" }
    for detail, form in pairs {
      ["the form has the field 'a'; it must have 'file' alone"] = { a = "x", file = file },
      ["the form has more than the field 'file'"] = { file = file, z = "x" },
      ["the field 'file' holds no file"] = { file = "x" },
    } do
      local answer = app:post("/only", { form = form })
      assert.same({ 400, detail }, { answer.status, answer:json().detail })
    end
    assert.equal("the form has no field 'file'", post("/only", "--b--\r\n"):json().detail)
  end)

  it("that is malformed, or none at all, is answered 400 with the reason", function()
    local part = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    for _, body in ipairs { "", "hello", part .. "cut off", "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n" } do
      local answer = post("/only", body)
      assert.equal(400, answer.status)
      assert.truthy(#answer:json().detail > 10)
    end
    local answer = app:post("/only", { body = "{}", headers = { ["content-type"] = "application/json" } })
    assert.equal(400, answer.status)
    assert.matches("multipart", answer:json().detail)
  end)

  it("is read once", function()
    assert.same({ code = "invalid", message = "this source was read already" },
      app:post("/again", { form = { file = { filename = "a", bytes = "x" } } }):json())
    assert.equal("conflict", app:post("/late", { form = { a = "x" } }):json().code)
  end)

  it("need not be one: a raw body is a source too", function()
    local bytes = ("0123456789"):rep(50000)
    local answer = assert(app:request { method = "PUT", path = "/raw", body = bytes }):json()
    assert.equal(#bytes, answer.bytes)
    assert.equal(bytes, app:get("/file/" .. answer.id).body)
    assert.equal(413, assert(app:request { method = "PUT", path = "/raw", body = ("x"):rep(1024 * 1024 + 1) }).status)
  end)
end)
