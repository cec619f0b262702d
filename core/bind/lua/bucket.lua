-- Buckets of files with metadata.
local native, load = ...

local check, report, api = load "check", load "report", load "api.core"
local cjson = native.cjson
local Failure = load "failure"

local bucket = {}
local Bucket, File, NewFile = {}, {}, {}
Bucket.__index, File.__index, NewFile.__index = Bucket, File, NewFile

local function understood(info, self)
  info.metadata = cjson.decode(info.metadata) or {}
  info.owner = info.metadata.owner
  info.stem = info.name:gsub("%.[^.]*$", "")
  info.bucket = self
  return setmetatable(info, File)
end

function bucket.new(name)
  check.value("tide.bucket", { name = "name", type = "string" }, name)
  if not name:match("^[%w_-]+$") or #name > 32 then
    report.misuse(("tide.bucket: '%s' is no name of a bucket: letters, digits, '_', '-', at most 32"):format(name))
  end
  return setmetatable({ name = name }, Bucket)
end

-- A new file, seen by nobody before its commit, dropped when its handler ends without.
function Bucket:create(options)
  local o = check.options("bucket:create", api.create, options)
  local handle, id = native.blob_create(self.name, o.id)
  if not handle then
    return nil, id
  end
  local metadata = {}
  for key, value in pairs(o.metadata or {}) do
    metadata[key] = value
  end
  metadata.owner = o.owner or metadata.owner
  return setmetatable({ native = handle, id = id, name = o.name, metadata = metadata, bucket = self }, NewFile)
end

function NewFile:commit(options)
  local o = check.options("file:commit", api.commit, options)
  for key, value in pairs(o.metadata or {}) do
    self.metadata[key] = value
  end
  self.length = native.blob_length(self.native)
  return native.blob_commit(self.native, o.name or self.name or self.id, cjson.encode(self.metadata))
end

function NewFile:drop()
  native.blob_close(self.native)
end

-- The file, or nil and the failure (code "not_found", also when another owner's).
function Bucket:open(id, options)
  local o = check.options("bucket:open", api.open, options)
  if type(id) ~= "string" or not check.types.id(id) then
    return nil, setmetatable({ code = "not_found", message = "there is no such file", retryable = false }, Failure)
  end
  local handle, info = native.blob_open(self.name, id)
  if not handle then
    return nil, info
  end
  info = understood(info, self)
  if o.owner and info.owner ~= o.owner then
    native.blob_close(handle)
    return nil, setmetatable({ code = "not_found", message = "there is no such file", retryable = false }, Failure)
  end
  info.native = handle
  return info
end

function File:close()
  native.blob_close(self.native)
end

function File:annotate(patch, options)
  return self.bucket:annotate(self.id, patch, options)
end

-- What is known of files, newest first.
function Bucket:find(options)
  local o = check.options("bucket:find", api.find, options)
  local list, err = native.blob_find(self.name, o.where, o.before, o.older_than and native.now_ms() - o.older_than, o.limit)
  if not list then
    return nil, err
  end
  for i, info in ipairs(list) do
    list[i] = understood(info, self)
  end
  return list
end

-- Merges `patch` into the metadata (tide.json.null removes a key). `where`: only when these keys have these values.
function Bucket:annotate(id, patch, where)
  check.value("bucket:annotate", { name = "id", type = "id" }, id)
  check.value("bucket:annotate", { name = "patch", type = "table" }, patch)
  return native.blob_annotate(self.name, id, where, cjson.encode(patch))
end

function Bucket:remove(id)
  check.value("bucket:remove", { name = "id", type = "id" }, id)
  return native.blob_remove(self.name, id)
end

-- Streams a part, a body or an open file into a new file. A form's only part must have nothing behind it.
function bucket.copy(source, sink, options)
  local o = check.options("tide.copy", api.copy, options)
  if type(source) ~= "table" or type(source.native) ~= "userdata" then
    report.misuse("tide.copy: the first argument must be a part, a body or an open file")
  elseif getmetatable(sink) ~= NewFile then
    report.misuse("tide.copy: the second argument must be a new file: bucket:create{...}")
  end
  local bytes, err = native.copy(source.native, sink.native, o.limit or -1)
  if not bytes or not source.request then
    return bytes, err
  end
  local extra, why = source.request:next_part()
  if extra or why then
    return nil, why or setmetatable({ code = "bad_request", retryable = false,
      message = ("the form has more than the field '%s'"):format(source.name) }, Failure)
  end
  return bytes
end

return bucket
