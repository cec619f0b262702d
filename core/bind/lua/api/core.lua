return {
  sleep = { name = "duration", type = "duration" },
  failure = {
    { name = "code", type = "string" },
    { name = "message", type = "string" },
    { name = "retryable", type = "boolean", default = false },
  },
  route = {
    { name = "limit", optional = true, type = "table", fields = {
      { name = "body", type = "size|integer", optional = true, doc = "largest body; over it 413" },
      { name = "rate", type = "rate", optional = true, doc = "requests per client address; over it 429" },
    } },
    { name = "timeout", type = "duration", default = "60s", doc = "for the handler, without the time to send the response" },
    { name = "params", type = "table", optional = true, doc = "the shape of the path's parameters; 400 when they have another" },
    { name = "query", type = "table", optional = true, doc = "the shape of the query; 400 when it has another" },
  },
  every = {
    { name = "timeout", type = "duration", default = "5m" },
  },
  consume = {
    { name = "concurrency", type = "integer", default = 1, min = 1, max = 1000, doc = "messages at a time in one worker process" },
    { name = "attempts", type = "integer", default = 5, min = 1, max = 100 },
    { name = "timeout", type = "duration", default = "5m", doc = "for one attempt" },
    { name = "backoff", type = "duration", default = "5s", doc = "before the second attempt; doubles after" },
    { name = "backoff_max", type = "duration", default = "10m" },
    { name = "lease", type = "duration", default = "30s", doc = "renewed while the handler runs; how soon another takes over from a dead worker" },
    { name = "on_dead", type = "function", optional = true, doc = "called with the message and the failure before it goes to the dead letters" },
  },
  publish = {
    { name = "delay", type = "duration", optional = true },
  },
  retry = {
    { name = "after", type = "duration", optional = true },
    { name = "code", type = "string", default = "retry" },
    { name = "message", type = "string", default = "the handler asked for a retry" },
  },
  create = {
    { name = "id", type = "id", optional = true },
    { name = "name", type = "string", optional = true },
    { name = "owner", type = "string", optional = true },
    { name = "metadata", type = "table", optional = true },
  },
  commit = {
    { name = "name", type = "string", optional = true },
    { name = "metadata", type = "table", optional = true },
  },
  open = {
    { name = "owner", type = "string", optional = true, doc = "another owner's file is not found" },
  },
  find = {
    { name = "where", type = "table", optional = true, doc = "metadata keys and the strings they must equal" },
    { name = "before", type = "id", optional = true },
    { name = "older_than", type = "duration", optional = true },
    { name = "limit", type = "integer", default = 100, min = 1, max = 1000 },
  },
  copy = {
    { name = "limit", type = "size|integer", optional = true },
  },
  transcode = {
    { name = "format", type = "string", default = "mp3", choices = { "mp3" } },
    { name = "quality", type = "string", default = "V2", doc = "V0 (best) to V9, or a constant bit rate: 64k to 320k" },
    { name = "title", type = "string", optional = true },
    { name = "channels", type = "integer", optional = true, min = 1, max = 2 },
    { name = "sample_rate", type = "integer", optional = true },
    { name = "max_duration", type = "duration", optional = true },
    { name = "max_output", type = "size", optional = true },
    { name = "max_memory", type = "size", optional = true },
    { name = "timeout", type = "duration", optional = true },
    { name = "on_progress", type = "function", optional = true, doc = "called with the percent" },
  },
  blob_response = {
    { name = "attachment", type = "boolean", default = false },
    { name = "type", type = "string", optional = true },
  },
}
