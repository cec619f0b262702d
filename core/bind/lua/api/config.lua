local SETTING = {
  { name = 1, label = "the type", type = "string",
    choices = { "string", "integer", "number", "boolean", "duration", "size", "rate", "quality", "id", "table", "secret" }, doc = "its type" },
  { name = "default", type = "any", optional = true, doc = "without it the setting must be given" },
  { name = "optional", type = "boolean", default = false, doc = "it may be missing: nil" },
  { name = "doc", type = "string", optional = true, doc = "what it is for" },
  { name = "generate", type = "boolean", default = false, doc = "secret: made up when it is missing, and kept with the engine's data" },
  { name = "min", type = "integer", default = 32, min = 1, doc = "secret: bytes, at least" },
}

return {
  title = "Settings of a bundle",
  text = [[
Values come, the later ones first, from the table `bundles.NAME` of the settings file, from `TIDEMILL_NAME_SETTING` and, in a file, from
`TIDEMILL_NAME_SETTING_FILE`. `tidemill check` tells what is missing.]],
  {
    name = "tide.config",
    doc = "Declares the bundle's settings and gives their values.",
    declares = true,
    params = { { name = "declarations", type = "table", each = SETTING, lua = "table<string, tide.Setting>", doc = "by name" } },
    returns = { { name = "values", type = "table", lua = "table<string, any>",
      doc = "durations, sizes and rates in words, as `tide` takes them; one that is not declared is an error to read" } },
    throws = "when a value is missing or of another type, and when the settings have a name that is not declared",
    example = [[
local config = tide.config {
  max_order = { "integer", default = 100, doc = "items in one order" },
  api_key = { "secret", min = 16, doc = "of the payment service" },
}]],
  },
  { name = "tide.Setting", doc = "The declaration of a setting.", plain = true, fields = SETTING },
}
