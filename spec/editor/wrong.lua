-- Mistakes that an editor is to tell, a line each.
local orders = tide.queue("orders", { item = "string" })
local photos = tide.bucket "photos"

tide.route("GET /a", { limt = { rate = "20/s" } }, function() return "a" end) -- wrong
tide.route("GET /b", { limit = { rat = "20/s" } }, function() return "b" end) -- wrong
orders:consume({ atempts = 3 }, function(job) tide.log.info("ordered", job) end) -- wrong
tide.every("1h", { timeout = 5 }, function() tide.log.info "tick" end) -- wrong
tide.rote("GET /c", function() return "c" end) -- wrong

tide.route("GET /d", function(req)
  local file = assert(photos:create { nam = req.params.name }) -- wrong
  assert(file:comit()) -- wrong
  assert(tide.mail.send { id = "1", to = "ann@example.com", subjct = "d", text = "d" }) -- wrong
  return tide.respond.jsn(200, {}) -- wrong
end)

tide.route("GET /e", { limit = { rate = "20/s", body = "8KiB" }, timeout = "5s" }, function(req)
  local file, err = photos:open(req.params.id)
  if not file then
    return tide.respond.problem(404, err.message)
  end
  return tide.respond.blob(file, { attachment = true })
end)
