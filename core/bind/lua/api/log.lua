local function level(name, doc)
  return {
    name = "tide.log." .. name,
    doc = doc,
    params = {
      { name = "event", type = "string", doc = "what happened, the same words each time" },
      { name = "fields", type = "table", optional = true, lua = "table<string, any>", doc = "what it happened to" },
    },
  }
end

return {
  title = "Log",
  text = [[
One line of JSON (or, on a terminal, for people) with time, bundle, handler and the fields given. Of an event over 64 KiB
the fields are left out, and told by their size. Of what a handler logs without a wait the first MiB is kept.]],
  level("debug", "A detail; dropped unless the setting `log.level` is `debug`."),
  level("info", "Something happened as it should."),
  level("warn", "Something went wrong and was mended."),
  level("error", "Something is wrong that somebody has to look at."),
}
