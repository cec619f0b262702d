local UNAVAILABLE = { "unavailable", "the store can't be reached" }
local METADATA = { name = "metadata", type = "table", optional = true, doc = "a JSON object of at most 64 KiB" }
local PATCH = { name = "patch", type = "table", doc = "keys and their new values; `tide.json.null` removes a key" }
local WHERE = { name = "where", type = "conditions", optional = true,
  doc = "only when these keys have these strings (`tide.json.null`: when they are not there); at most 4" }
local FILE_FIELDS = {
  { name = "id", type = "id" },
  { name = "name", type = "string" },
  { name = "stem", type = "string", doc = "the name without its extension" },
  { name = "length", type = "integer", doc = "bytes" },
  { name = "uploaded", type = "number", doc = "seconds since 1970" },
  { name = "metadata", type = "table" },
  { name = "owner", type = "string", optional = true, doc = "`metadata.owner`" },
  { name = "bucket", type = "tide.Bucket" },
}
local CHANGED = { { name = "changed", type = "boolean", doc = "false: there is no such file, or it doesn't meet `where`" } }

local function annotate(class)
  return {
    name = class .. ":annotate",
    doc = "As `tide.Bucket:annotate`, of this file.",
    waits = true,
    params = { PATCH, WHERE },
    returns = CHANGED,
    fails = { { "invalid", "over 64 KiB of metadata" }, UNAVAILABLE },
    throws = "when a value can't be written as JSON",
  }
end

return {
  title = "Buckets and streams",
  text = [[
A bucket holds files by their id. A file is written once and seen by nobody before its commit; its metadata can be changed after.
Bytes go from a stream into a file without ever being a Lua string, at the pace of the slower one.

A file that a handler has opened or begun is closed when the handler ends; what was not committed is dropped.]],
  {
    name = "tide.bucket",
    doc = "A bucket. It is made when its first file is.",
    params = {
      { name = "name", type = "string", pattern = "^[%w_-]+$", max = 32,
        expected = "a name of letters, digits, '_' and '-', at most 32 bytes", doc = "letters, digits, `_`, `-`; at most 32 bytes" },
    },
    returns = { { name = "bucket", type = "tide.Bucket" } },
    example = [[local videos = tide.bucket "videos"]],
  },
  { name = "tide.Bucket", doc = "A bucket.", fields = { { name = "name", type = "string" } } },
  {
    name = "tide.Bucket:create",
    doc = "Begins a new file.",
    params = {
      { name = "options", optional = true, fields = {
        { name = "id", type = "id", optional = true, doc = "by default a new one; `tide.id.derive` makes one that follows from another" },
        { name = "name", type = "string", optional = true, doc = "as people see it; at most 1024 bytes; by default the id" },
        { name = "owner", type = "string", optional = true, doc = "kept as `metadata.owner`; `open` can ask for it" },
        METADATA,
      } },
    },
    returns = { { name = "file", type = "tide.NewFile" } },
    fails = { { "unavailable", "no memory" } },
  },
  {
    name = "tide.Bucket:open",
    doc = "Opens a file to read it.",
    waits = true,
    params = {
      { name = "id", type = "any", optional = true, lua = "string?", doc = "what is no id is not found: it may come from a client as it is" },
      { name = "options", optional = true, fields = {
        { name = "owner", type = "string", optional = true, doc = "another owner's file is not found" },
      } },
    },
    returns = { { name = "file", type = "tide.File" } },
    fails = { { "not_found", "there is no such file, or it is another owner's" }, UNAVAILABLE },
  },
  {
    name = "tide.Bucket:find",
    doc = "What is known of files, newest first.",
    waits = true,
    params = {
      { name = "options", optional = true, fields = {
        { name = "where", type = "conditions", optional = true,
          doc = "metadata keys and the strings they must equal (`tide.json.null`: not be there); at most 4; `owner` and `state` are indexed" },
        { name = "before", type = "id", optional = true, doc = "only those behind this file: the next page" },
        { name = "older_than", type = "duration", optional = true, doc = "only those stored longer ago" },
        { name = "limit", type = "integer", default = 100, min = 1, max = 1000, doc = "at most so many" },
      } },
    },
    returns = { { name = "files", type = "table", lua = "tide.FileInfo[]" } },
    fails = { { "not_found", "the file of `before` is gone" }, { "too_large", "over 16 MiB: ask for fewer" }, UNAVAILABLE },
  },
  {
    name = "tide.Bucket:annotate",
    doc = "Merges a table into a file's metadata, at once or not at all.",
    waits = true,
    params = { { name = "id", type = "id" }, PATCH, WHERE },
    returns = CHANGED,
    fails = { { "invalid", "over 64 KiB of metadata" }, UNAVAILABLE },
    throws = "when a value can't be written as JSON",
  },
  {
    name = "tide.Bucket:remove",
    doc = "Removes a file. Who has it open reads it to its end.",
    waits = true,
    params = { { name = "id", type = "id" } },
    returns = { { name = "changed", type = "boolean", doc = "false: there was no such file" } },
    fails = { UNAVAILABLE },
  },
  {
    name = "tide.File",
    doc = "An open file.",
    fields = FILE_FIELDS,
  },
  annotate "tide.File",
  { name = "tide.File:close", doc = "Closes an open file before its handler ends. Once more does nothing." },
  {
    name = "tide.FileInfo",
    doc = "What is known of a file that is not open.",
    fields = FILE_FIELDS,
  },
  annotate "tide.FileInfo",
  {
    name = "tide.NewFile",
    doc = "A file being written.",
    fields = {
      { name = "id", type = "id" },
      { name = "name", type = "string", optional = true },
      { name = "length", type = "integer", optional = true, doc = "bytes, after the commit" },
      { name = "metadata", type = "table" },
      { name = "bucket", type = "tide.Bucket" },
    },
  },
  {
    name = "tide.NewFile:commit",
    doc = "Makes the file durable and visible.",
    waits = true,
    params = {
      { name = "options", optional = true, fields = {
        { name = "name", type = "string", optional = true, doc = "instead of that of `create`" },
        { name = "metadata", type = "table", optional = true, doc = "merged into that of `create`" },
      } },
    },
    returns = { { name = "ok", type = "boolean", lua = "true" } },
    fails = {
      { "exists", "a file with this id is there; this one is dropped" },
      { "invalid", "a name that is no UTF-8 or too long, over 64 KiB of metadata" },
      { "full", "no space is left" },
      UNAVAILABLE,
    },
    throws = "when the metadata can't be written as JSON",
  },
  { name = "tide.NewFile:drop", doc = "Drops what was written. After a commit it does nothing." },
  {
    name = "tide.copy",
    doc = "Streams a part of a form, a body or an open file into a new file. A failure drops the new file.",
    waits = true,
    params = {
      { name = "source", type = "tide.Part|tide.Body|tide.File", expected = "a part, a body or an open file", doc = "read to its end" },
      { name = "file", type = "tide.NewFile", expected = "a new file, bucket:create{...}", doc = "not committed by this" },
      { name = "options", optional = true, fields = {
        { name = "limit", type = "size|integer", optional = true, doc = "most bytes to take" },
      } },
    },
    returns = { { name = "bytes", type = "integer" } },
    fails = {
      { "too_large", "over `limit`" }, { "bad_request", "a malformed form; after `only_part`, another part" },
      { "full", "no space is left" }, { "timeout", "the client is too slow" }, UNAVAILABLE,
    },
  },
}
