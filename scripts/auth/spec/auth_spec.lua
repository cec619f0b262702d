local SECRET = "a secret that the specs share: 32 bytes and more"
-- Signed with it by another library, for the user and the issuer of these specs; its exp is in 2023.
local EXPIRED = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJnZW9yZ2lvQGVtYWlsLmNvbSIsInVzZXJuYW1lIjoiZ2Vvcmdpb0BlbWFpbC5jb20iLC"
  .. "JhZG1pbiI6dHJ1ZSwiaXNzIjoidGlkZW1pbGwiLCJhdWQiOiJ0aWRlbWlsbCIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAzNjAwfQ"
  .. ".eGOoHF70tjsal6tVF_sICFAcR5MU2r1kgLub-ntws_8"
local GEORGIO, ANNA = { "georgio@email.com", "Admin123" }, { "anna@email.com", "Password-of-Anna" }

describe("auth", function()
  local app = tide.spec.bundle("auth", { settings = { jwt_secret = SECRET } })

  setup(function()
    assert(app:call("users", "add", { email = GEORGIO[1], password = GEORGIO[2], admin = true }))
    assert(app:call("users", "add", { email = ANNA[1], password = ANNA[2] }))
  end)

  before_each(function() assert(tide.sql.exec "DELETE FROM login_failure") end)

  -- The gateway is a trusted proxy: its clients' addresses come in X-Forwarded-For.
  local function login(user, password, address)
    return app:post("/login", { user = { user, password }, headers = { ["X-Forwarded-For"] = address } })
  end

  local function token_of(user)
    return login(user[1], user[2]).body
  end

  local function stored(email)
    return assert(tide.sql.one("SELECT password FROM user WHERE email = ?", email)).password
  end

  describe("POST /login", function()
    it("answers a right password with a token, as plain text that no cache keeps", function()
      local answer = login(unpack(GEORGIO))
      assert.equal(200, answer.status)
      assert.equal("text/plain; charset=utf-8", answer.headers["content-type"])
      assert.equal("no-store", answer.headers["cache-control"])
      assert.equal(GEORGIO[1], app:post("/validate", { token = answer.body }):json().username)
    end)

    it("answers in JSON whoever prefers it", function()
      local answer = app:post("/login", { user = GEORGIO, headers = { Accept = "text/plain;q=0.5, application/json" } })
      assert.equal("application/json", answer.headers["content-type"])
      assert.equal(200, app:post("/validate", { token = answer:json().token }).status)
    end)

    it("answers an unknown user and a wrong password with the same bytes", function()
      local wrong, unknown = login(GEORGIO[1], "Admin124"), login("nobody@email.com", "Admin124")
      assert.equal(401, wrong.status)
      assert.equal('Basic realm="tidemill", charset="UTF-8"', wrong.headers["www-authenticate"])
      assert.same({ wrong.status, wrong.body }, { unknown.status, unknown.body })
    end)

    it("takes an address only as it was given", function()
      for _, other in ipairs { "GEORGIO@email.com", "g\195\169orgio@email.com", "georgio@email.com " } do
        assert.equal(401, login(other, GEORGIO[2]).status)
      end
    end)

    it("asks for credentials, and says what is wrong with malformed ones", function()
      assert.equal(401, app:post("/login").status)
      for _, header in ipairs { "Basic ***", "Basic bm9jb2xvbg==", "Bearer abc", "Basic" } do
        local answer = app:post("/login", { headers = { Authorization = header } })
        assert.same({ 400, "the Authorization header holds no Basic credentials" }, { answer.status, answer:json().detail })
      end
      assert.equal(400, login("j\246rg@email.com", "Latin-1").status)
    end)

    it("takes a legacy row in plain text once, and stores a hash in its place", function()
      assert(tide.sql.exec("INSERT INTO user (email, password) VALUES (?, ?)", "legacy@email.com", "OldTimes1"))
      assert.equal(401, login("legacy@email.com", "OldTimes2").status)
      assert.equal("OldTimes1", stored "legacy@email.com")
      assert.equal(200, login("legacy@email.com", "OldTimes1").status)
      local hash = stored "legacy@email.com"
      assert.matches("^%$argon2id%$", hash)
      assert.equal(200, login("legacy@email.com", "OldTimes1").status)
      assert.equal(401, login("legacy@email.com", hash).status)
      assert.equal(hash, stored "legacy@email.com")
    end)

    it("answers 500 without details when the database refuses", function()
      assert(tide.sql.exec "ALTER TABLE user RENAME TO away")
      local answer = login(unpack(GEORGIO))
      assert(tide.sql.exec "ALTER TABLE away RENAME TO user")
      assert.equal(500, answer.status)
      assert.is_nil(answer.body:find("table", 1, true))
      assert.equal(200, login(unpack(GEORGIO)).status)
    end)
  end)

  describe("after five failed logins in a row", function()
    local function fail(times, user, address)
      for _ = 1, times do
        assert.equal(401, login(user, "not the password", address).status)
      end
    end

    it("an account waits, wherever the next one comes from", function()
      fail(5, ANNA[1], "192.0.2.1")
      local answer = login(ANNA[1], ANNA[2], "192.0.2.2")
      assert.equal(429, answer.status)
      assert.is_true(tonumber(answer.headers["retry-after"]) > 0)
      assert.equal(200, login(GEORGIO[1], GEORGIO[2], "192.0.2.2").status)
    end)

    it("an address waits, whatever account it tries", function()
      for i = 1, 5 do
        fail(1, ("user%d@email.com"):format(i), "192.0.2.3")
      end
      assert.equal(429, login(ANNA[1], ANNA[2], "192.0.2.3").status)
      assert.equal(200, login(ANNA[1], ANNA[2], "192.0.2.4").status)
    end)

    it("of many guesses at once most don't hear whether they were right", function()
      local guesses, heard = {}, 0
      for i = 1, 40 do
        guesses[i] = function() return login(ANNA[1], "guess number " .. i).status end
      end
      for _, status in ipairs { tide.spec.together(unpack(guesses)) } do
        heard = heard + (status == 401 and 1 or 0)
      end
      assert.is_true(heard >= 5 and heard < 20)
    end)

    it("the address is the connection's own when it is no trusted proxy", function()
      local open = tide.spec.bundle("auth", { settings = { jwt_secret = SECRET, trusted_proxies = "" } })
      for i = 1, 5 do
        open:post("/login", { user = { "user@email.com", "wrong" }, headers = { ["X-Forwarded-For"] = "192.0.2." .. i } })
      end
      assert.same({ { subject = "address:127.0.0.1" } },
        assert(tide.sql.query "SELECT subject FROM login_failure WHERE subject LIKE 'address:%'"))
    end)

    it("another try is taken after a pause, and a right password forgets them", function()
      fail(5, ANNA[1])
      assert(tide.sql.exec "UPDATE login_failure SET last_at = last_at - 16")
      assert.equal(200, login(unpack(ANNA)).status)
      assert.same({}, assert(tide.sql.query "SELECT * FROM login_failure"))
    end)

    it("the pause doubles", function()
      fail(5, ANNA[1])
      assert(tide.sql.exec "UPDATE login_failure SET last_at = last_at - 16")
      fail(1, ANNA[1])
      assert(tide.sql.exec "UPDATE login_failure SET last_at = last_at - 16")
      assert.equal(429, login(unpack(ANNA)).status)
    end)

    it("they are forgotten after a day", function()
      fail(1, ANNA[1])
      assert(tide.sql.exec("INSERT INTO login_failure (subject, failures, last_at) VALUES ('account:old', 9, ?)", tide.now() - 86500))
      app:tick()
      local left = assert(tide.sql.query "SELECT subject FROM login_failure ORDER BY subject")
      assert.same({ { subject = "account:" .. ANNA[1] }, { subject = "address:127.0.0.1" } }, left)
    end)
  end)

  describe("POST /validate", function()
    it("answers the claims of a token", function()
      local claims = app:post("/validate", { token = token_of(ANNA) }):json()
      assert.same({ ANNA[1], ANNA[1], false, "tidemill", "tidemill", 24 * 3600 },
        { claims.sub, claims.username, claims.admin, claims.iss, claims.aud, claims.exp - claims.iat })
      assert.is_true(app:post("/validate", { token = token_of(GEORGIO) }):json().admin)
    end)

    it("refuses tokens that are not its own, not for it, or over", function()
      local function sign(options, claims)
        return (assert(tide.jwt(options):sign(claims or { username = GEORGIO[1] })))
      end
      local refused = {
        { EXPIRED, "expired" },
        { sign { secret = SECRET .. "!", issuer = "tidemill", audience = "tidemill" }, "signature" },
        { sign { secret = SECRET, issuer = "another", audience = "tidemill" }, "issuer" },
        { sign { secret = SECRET, issuer = "tidemill", audience = "another" }, "audience" },
        { sign({ secret = SECRET, issuer = "tidemill", audience = "tidemill" }, { sub = "nobody" }), "names nobody" },
      }
      for _, case in ipairs(refused) do
        local answer = app:post("/validate", { token = case[1] })
        assert.same({ 401, 'Bearer realm="tidemill", error="invalid_token"' }, { answer.status, answer.headers["www-authenticate"] })
        assert.matches(case[2], answer:json().detail, 1, true)
      end
    end)

    it("takes the tokens of two secrets while one takes the other's place", function()
      local turning = tide.spec.bundle("auth", { settings = { jwt_secret = SECRET:reverse(), jwt_accepted_secret = SECRET } })
      local function status(of, token)
        return of:post("/validate", { token = token }).status
      end
      local before, after = token_of(GEORGIO), turning:post("/login", { user = GEORGIO }).body
      assert.same({ 200, 200, 401 }, { status(turning, before), status(turning, after), status(app, after) })
    end)

    it("tells a missing token (401) from one that is none (400)", function()
      local missing = app:post "/validate"
      assert.same({ 401, 'Bearer realm="tidemill"' }, { missing.status, missing.headers["www-authenticate"] })
      for _, header in ipairs { "Bearer abc", "Bearer a.b.c", "Bearer " .. ("x"):rep(5000) .. ".b.c", "Bearer a b", "Basic abc" } do
        assert.equal(400, app:post("/validate", { headers = { Authorization = header } }).status)
      end
    end)
  end)

  describe("POST /users", function()
    it("lets an admin add somebody, who can log in at once", function()
      local new = { email = "new@email.com", password = "Password1" }
      local answer = app:post("/users", { token = token_of(GEORGIO), json = new })
      assert.same({ 201, { email = "new@email.com", admin = false } }, { answer.status, answer:json() })
      assert.equal(200, login(new.email, new.password).status)
      assert.equal(409, app:post("/users", { token = token_of(GEORGIO), json = new }).status)
    end)

    it("lets nobody else", function()
      local new = { email = "other@email.com", password = "Password1" }
      assert.equal(403, app:post("/users", { token = token_of(ANNA), json = new }).status)
      assert.equal(401, app:post("/users", { json = new }).status)
      assert.same({}, assert(tide.sql.query("SELECT id FROM user WHERE email = ?", new.email)))
    end)

    it("says what is wrong with a user", function()
      local token = token_of(GEORGIO)
      local function problem(options)
        options.token = token
        local answer = app:post("/users", options)
        return answer.status .. " " .. answer:json().detail
      end
      assert.equal("400 email must be an address such as name@example.com", problem { json = { email = "a b", password = "Password1" } })
      assert.equal("400 password must have 8 to 1024 bytes", problem { json = { email = "a@b.c", password = "short" } })
      assert.equal("400 admin must be true or false", problem { json = { email = "a@b.c", password = "Password1", admin = "yes" } })
      assert.matches("^400 the body must be a JSON object", problem { body = "7" })
      assert.matches("^400 the body is no JSON", problem { body = "{" })
    end)
  end)

  describe("on the command line", function()
    local function call(name, ...)
      local result, err = app:call("users", name, ...)
      return result or err.code .. ": " .. err.message
    end

    it("users add, list", function()
      assert.same({ email = "z@email.com", admin = true }, call("add", { email = "z@email.com", password = "Password1", admin = true }))
      local list = call "list"
      assert.same({ email = "z@email.com", admin = true }, list[#list])
      assert.equal("exists: this user exists", call("add", { email = "z@email.com", password = "Password1" }))
      assert.matches("^invalid: password must", call("add", { email = "y@email.com", password = "short" }))
    end)

    it("users passwd replaces the password", function()
      call("add", { email = "p@email.com", password = "Password1" })
      assert.is_true(call("passwd", { email = "p@email.com", password = "Password2" }))
      assert.same({ 401, 200 }, { login("p@email.com", "Password1").status, login("p@email.com", "Password2").status })
      assert.equal("not_found: there is no user q@email.com", call("passwd", { email = "q@email.com", password = "Password1" }))
    end)

    it("users remove takes a user and their role away", function()
      assert.is_true(call("role", { email = ANNA[1], admin = true }))
      assert.is_true(call("remove", { email = ANNA[1] }))
      assert.equal(401, app:post("/login", { user = ANNA }).status)
      assert.equal("not_found: there is no user " .. ANNA[1], call("remove", { email = ANNA[1] }))
      assert.same({ email = ANNA[1], admin = false }, call("add", { email = ANNA[1], password = ANNA[2] }))
    end)

    it("users role makes an admin and takes it back, for the next token", function()
      local function is_admin()
        return app:post("/validate", { token = token_of(ANNA) }):json().admin
      end
      assert.is_true(call("role", { email = ANNA[1], admin = true }))
      assert.is_true(call("role", { email = ANNA[1], admin = true }))
      assert.is_true(is_admin())
      assert.is_true(call("role", { email = ANNA[1], admin = false }))
      assert.is_false(is_admin())
      assert.equal("not_found: there is no user q@email.com", call("role", { email = "q@email.com", admin = true }))
    end)
  end)
end)
