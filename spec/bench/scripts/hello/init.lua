-- The smallest service: what its peers in spec/bench/peers do too.
tide.route("GET /hello/{name}", function(req)
  return tide.respond.json(200, { hello = req.params.name, items = { 1, 2, 3 }, ok = true })
end)
