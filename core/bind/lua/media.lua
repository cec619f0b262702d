-- Media jobs, each in a sandboxed child process.
local native, load = ...

local media = {}

function media.transcode(file, new_file, options)
  return native.media_run(file.native, new_file.native, options, options.on_progress)
end

function media.probe(file)
  return native.media_run(file.native, nil, { format = "mp3" })
end

load("api").define("media", { ["tide.media"] = media })
