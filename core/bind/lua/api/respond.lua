local STATUS = { name = "status", type = "integer", min = 200, max = 599, doc = "200 to 599" }
local HEADERS = { name = "headers", type = "headers", optional = true, doc = "at most 32 of together 8 KiB; a list sends a header several times" }
local TYPES = "Its media type follows from the extension of the file's name: .txt .html .css .js .csv .json .xml .pdf .zip .png .jpg .jpeg " ..
  ".gif .webp .svg .mp3 .m4a .wav .ogg .flac .mp4 .webm .mkv .mov; of any other it is application/octet-stream."
local ANSWER = { { name = "answer", type = "tide.Answer" } }

return {
  title = "Answers",
  text = "What a handler returns. Each of these makes an answer; returning it sends it.",
  {
    name = "tide.respond.json",
    doc = "An answer with a value as JSON.",
    params = { STATUS, { name = "value", type = "any", doc = "to be written as JSON" }, HEADERS },
    returns = ANSWER,
    throws = "when the value can't be written as JSON (a function, NaN, a cycle)",
    example = [[return tide.respond.json(202, { job = video.id }, { Location = "/jobs/" .. video.id })]],
  },
  {
    name = "tide.respond.text",
    doc = "An answer of plain text in UTF-8.",
    params = { STATUS, { name = "text", type = "string" }, HEADERS },
    returns = ANSWER,
  },
  {
    name = "tide.respond.html",
    doc = "An answer of HTML in UTF-8. `tide.template` escapes what goes into it.",
    params = { STATUS, { name = "html", type = "string" }, HEADERS },
    returns = ANSWER,
  },
  {
    name = "tide.respond.empty",
    doc = "An answer without a body.",
    params = { STATUS, HEADERS },
    returns = ANSWER,
  },
  {
    name = "tide.respond.problem",
    doc = "An error as application/problem+json (RFC 9457).",
    params = {
      STATUS,
      { name = "detail", type = "string", doc = "what went wrong and what would be right, for the client" },
      { name = "members", type = "table", optional = true, lua = "table<string, any>", doc = "added to the problem" },
      HEADERS,
    },
    returns = ANSWER,
    throws = "when a member can't be written as JSON",
    example = [[return tide.respond.problem(404, "there is no such job")]],
  },
  {
    name = "tide.respond.blob",
    doc = "An answer with the bytes of an open file: with its length, an ETag, and ranges when the client asks for them. " ..
      TYPES,
    params = {
      { name = "file", type = "tide.File", expected = "an open file, bucket:open(id)" },
      { name = "options", optional = true, fields = {
        { name = "attachment", type = "boolean", default = false, doc = "to be saved under the file's name" },
        { name = "type", type = "string", optional = true, doc = "media type; by default that of the name's extension" },
      } },
    },
    returns = { { name = "answer", type = "tide.FileAnswer" } },
  },
  {
    name = "tide.respond.file",
    doc = "An answer with a file of the bundle. Its media type follows from its name, as for `tide.respond.blob`.",
    params = { { name = "name", type = "string", doc = 'a file of the bundle: `"openapi.json"`' }, HEADERS },
    returns = ANSWER,
    throws = "when there is no such file",
  },
  {
    name = "tide.Answer",
    doc = "An answer. A handler may also write such a table itself: with a status, and with headers, a body, both or nothing else. A table "
      .. "with a status and other things is a value, and sent as JSON.",
    plain = true,
    fields = {
      { name = "status", type = "integer", doc = "200 to 599" },
      { name = "headers", type = "headers", optional = true },
      { name = "body", type = "string", optional = true },
    },
  },
  {
    name = "tide.FileAnswer",
    doc = "An answer with a file. Its status is found when it is sent: 200, 206, 304 or 416.",
    plain = true,
    fields = {
      { name = "file", type = "tide.File" },
      { name = "attachment", type = "boolean" },
      { name = "type", type = "string", optional = true },
    },
  },
}
