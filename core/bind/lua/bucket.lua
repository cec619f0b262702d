-- Buckets of files with metadata.
local native, load = ...

local api, check, json, report = load "api", load "check", load "json", load "report"
local cjson = native.cjson
local Failure = load "failure"

local Bucket, File, FileInfo, NewFile = {}, {}, {}, {}

local function understood(info, bucket)
  info.metadata = cjson.decode(info.metadata) or {}
  info.owner = info.metadata.owner
  info.stem = info.name:gsub("%.[^.]*$", "")
  info.bucket = bucket
  return info
end

local function bucket(name)
  native.declare_bucket(name, report.caller(2))
  return setmetatable({ name = name }, Bucket)
end

-- A new file, seen by nobody before its commit, dropped when its handler ends without.
function Bucket:create(options)
  local handle, id = native.blob_create(self.name, options.id)
  if not handle then
    return nil, id
  end
  local metadata = {}
  for key, value in pairs(options.metadata or {}) do
    metadata[key] = value
  end
  metadata.owner = options.owner or metadata.owner
  return setmetatable({ native = handle, id = id, name = options.name, metadata = metadata, bucket = self }, NewFile)
end

function NewFile:commit(options)
  for key, value in pairs(options.metadata or {}) do
    self.metadata[key] = value
  end
  local metadata = json.write("tide.NewFile:commit", self.metadata)
  self.length = native.blob_length(self.native)
  return native.blob_commit(self.native, options.name or self.name or self.id, metadata)
end

function NewFile:drop()
  native.blob_close(self.native)
end

local function not_found()
  return nil, setmetatable({ code = "not_found", message = "there is no such file", retryable = false }, Failure)
end

function Bucket:open(id, options)
  if not check.types.id(id) then
    return not_found()
  end
  local handle, info = native.blob_open(self.name, id)
  if not handle and info.code == "not_found" then -- the same words as for another owner's file
    return not_found()
  elseif not handle then
    return nil, info
  end
  info = understood(info, self)
  if options.owner and info.owner ~= options.owner then
    native.blob_close(handle)
    return not_found()
  end
  info.native = handle
  return setmetatable(info, File)
end

function File:close()
  native.blob_close(self.native)
end

function Bucket:find(options)
  local stored_before = options.older_than and native.now_ms() - options.older_than
  local list, err = native.blob_find(self.name, options.where, options.before, stored_before, options.limit)
  if not list then
    return nil, err
  end
  for i, info in ipairs(list) do
    list[i] = setmetatable(understood(info, self), FileInfo)
  end
  return list
end

function Bucket:annotate(id, patch, where)
  return native.blob_annotate(self.name, id, where, json.write("tide.Bucket:annotate", patch))
end

local function annotate(self, patch, where)
  return self.bucket:annotate(self.id, patch, where)
end
File.annotate, FileInfo.annotate = annotate, annotate

function Bucket:remove(id)
  return native.blob_remove(self.name, id)
end

-- A form's only part must have nothing behind it.
local function copy(source, file, options)
  local bytes, err = native.copy(source.native, file.native, options.limit or -1)
  local request = rawget(source, "request")
  if not bytes or not request then
    return bytes, err
  end
  local extra, why = request:next_part()
  if extra or why then
    return nil, why or setmetatable({ code = "bad_request", retryable = false,
      message = ("the form has more than the field '%s'"):format(source.name) }, Failure)
  end
  return bytes
end

api.define("bucket", {
  tide = { bucket = bucket, copy = copy },
  ["tide.Bucket"] = Bucket, ["tide.File"] = File, ["tide.FileInfo"] = FileInfo, ["tide.NewFile"] = NewFile,
})
