-- plugins/NAME/plugin.lua: what the plugin is, and the description of its functions, which checks their arguments.
return {
  title = "NAME (plugin)",
  {
    name = "NAME.words",
    doc = "How many words a text has.",
    params = { { name = "text", type = "string" } },
    returns = { { name = "count", type = "integer" } },
  },
}
