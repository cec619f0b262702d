-- Objects have the fields that the reference gives them.
describe("the reference", function()
  local fields = {} -- class -> the names of the fields that are always there
  local class
  local types = io.popen((os.getenv "BUILD" or "build") .. "/tidemill types")
  for line in types:lines() do
    class = line:match "^%-%-%-@class (tide%.%u%w*)$" or class
    local name = line:match "^%-%-%-@field ([%w_]+) "
    if name and class then
      fields[class] = fields[class] or {}
      table.insert(fields[class], name)
    elseif not line:find "^%-%-%-" then
      class = nil
    end
  end
  types:close()

  local function has_fields(name, object)
    assert.is_true(#fields[name] > 0)
    for _, field in ipairs(fields[name]) do
      assert.is_not_nil(object[field], name .. "." .. field)
    end
  end

  local app = tide.spec.bundle("objects", { source = ([[
    tide.route("POST /request/{name}", function(req)
      local missing = {}
      for name in ("NAMES"):gmatch "%S+" do
        if req[name] == nil then missing[#missing + 1] = name end
      end
      return { missing = table.concat(missing, " ") }
    end)
    tide.route("POST /part", function(req)
      local part = assert(req:only_part "file")
      return { name = part.name, filename = part.filename, content_type = part.content_type }
    end)
    tide.queue("objects", {}):consume({ attempts = 1 }, function(_, delivery)
      tide.log.info("delivery", { attempt = delivery.attempt })
    end)
  ]]):gsub("NAMES", table.concat(fields["tide.Request"], " ")) })
  local box = tide.bucket "objects"

  local function put(bytes)
    return app:put("objects", { bytes = bytes }, { name = "a.wav", owner = "ann", metadata = { a = "b" } })
  end

  it("knows a request", function()
    assert.equal("", app:post("/request/x?a=b"):json().missing)
  end)

  it("knows a part", function()
    local form = { file = { filename = "a.txt", type = "text/plain", bytes = "a" } }
    assert.same({ name = "file", filename = "a.txt", content_type = "text/plain" }, app:post("/part", { form = form }):json())
  end)

  it("knows buckets and files", function()
    has_fields("tide.Bucket", box)
    local new, file = assert(box:create { name = "a" }), assert(box:open(put "a"))
    has_fields("tide.NewFile", new)
    has_fields("tide.File", file)
    new:drop()
    file:close()
    assert.equal("ann", file.owner)
    has_fields("tide.FileInfo", assert(box:find())[1])
  end)

  it("knows what a media job gives", function()
    local file = assert(box:open(put(tide.spec.wav(1))))
    has_fields("tide.MediaResult", assert(tide.media.probe(file)))
    file:close()
  end)

  it("knows answers, queues, upstreams, deliveries, failures", function()
    has_fields("tide.HttpAnswer", app:get "/none")
    has_fields("tide.Queue", tide.queue("objects", {}))
    has_fields("tide.Upstream", tide.upstream(app.url))
    has_fields("tide.App", app)
    has_fields("tide.Failure", select(2, box:open "none"))
    app:deliver("objects", {})
    assert.equal(1, tide.spec.logged("delivery")[1].fields.attempt)
  end)

  it("tells what an object has not, and what was meant", function()
    local ok, message = pcall(function() return box.nam end)
    assert.is_false(ok)
    assert.matches("objects_spec.lua:%d+: a tide.Bucket has no 'nam' %(did you mean 'name'%?%)", message)
  end)

  it("tells how an app makes a request of any method", function()
    for _, f in ipairs { function() app:patch("/none", {}) end, function() app:put("/none", {}) end } do
      local ok, message = pcall(f)
      assert.is_false(ok)
      assert.matches("objects_spec.lua:%d+: .*app:request { method = ", message)
    end
  end)
end)
