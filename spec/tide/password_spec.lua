-- tide.password: Argon2id hashes.
describe("tide.password", function()
  local password, together = tide.password, tide.spec.together

  it("hashes with OWASP's parameters and a salt of its own, and knows the password again", function()
    local first, second = together(function() return assert(password.hash "secret\0ö") end, function() return assert(password.hash "secret\0ö") end)
    assert.matches("^%$argon2id%$v=19%$m=19456,t=2,p=1%$", first)
    assert.is_true(#first < 128)
    assert.not_equal(first, second)
    assert.same({ "right", "wrong", "wrong", "wrong" }, { password.verify(first, "secret\0ö"), password.verify(first, "secret"),
      password.verify(first, ""), password.verify(second:sub(1, -2), "secret\0ö") })
  end)

  it("wants a legacy plain text and a weaker hash to be replaced", function()
    local weak = "$argon2id$v=19$m=8192,t=1,p=1$0UtCspSPKHhDK9uOMQVwaw$U9k0CY85ytTy+mzMM2Pz5NhTlEkdi1E7OzHOF0lyOsE"
    assert.equal("rehash", password.verify(weak, "Admin123"))
    assert.equal("wrong", password.verify(weak, "Admin124"))
    assert.equal("rehash", password.verify("Admin123", "Admin123"))
    assert.equal("wrong", password.verify("Admin123", "Admin12"))
    assert.equal("wrong", password.verify("Admin123", "Admin1234"))
  end)

  it("takes no stored hash for a password, nor nothing", function()
    local hash = assert(password.hash "secret")
    for _, case in ipairs { { hash, hash }, { "", "" }, { nil, "" }, { nil, "secret" }, { "$argon2id$broken", "$argon2id$broken" },
      { "Admin\0123", "Admin" } } do
      assert.not_equal("right", password.verify(case[1], case[2]))
      assert.not_equal("rehash", password.verify(case[1], case[2]))
    end
  end)

  it("takes 1024 bytes at most", function()
    local long = ("x"):rep(1024)
    assert.equal("right", password.verify(assert(password.hash(long)), long))
    local hash, err = password.hash(long .. "x")
    assert.same({ nil, "invalid", false }, { hash, err.code, err.retryable })
    assert.equal("wrong", password.verify(long .. "x", long .. "x"))
  end)

  local function mistake(f)
    local ok, message = pcall(f)
    return not ok and message
  end

  it("tells the mistakes of the script by file and line", function()
    local at = "^spec/tide/password_spec.lua:%d+: "
    assert.matches(at .. "tide.password.hash: 'password' is missing", mistake(function() password.hash() end))
    assert.matches(at .. "tide.password.hash: 'password' must be a string, not 123", mistake(function() password.hash(123) end))
    assert.matches(at .. "tide.password.verify: 'stored' must be a string, not a table", mistake(function() password.verify({}, "x") end))
  end)

  it("keeps what it works on, whatever is collected meanwhile", function()
    local function roundtrip(i)
      return function()
        local hash = assert(password.hash(("secret "):rep(100) .. i))
        collectgarbage()
        return password.verify(hash, ("secret "):rep(100) .. i)
      end
    end
    assert.same({ "right", "right", "right" }, { together(roundtrip(1), roundtrip(2), roundtrip(3)) })
  end)

  it("goes on for others when a client has gone away", function()
    local app = tide.spec.bundle("vault", { source = [[
      tide.route("GET /hash", function()
        for _ = 1, 1000 do
          assert(tide.password.hash "secret")
        end
        tide.log.info("all hashed")
        return "hashed"
      end)
      tide.route("GET /one", function() return (assert(tide.password.hash "secret")) end)
    ]] })
    local answer, err = app:request { path = "/hash", timeout = "100ms" }
    assert.same({ nil, "timeout" }, { answer, err.code })
    assert.equal(200, app:get("/one").status)
    app:close()
    assert.same({}, tide.spec.logged "all hashed")
  end)
end)
