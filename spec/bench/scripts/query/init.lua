-- The query of a login, as often as it is asked for.
tide.route("GET /query/{count}", function(req)
  local rows
  for _ = 1, tonumber(req.params.count) do
    rows = assert(tide.sql.query("SELECT email, password FROM user WHERE email = ?", "georgio@email.com"))
  end
  return tide.respond.json(200, rows[1])
end)
