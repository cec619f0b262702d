-- Reads a maildir's messages as a mail program would: headers, text and HTML (RFC 5322, 2045, 2047).
local native = ...
local mailbox = {}

local function unquote(text)
  return (text:gsub("=\r?\n", ""):gsub("=(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Encoded words of a header: =?UTF-8?Q?...?= and =?UTF-8?B?...?=
local function decode_words(value)
  value = value:gsub("%?=%s+=%?", "?==?")
  return (value:gsub("=%?[^?]+%?([QqBb])%?([^?]*)%?=", function(kind, text)
    if kind:lower() == "b" then
      return native.base64_decode(text)
    end
    return unquote((text:gsub("_", " ")))
  end))
end

local function split(message)
  local head, body = message:match "^(.-)\r?\n\r?\n(.*)$"
  local headers = {}
  for name, value in (head or message):gsub("\r?\n[ \t]+", " "):gmatch "([%w-]+): *([^\r\n]*)" do
    headers[name:lower()] = decode_words(value)
  end
  return headers, body or ""
end

local function content(headers, body)
  local encoding = (headers["content-transfer-encoding"] or ""):lower()
  if encoding == "quoted-printable" then
    return unquote(body)
  elseif encoding == "base64" then
    return native.base64_decode((body:gsub("%s", "")))
  end
  return body
end

-- Parts one after the other: a boundary ends one part and begins the next.
local function parts_of(body, boundary)
  local list, mark = {}, "--" .. boundary
  local at = body:find(mark, 1, true)
  while at do
    local from = at + #mark
    if body:sub(from, from + 1) == "--" then
      break
    end
    local next_at = body:find("\r\n" .. mark, from, true)
    list[#list + 1] = body:sub(from + 2, next_at and next_at - 1 or nil)
    at = next_at and next_at + 2
  end
  return list
end

local function parse(raw)
  local headers, body = split(raw)
  local mail = { raw = raw, headers = headers, to = headers.to, from = headers.from, subject = headers.subject,
    id = headers["message-id"] }
  local boundary = (headers["content-type"] or ""):match 'boundary="?([^";]+)"?'
  for _, part in ipairs(boundary and parts_of(body, boundary) or { raw }) do
    local part_headers, part_body = split(part)
    local is_html = (part_headers["content-type"] or ""):find "^text/html"
    mail[is_html and "html" or "text"] = content(part_headers, part_body)
  end
  return mail
end

-- The files of the messages, oldest first and by their names in a list, too.
function mailbox.names(directory)
  local names, pipe = {}, assert(io.popen(("ls -tr '%s/new' 2>/dev/null"):format(directory)))
  for name in pipe:lines() do
    names[#names + 1], names[name] = name, true
  end
  pipe:close()
  return names
end

-- Oldest first, by the time of their files: those sent within a few milliseconds may be in any order. `before`: names to leave out.
function mailbox.read(directory, before)
  local list = {}
  for _, name in ipairs(mailbox.names(directory)) do
    if not before[name] then
      local file = assert(io.open(directory .. "/new/" .. name, "rb"))
      list[#list + 1] = parse(file:read "*a")
      file:close()
    end
  end
  return list
end

return mailbox
