-- The manifest of the plugin loudness.
local MEASURE_FAILS = {
  { "unsupported", "no media file, or a format that is not taken" }, { "no_audio", "a media file without sound" },
  { "corrupt", "damaged or cut off" }, { "too_long", "over `max_duration`" }, { "silent", "nothing is above -70 LUFS" },
  { "timeout", "retryable" }, { "crashed", "the process died; retryable once" }, { "unavailable", "retryable" },
}

return {
  title = "Loudness (plugin)",
  text = [[
Loudness by EBU R128, of the sound as an MP3 of it has it: at most two channels. With the setting `plugins = { "loudness" }`, a bundle
gets it by `local loudness = require "loudness"`. The file is decoded in a process of its own, as for `tide.media.transcode`.]],
  native = true,
  {
    name = "loudness.measure",
    doc = "How loud a media file is.",
    waits = true,
    params = {
      { name = "file", type = "tide.File", expected = "an open file, bucket:open(id)" },
      { name = "options", optional = true, fields = {
        { name = "max_duration", type = "duration", optional = true, as_given = true, doc = "of the sound; by default 12 h" },
        { name = "timeout", type = "duration", optional = true, as_given = true, doc = "by default 25 min" },
        { name = "on_progress", type = "function", optional = true, lua = "fun(percent: integer)", doc = "as of `tide.media.transcode`" },
      } },
    },
    returns = { { name = "loudness", type = "loudness.Measure" } },
    fails = MEASURE_FAILS,
    example = [[
local measured = assert(loudness.measure(video))
tide.log.info("measured", { lufs = measured.integrated })]],
  },
  {
    name = "loudness.gain",
    doc = "By how much sound has to be turned up or down to be as loud as `target`, its true peaks still below `peak`.",
    params = {
      { name = "measured", type = "table", lua = "loudness.Measure", doc = "what `loudness.measure` has returned" },
      { name = "target", type = "number", default = -16, min = -70, max = 0, doc = "in LUFS" },
      { name = "peak", type = "number", default = -1, min = -20, max = 0, doc = "in dBTP" },
    },
    returns = { { name = "gain", type = "number", doc = "in dB" } },
  },
  {
    name = "loudness.Measure",
    doc = "How loud a file is.",
    plain = true,
    fields = {
      { name = "integrated", type = "number", doc = "loudness of the whole, in LUFS" },
      { name = "range", type = "number", doc = "between its quiet and its loud parts, in LU" },
      { name = "true_peak", type = "number", doc = "the highest, in dBTP" },
    },
  },
}
