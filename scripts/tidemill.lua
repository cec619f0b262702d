-- Settings of one installation; `tidemill help settings` lists all of them. What is commented out shows the default.
-- Every key can also come from the environment (TIDEMILL_WORKERS, TIDEMILL_LISTEN_GATEWAY, TIDEMILL_GATEWAY_MAX_UPLOAD),
-- secrets best from files (TIDEMILL_SQL_FILE).
return {
  listen  = { gateway = "127.0.0.1:8080", auth = "127.0.0.1:5000", admin = "127.0.0.1:9090" },
  -- data = "data",                       -- directory of the embedded backends:
  -- sql   = "sqlite:data/auth.db",
  -- queue = "sqlite:data/queue.db",
  -- blob  = "file:data/blobs",
  -- mail  = "maildir:data/mail",
  -- plugins = { "webhook" },              -- from the directory plugins: what bundles may require of it
  -- Every bundle in scripts/ runs; here are settings of their own. NAME = false leaves one out.
  bundles = { auth = {}, gateway = { max_upload = "5GiB" }, converter = { quality = "V2" }, notification = {} },
}
