return {
  title = "Time, ids, failures",
  {
    name = "tide.sleep",
    doc = "Waits.",
    waits = true,
    params = { { name = "duration", type = "duration" } },
    returns = { { name = "ok", type = "boolean", lua = "true" } },
  },
  { name = "tide.now", doc = "The time.", returns = { { name = "seconds", type = "number", doc = "since 1970, with milliseconds" } } },
  { name = "tide.id.new", doc = "A new id: 24 hex digits that begin with the time.", returns = { { name = "id", type = "id" } } },
  {
    name = "tide.id.derive",
    doc = "An id that follows from another: the same for the same arguments.",
    params = { { name = "id", type = "id" }, { name = "purpose", type = "string", doc = "what sets it apart from others of that id" } },
    returns = { { name = "id", type = "id" } },
    example = [[local mp3_id = tide.id.derive(video.id, "mp3") -- done twice, it is the same file]],
  },
  {
    name = "tide.failure",
    doc = "A failure of a script's own, in the form of those of the primitives: `return nil, tide.failure{...}` or `error(tide.failure{...})`.",
    params = { { name = "options", fields = {
      { name = "code", type = "string", doc = "a word for programs; see the statuses of a route" },
      { name = "message", type = "string", doc = "for people: what went wrong, and what would be right" },
      { name = "retryable", type = "boolean", default = false, doc = "the same may succeed later" },
    } } },
    returns = { { name = "failure", type = "tide.Failure" } },
    example = [[return nil, tide.failure { code = "not_found", message = "there is no such order" }]],
  },
  {
    name = "tide.Failure",
    doc = 'What a primitive returns as its second value. `tostring` gives `"code: message"`.',
    plain = true,
    fields = {
      { name = "code", type = "string" },
      { name = "message", type = "string" },
      { name = "retryable", type = "boolean" },
    },
  },
}
