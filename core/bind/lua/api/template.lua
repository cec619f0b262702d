return {
  title = "Templates",
  {
    name = "tide.template",
    doc = "The text of a file of the bundle with `{{ name }}` replaced by variables; in `.html` files they are escaped. " ..
      "Where the name and a table of variables are written out in the call, `tidemill check` and a reload tell what is missing.",
    params = {
      { name = "name", type = "string", doc = 'a file of the bundle: `"ready.html"`' },
      { name = "variables", type = "table", optional = true, lua = "table<string, any>", doc = "each is written with `tostring`" },
    },
    returns = { { name = "text", type = "string" } },
    throws = "when there is no such file, when a `{{` in it begins no variable, or when it uses a variable that is not given",
  },
}
