-- tide.crypto: what signed messages need.
describe("tide.crypto", function()
  local crypto = tide.crypto

  it("makes HMAC-SHA256 codes (RFC 4231)", function()
    assert.equal("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", crypto.hmac(("\11"):rep(20), "Hi There"))
    assert.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      crypto.hmac("Jefe", "what do ya want for nothing?"))
    assert.equal("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", -- a key longer than a block
      crypto.hmac(("\170"):rep(131), "Test Using Larger Than Block-Size Key - Hash Key First"))
    local bytes = crypto.hmac("Jefe", "a\0b", "bytes")
    assert.same({ 32, crypto.hmac("Jefe", "a\0b"), crypto.hmac("Jefe", "a\0b", "base64") },
      { #bytes, crypto.encode(bytes, "hex"), crypto.encode(bytes) })
  end)

  it("compares", function()
    assert.is_true(crypto.equal("a\0b", "a\0b"))
    assert.is_true(crypto.equal("", ""))
    assert.is_false(crypto.equal("a\0b", "a\0c"))
    assert.is_false(crypto.equal("ab", "abc"))
  end)

  it("writes and reads base64", function()
    assert.equal("AP8=", crypto.encode "\0\255")
    assert.equal("\0\255", crypto.decode "AP8=")
    local bytes, err = crypto.decode "AP8"
    assert.is_nil(bytes)
    assert.same({ "invalid", false }, { err.code, err.retryable })
  end)

  it("refuses an empty key and an unknown encoding", function()
    assert.has_error(function() crypto.hmac("", "x") end)
    assert.has_error(function() crypto.hmac("k", "x", "base32") end)
  end)
end)
