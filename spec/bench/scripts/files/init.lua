-- Takes a file in a form and gives it back.
local files = tide.bucket "files"
local respond = tide.respond

tide.route("POST /files", { limit = { body = "2GiB" } }, function(req)
  local part = assert(req:only_part "file")
  local file = assert(files:create { name = part.filename })
  assert(tide.copy(part, file))
  assert(file:commit())
  return respond.json(201, { id = file.id })
end)

tide.route("POST /files/{id}/copy", function(req)
  local file = assert(files:create { name = "copy" })
  assert(tide.copy(assert(files:open(req.params.id)), file))
  assert(file:commit())
  return respond.json(201, { id = file.id })
end)

tide.route("GET /files/{id}", function(req)
  local file = files:open(req.params.id)
  return file and respond.blob(file) or respond.problem(404, "there is no such file")
end)
