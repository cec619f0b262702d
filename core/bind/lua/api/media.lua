local FILE = { name = "file", type = "tide.File", expected = "an open file, bucket:open(id)", doc = "the input" }

return {
  title = "Media",
  text = "Media is parsed by a short-lived process for each job, which has no network, no files and limits of its own.",
  {
    name = "tide.media.transcode",
    doc = "Writes the sound of a video or sound file as an MP3. The new file is not committed by this; a failure drops it.",
    waits = true,
    params = {
      FILE,
      { name = "new_file", type = "tide.NewFile", expected = "a new file, bucket:create{...}", doc = "the output" },
      { name = "options", optional = true, fields = {
        { name = "format", type = "string", default = "mp3", choices = { "mp3" }, doc = "of the output" },
        { name = "quality", type = "quality", default = "V2", doc = "`V0` (best) to `V9`, or a constant bit rate: `64k` to `320k`" },
        { name = "gain", type = "number", default = 0, min = -60, max = 30, doc = "turns the sound up or down, in dB" },
        { name = "title", type = "string", optional = true, doc = "in the MP3's ID3 tag" },
        { name = "channels", type = "integer", optional = true, min = 1, max = 2, doc = "by default the input's, at most 2" },
        { name = "sample_rate", type = "integer", optional = true, choices = { 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000 },
          doc = "in Hz; by default nearest to the input's" },
        { name = "max_duration", type = "duration", optional = true, doc = "of the sound; by default 12 h" },
        { name = "max_output", type = "size", optional = true, doc = "by default 2 GiB" },
        { name = "max_memory", type = "size", optional = true, doc = "of the process; by default 1 GiB" },
        { name = "timeout", type = "duration", optional = true, doc = "by default 25 min" },
        { name = "on_progress", type = "function", optional = true, lua = "fun(percent: integer)",
          doc = "called with the percent, at most 10 times a second; may wait" },
      } },
    },
    returns = { { name = "result", type = "tide.MediaResult" } },
    fails = {
      { "unsupported", "no media file, or a format that is not taken" },
      { "no_audio", "a media file without sound" },
      { "corrupt", "damaged or cut off" },
      { "too_long", "over `max_duration`" },
      { "limit", "over `max_output`, `max_memory` or the CPU time" },
      { "invalid", "an option's value, as a title of over 1 KiB" },
      { "timeout", "over `timeout`; retryable" },
      { "crashed", "the process died; retryable once" },
      { "unavailable", "no process could be started; retryable" },
    },
    example = [[
local mp3 = assert(mp3s:create { name = video.stem .. ".mp3", owner = video.owner })
assert(tide.media.transcode(video, mp3, { quality = "192k", max_duration = "2h" }))
assert(mp3:commit())]],
  },
  {
    name = "tide.media.decode",
    doc = "Hands the sound of a video or sound file to an object of a plugin in C: 48000 Hz, two channels.",
    waits = true,
    params = {
      FILE,
      { name = "taker", type = "userdata", doc = "of a plugin's native function, that takes sound" },
      { name = "options", optional = true, fields = {
        { name = "max_duration", type = "duration", optional = true, doc = "of the sound; by default 12 h" },
        { name = "max_memory", type = "size", optional = true, doc = "of the process; by default 1 GiB" },
        { name = "timeout", type = "duration", optional = true, doc = "by default 25 min" },
        { name = "on_progress", type = "function", optional = true, lua = "fun(percent: integer)", doc = "as of `tide.media.transcode`" },
      } },
    },
    returns = { { name = "result", type = "tide.MediaResult" } },
    fails = {
      { "unsupported", "no media file, or a format that is not taken" }, { "no_audio", "a media file without sound" },
      { "corrupt", "damaged or cut off" }, { "too_long", "over `max_duration`" }, { "limit", "over `max_memory` or the CPU time" },
      { "timeout", "over `timeout`; retryable" }, { "crashed", "the process died; retryable once" }, { "unavailable", "retryable" },
      { "internal", "the plugin has refused the sound" },
    },
  },
  {
    name = "tide.media.probe",
    doc = "Looks what a media file is, without writing anything.",
    waits = true,
    params = { FILE },
    returns = { { name = "result", type = "tide.MediaResult" } },
    fails = {
      { "unsupported", "no media file, or a format that is not taken" }, { "no_audio", "a media file without sound" },
      { "corrupt", "damaged or cut off" }, { "timeout", "retryable" }, { "unavailable", "retryable" },
    },
  },
  {
    name = "tide.MediaResult",
    doc = "What a media job has found and done.",
    plain = true,
    fields = {
      { name = "duration", type = "number", doc = "seconds; of `probe` as the file declares it, 0 when it doesn't" },
      { name = "container", type = "string", doc = 'of the input: `"mov"`, `"matroska"`, `"mp3"`, ...' },
      { name = "codec", type = "string", doc = 'of the input\'s sound: `"aac"`, `"opus"`, ...' },
      { name = "sample_rate", type = "integer", doc = "of the output, in Hz" },
      { name = "channels", type = "integer", doc = "of the output" },
      { name = "bytes", type = "integer", doc = "written" },
      { name = "cpu_ms", type = "integer", doc = "CPU time of the process" },
      { name = "peak_memory", type = "integer", doc = "of the process, in bytes" },
    },
  },
}
