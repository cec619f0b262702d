-- Answers: tables { status, headers, body } with a way to send them.
local native, load = ...

local api, json, read = load "api", load "json", load "bundle_file"
local cjson = native.cjson
local respond = {}

local JSON = { ["Content-Type"] = "application/json" }

local function merge(headers, name, value)
  local merged = { [name] = value }
  for key, v in pairs(headers or {}) do
    if key:lower() == name:lower() then
      merged[name] = nil
    end
    merged[key] = v
  end
  return merged
end

function respond.json(status, value, headers)
  local body = json.write("tide.respond.json", value)
  return { status = status, headers = headers and merge(headers, "Content-Type", "application/json") or JSON, body = body }
end

function respond.text(status, text, headers)
  return { status = status, headers = merge(headers, "Content-Type", "text/plain; charset=utf-8"), body = text }
end

function respond.html(status, text, headers)
  return { status = status, headers = merge(headers, "Content-Type", "text/html; charset=utf-8"), body = text }
end

function respond.empty(status, headers)
  return { status = status, headers = headers, body = "" }
end

local function add_member(parts, name, value)
  parts[#parts + 1] = cjson.encode(name) .. ":" .. json.write("tide.respond.problem", value)
end

-- application/problem+json (RFC 9457). `members` are added to it. The order is fixed, so that equal problems are equal bytes.
function respond.problem(status, detail, members, headers)
  local parts, names = { '"type":"about:blank"' }, {}
  add_member(parts, "title", native.status_title(status))
  add_member(parts, "status", status)
  add_member(parts, "detail", detail)
  for name in pairs(members or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    add_member(parts, name, members[name])
  end
  return { status = status, headers = merge(headers, "Content-Type", "application/problem+json"),
    body = "{" .. table.concat(parts, ",") .. "}" }
end

-- A file name for Content-Disposition: ASCII in quotes, and the whole in UTF-8 (RFC 6266).
local function disposition(name)
  local plain = name:gsub('[%c"\\/]', "_"):gsub("[\128-\255]+", "_")
  local encoded = name:gsub("[^%w._-]", function(c) return ("%%%02X"):format(c:byte()) end)
  return ("attachment; filename=\"%s\"; filename*=UTF-8''%s"):format(plain, encoded)
end

function respond.blob(file, options)
  return { file = file, attachment = options.attachment, type = options.type }
end

local types = {
  txt = "text/plain; charset=utf-8", html = "text/html; charset=utf-8", css = "text/css; charset=utf-8",
  js = "text/javascript; charset=utf-8", csv = "text/csv; charset=utf-8", json = "application/json", xml = "application/xml",
  pdf = "application/pdf", zip = "application/zip",
  png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif", webp = "image/webp", svg = "image/svg+xml",
  mp3 = "audio/mpeg", m4a = "audio/mp4", wav = "audio/wav", ogg = "audio/ogg", flac = "audio/flac",
  mp4 = "video/mp4", webm = "video/webm", mkv = "video/x-matroska", mov = "video/quicktime",
}

local function type_of(name)
  return types[(name:match("%.(%w+)$") or ""):lower()] or "application/octet-stream"
end

function respond.file(name, headers)
  local content = read("tide.respond.file", name)
  return { status = 200, headers = merge(headers, "Content-Type", type_of(name)), body = content }
end

local function send_file(handle, answer)
  local file = answer.file
  local headers = {
    ["Content-Type"] = answer.type or type_of(file.name),
    ["Accept-Ranges"] = "bytes",
    ETag = '"' .. file.id .. '"',
    ["Content-Disposition"] = answer.attachment and disposition(file.name) or nil,
  }
  local status, first, length, total = native.range(handle, headers.ETag, file.native)
  if status == 206 then
    headers["Content-Range"] = ("bytes %.0f-%.0f/%.0f"):format(first, first + length - 1, total)
  elseif status == 416 then
    local problem = respond.problem(416, ("the file has %.0f bytes"):format(total), nil,
      { ["Content-Range"] = ("bytes */%.0f"):format(total) })
    return native.respond(handle, 416, problem.headers, problem.body)
  elseif status == 304 then
    return native.respond(handle, 304, headers, "")
  end
  return native.respond_blob(handle, status, headers, file.native, first, length)
end

-- Whether a table is an answer and not a value to be sent as JSON, which may have a status of its own.
local function is_answer(value)
  return type(rawget(value, "status")) == "number"
    and (value.body ~= nil or value.headers ~= nil or next(value, next(value)) == nil)
end

-- What a handler has returned.
local function send(handle, answer)
  if type(answer) == "string" then
    return native.respond(handle, 200, { ["Content-Type"] = "text/plain; charset=utf-8" }, answer)
  elseif type(answer) ~= "table" then
    error(("the handler returned %s; it must return an answer: tide.respond.json(200, {...}), a table or a string"):format(
      answer == nil and "nothing" or "a " .. type(answer)), 0)
  elseif rawget(answer, "file") then
    return send_file(handle, answer)
  elseif is_answer(answer) then
    return native.respond(handle, answer.status, answer.headers, answer.body)
  end
  answer = respond.json(200, answer)
  return native.respond(handle, 200, answer.headers, answer.body)
end

-- A file whose name is written out.
local function examine_file(arguments)
  if arguments[1] and arguments[1].value then
    read("tide.respond.file", arguments[1].value)
  end
end

api.define("respond", { ["tide.respond"] = respond }, { ["tide.respond.file"] = examine_file })

return { send = send, problem = respond.problem }
