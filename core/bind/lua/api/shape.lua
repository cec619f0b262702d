-- The fields of a parameter's shape that is more than the name of a type.
return {
  { name = 1, label = "the type", type = "string", doc = "`string`, `id`, `integer`, `number` or `boolean`, with `?` when it may be missing" },
  { name = "min", type = "number", optional = true, doc = "of an `integer` or `number`" },
  { name = "max", type = "number", optional = true, doc = "of an `integer` or `number`" },
  { name = "default", type = "any", optional = true, doc = "when it is missing" },
}
