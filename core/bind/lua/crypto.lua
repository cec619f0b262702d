-- Authentication codes, and bytes as text.
local native, load = ...

local crypto = { equal = native.constant_time_equal }

local encodings = { bytes = function(bytes) return bytes end, base64 = native.base64_encode }

function encodings.hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

function crypto.hmac(key, bytes, encoding)
  return encodings[encoding](native.hmac_sha256(key, bytes))
end

function crypto.encode(bytes, encoding)
  return encodings[encoding](bytes)
end

function crypto.decode(text)
  local bytes = native.base64_decode(text)
  if bytes then
    return bytes
  end
  return nil, setmetatable({ code = "invalid", message = "the text is not base64", retryable = false }, load "failure")
end

load("api").define("crypto", { ["tide.crypto"] = crypto })
