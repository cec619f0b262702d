-- A handler that publishes, and a consumer that does nothing else. Its peers: spec/bench/peers/amqp_peer.c, pika_peer.py.
local out = tide.queue("bench-out", { number = "integer", text = "string" })
local incoming = tide.queue("bench-in", { number = "integer", text = "string" })

tide.route("POST /publish/{count}", { params = { count = "integer" } }, function(req)
  for _ = 1, req.params.count do
    local ok, err = out:publish { number = 1234567, text = "a message as the bundles send them, of a hundred bytes" }
    if not ok then return nil, err end
  end
  return tide.respond.json(202, {})
end)

incoming:consume({ concurrency = 50 }, function() end)
