local FID, VIDEO = ("a1"):rep(12), ("b2"):rep(12)

describe("notification", function()
  local app = tide.spec.bundle("notification", { settings = { download_url = "https://mp3.example.com/download" } })

  local function deliver(fid, to)
    return app:deliver("mp3", { video_fid = VIDEO, mp3_fid = fid, username = to })
  end

  it("mails the owner how to get the MP3, as text and as HTML", function()
    assert.equal("done", deliver(FID, "anna@example.com"))
    local mails = tide.spec.mails()
    assert.equal(1, #mails)
    assert.same({ "anna@example.com", "MP3 Download" }, { mails[1].to, mails[1].subject })
    local url = "https://mp3.example.com/download?fid=" .. FID
    assert.matches("File id: " .. FID, mails[1].text, 1, true)
    assert.matches('curl -H "Authorization: Bearer <your-jwt-token>" "' .. url .. '"', mails[1].text, 1, true)
    assert.matches("<code>" .. FID .. "</code>", mails[1].html, 1, true)
    assert.matches('&lt;your-jwt-token&gt;" "' .. url .. '"', mails[1].html, 1, true)
  end)

  it("mails once, however often the message comes", function()
    assert.equal("done", deliver(FID, "anna@example.com"))
    assert.equal(1, #tide.spec.mails())
    assert.equal("done", deliver(("a2"):rep(12), "anna@example.com"))
    assert.equal(2, #tide.spec.mails())
  end)

  it("makes dead letters of malformed messages and addresses, and mails nobody", function()
    local before = #tide.spec.mails()
    for i, to in ipairs { "no address", "", "a@b.c\r\nBcc: all@example.com", "a@b.c, d@e.f" } do
      assert.equal("dead", deliver(("%024x"):format(i), to))
    end
    for _, message in ipairs { "no JSON", "[1]", { video_fid = VIDEO, mp3_fid = FID }, { video_fid = VIDEO, mp3_fid = tide.json.null,
      username = "anna@example.com" }, { video_fid = VIDEO, mp3_fid = "../x", username = "anna@example.com" } } do
      assert.equal("dead", app:deliver("mp3", message))
    end
    assert.equal(before, #tide.spec.mails())
    local letters = app:dead_letters("mp3", { "code", "attempts" })
    assert.same({ { code = "invalid", attempts = 1 }, { code = "bad_message", attempts = 1 } }, { letters[1], letters[#letters] })
  end)

  it("escapes in HTML what it is told", function()
    local odd = tide.spec.bundle("notification", { settings = { download_url = 'https://mp3.example.com/"><script>' } })
    app:close()
    assert.equal("done", odd:deliver("mp3", { video_fid = VIDEO, mp3_fid = ("c3"):rep(12), username = "anna@example.com" }))
    local mails = tide.spec.mails()
    assert.matches('&quot;&gt;&lt;script&gt;', mails[#mails].html, 1, true)
    assert.is_nil(mails[#mails].html:find("<script>", 1, true))
  end)
end)
