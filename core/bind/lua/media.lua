-- Media jobs, each in a sandboxed child process.
local native, load = ...

local check, report, api = load "check", load "report", load "api.core"
local media = {}

-- { duration, bytes, ... }, or nil and the failure: no_audio, corrupt, unsupported, too_long, limit, crashed, timeout.
function media.transcode(file, new_file, options)
  local o = check.options("tide.media.transcode", api.transcode, options)
  if type(file) ~= "table" or type(file.native) ~= "userdata" or type(new_file) ~= "table" then
    report.misuse("tide.media.transcode: wants an open file and a new file: transcode(bucket:open(id), bucket:create{...}, {...})")
  end
  return native.media_run(file.native, new_file.native, o, o.on_progress)
end

-- What a file is: { duration, container, codec, ... }.
function media.probe(file)
  if type(file) ~= "table" or type(file.native) ~= "userdata" then
    report.misuse("tide.media.probe: wants an open file")
  end
  return native.media_run(file.native, nil, { format = "mp3" })
end

return media
