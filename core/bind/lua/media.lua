-- Media jobs, each in a sandboxed child process.
local native, load = ...

local media = {}

function media.transcode(file, new_file, options)
  return native.media_run(file.native, new_file.native, options, options.on_progress)
end

-- As tidemill_plugin.h has it. A bound on what leaves the process: as many bytes as 1000 h have.
local PCM = { format = "pcm", sample_rate = 48000, channels = 2, max_output = 2 ^ 40 }

function media.decode(file, taker, options)
  local all = { max_duration = options.max_duration, max_memory = options.max_memory, timeout = options.timeout }
  for name, value in pairs(PCM) do
    all[name] = value
  end
  return native.media_decode(file.native, taker, all, options.on_progress)
end

function media.probe(file)
  return native.media_run(file.native, nil, { format = "mp3" })
end

load("api").define("media", { ["tide.media"] = media })
