-- scripts/NAME/init.lua: what this file declares when it is loaded is what the bundle serves.
local respond = tide.respond

local greetings = tide.queue("NAME.greetings", { name = "string" })

tide.route("GET /hello/{name}", function(req)
  return { hello = req.params.name }                             -- a table is answered as JSON
end)

tide.route("POST /greetings/{name}", function(req)
  assert(greetings:publish{ name = req.params.name })            -- safe before we answer
  return respond.json(202, { queued = req.params.name })
end)

greetings:consume({ attempts = 3 }, function(job)
  tide.log.info("greeted", { name = job.name })                  -- returning is the acknowledgement
end)
