return {
  title = "JSON",
  {
    name = "tide.json.encode",
    doc = "A value as JSON. Numbers are written with 14 digits.",
    params = { { name = "value", type = "any" } },
    returns = { { name = "text", type = "string" } },
    fails = { { "invalid", "a function, NaN, a cycle, deeper than 64" } },
  },
  {
    name = "tide.json.decode",
    doc = "The value of a JSON text.",
    params = { { name = "text", type = "string" } },
    returns = { { name = "value", type = "any", doc = "null is `tide.json.null`" } },
    fails = { { "invalid", "no JSON, deeper than 64" } },
  },
  {
    name = "tide.json.array",
    doc = "Marks a list, so that it is `[]` when it is empty: an empty table is written as `{}`.",
    params = { { name = "list", type = "table" } },
    returns = { { name = "list", type = "table" } },
    example = [[return tide.respond.json(200, { jobs = tide.json.array(jobs) })]],
  },
  { name = "tide.json.null", type = "lightuserdata", doc = "JSON's null, where a nil would be nothing at all." },
}
