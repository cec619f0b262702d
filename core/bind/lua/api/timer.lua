return {
  title = "Timers",
  {
    name = "tide.every",
    doc = "Declares what is done again and again. It runs in one worker of the engine, never twice at a time.",
    declares = true,
    params = {
      { name = "interval", type = "duration", min = 1, as_given = true, expected = 'a duration of at least "1ms"',
        doc = 'from start to start, as `"10s"` or `"1h"`' },
      { name = "options", optional = true, fields = {
        { name = "timeout", type = "duration", default = "5m", doc = "for one run" },
        { name = "cpu", type = "duration", optional = true, min = 1,
          doc = "CPU time between two waits of the handler; over it the run ends. Without it the setting `limits.script_cpu`" },
      } },
      { name = "handler", type = "function", lua = "fun()", doc = "what it raises is logged, and the next run comes all the same" },
    },
    example = [[
tide.every("1h", function()
  assert(tide.sql.exec("DELETE FROM session WHERE expires < ?", tide.now()))
end)]],
  },
}
