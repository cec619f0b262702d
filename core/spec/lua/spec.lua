-- tide.spec: what a spec has beside `tide`. Bundles it opens are closed at the end of the `describe` or `it` that opened them.
local native, load = ...

local cjson = native.cjson
local app, clock, mailbox, settle, upstream = load "app", load "clock", load "mailbox", load "settle", load "upstream"
local spec = {}

-- Writes the files of a bundle given as text; returns its directory.
local function write_bundle(root, name, files)
  local lfs = require "lfs"
  local directory = ("%s/%s"):format(root, name)
  lfs.mkdir(root)
  for path, text in pairs(files) do
    local at = root
    for folder in (name .. "/" .. path):gmatch "([^/]+)/" do
      at = at .. "/" .. folder
      lfs.mkdir(at)
    end
    local file = assert(io.open(directory .. "/" .. path, "wb"))
    file:write(text)
    file:close()
  end
  return directory
end

local function merged(base, over)
  for key, value in pairs(over or {}) do
    base[key] = value
  end
  return next(base) == nil and "{}" or cjson.encode(base)
end

-- `maildir`: where mail arrives; nil: the embedded backend's own, which is new for every file
function spec.new(directory, maildir)
  local self = { log_path = directory .. "/log", api = { data = directory .. "/data" } } -- data: where the backends keep theirs
  local blocks, written = { {} }, 0
  maildir = maildir or directory .. "/data/mail"
  local mail_before = mailbox.names(maildir)

  function self.enter()
    blocks[#blocks + 1] = {}
  end

  function self.leave()
    local apps = table.remove(blocks)
    for i = #apps, 1, -1 do
      apps[i]:close()
    end
  end

  function self.leave_all()
    while #blocks > 0 do
      self.leave()
    end
  end

  -- A bundle of the settings by its name, or one given as text: { source = "..." } or { files = { ["init.lua"] = "..." } }.
  -- `settings` go over those of the settings file. Raises the report of a bundle that can't be loaded.
  function self.api.bundle(name, options)
    local where, settings = native.spec_find(name)
    if options.source or options.files then
      written = written + 1
      where = write_bundle(("%s/bundles-%d"):format(directory, written), name, options.files or { ["init.lua"] = options.source })
      settings = "{}"
    elseif not where then
      error(("tide.spec.bundle: there is no bundle '%s' in the settings"):format(name), 2)
    end
    local handle, port = native.spec_open(name, where, merged(cjson.decode(settings), options.settings))
    if not handle then
      error(port, 2)
    end
    local opened = app.new(handle, name, port)
    table.insert(blocks[#blocks], opened)
    return opened
  end

  self.api.upstream = upstream.open

  -- What went wrong in upstreams since the last call.
  function self.take_problems()
    local list = upstream.problems
    upstream.problems = {}
    return list
  end

  -- The e-mails sent, oldest first: { to, from, subject, id, text, html, headers, raw }.
  function self.api.mails()
    return mailbox.read(maildir, mail_before)
  end

  -- What was logged, a table an event; only those with this event's name when given.
  function self.api.logged(event)
    local list = {}
    for line in io.lines(self.log_path) do
      local entry = cjson.decode(line)
      if entry and (not event or entry.event == event) then
        list[#list + 1] = entry
      end
    end
    return list
  end

  -- The metrics in Prometheus' text format; or the value of one series, as "name{label=\"value\"}".
  function self.api.metrics(series)
    local text = native.spec_metrics()
    if not series then
      return text
    end
    local value = ("\n" .. text):match("\n" .. series:gsub("%p", "%%%0") .. " (%S+)")
    return tonumber(value)
  end

  self.api.clock = clock.new()

  -- Waits until f returns something, and returns that; raises after a minute.
  self.api.eventually = settle

  -- Runs the functions at the same time, each as a task of its own, and waits for all. Their first values, in order; raises what
  -- one of them raised.
  function self.api.together(...)
    local values, left, raised = {}, select("#", ...), nil
    for i, f in ipairs { ... } do
      native.spec_start(function()
        local ok, value = pcall(f)
        values[i], raised, left = value, raised or (not ok and value), left - 1
      end)
    end
    settle(function() return left == 0 end)
    if raised then
      error(raised, 0)
    end
    return unpack(values, 1, select("#", ...))
  end

  -- A WAV file: a tone of `seconds`, mono, 16 bit, 44100 Hz.
  self.api.wav = load "wav"

  load("api").define("spec", { ["tide.spec"] = self.api, ["tide.App"] = app.class, ["tide.Clock"] = clock.class })
  return self
end

return spec
