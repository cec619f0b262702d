-- The sections of the API: a module, its description beside this file, and what it adds to `tide`. A bundle loads those that it
-- uses; the reference has them in this order.
return {
  { module = "route", "route", "proxies" },
  { module = "respond", "respond" },
  { module = "queue", "queue", "retry", "reject" },
  { module = "timer", "every" },
  { module = "bucket", "bucket", "copy" },
  { module = "media", "media" },
  { module = "sql", "sql" },
  { module = "http", "http", "upstream" },
  { module = "jwt", "jwt" },
  { module = "password", "password" },
  { module = "crypto", "crypto" },
  { module = "mail", "mail" },
  { module = "template", "template" },
  { module = "config", "config" },
  { module = "log", "log" },
  { module = "metrics", "metrics" },
  { module = "json", "json" },
  { module = "basics", "sleep", "now", "id", "failure" },
  { module = "spec" }, -- for specs alone: they get it from their runner
}
