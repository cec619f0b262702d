-- Plugins: modules outside of the bundles, each in a directory with plugin.lua, its manifest: what it is and the description of
-- its functions, in the form of api/*.lua. `require "NAME"` runs its init.lua; what that returns gets the description's checks.
local native, load = ...

local report, loader, inspect = load "report", load "loader", load "inspect"
local raw_load = load("sandbox").load
local plugin = { names = {} } -- in the order of the settings
local directories = {}

for directory in (native.plugins or ""):gmatch "[^:]+" do
  local name = directory:match "[^/]+$"
  plugin.names[#plugin.names + 1] = name
  directories[name] = directory
end

local function refuse(path, problem)
  error(("%s: %s"):format(path, problem), 0)
end

-- The description that plugin.lua returns; raises what is wrong with it.
function plugin.manifest(name)
  local path = directories[name] .. "/plugin.lua"
  local source, why = native.read_file(path)
  if not source then
    refuse(path, why)
  end
  local chunk, message = raw_load(source, "@" .. path, "t")
  if not chunk then
    error(message, 0)
  end
  local manifest = chunk(name)
  if type(manifest) ~= "table" or type(manifest.title) ~= "string" then
    refuse(path, 'a manifest returns a table with `title` and a list of descriptions, as { title = "Webhooks", { name = ... } }')
  end
  for _, entry in ipairs(manifest) do
    if type(entry.name) ~= "string" or not entry.name:find(name .. ".", 1, true) or type(entry.doc) ~= "string" then
      refuse(path, ("the entry '%s' needs `name`, that begins with \"%s.\", and `doc`"):format(tostring(entry.name), name))
    end
  end
  return manifest
end

-- What init.lua returns: functions, and classes, { send = function, Sender = class }. One in C gets its functions.
local function run(name, chunk)
  local manifest, path = plugin.manifest(name), directories[name] .. "/plugin.lua"
  local module = chunk(name, manifest.native and native.plugin_open(directories[name], name) or nil)
  if type(module) ~= "table" then
    refuse(directories[name] .. "/init.lua", "a plugin returns a table of its functions")
  end
  local containers = { [name] = module }
  for key, value in pairs(module) do
    if type(key) == "string" and key:match "^%u" then
      containers[name .. "." .. key] = value
    end
  end
  load("api").describe(manifest, path, containers)
  load("api").strict(module, name)
  inspect.parts[module] = true
  return module
end

local function search(name)
  local first, rest = name:match "^([^.]+)%.?(.*)$"
  if not directories[first] then
    return nil, ("  the plugin '%s' is not listed in the settings%s; as in plugins = { \"%s\" }"):format(first,
      report.suggestion(first, plugin.names), first)
  end
  local path = ("%s/%s.lua"):format(directories[first], rest == "" and "init" or rest:gsub("%.", "/"))
  local source, why = native.read_file(path)
  if not source then
    return nil, ("  %s: %s"):format(path, why)
  end
  return source, path, rest == "" and function(chunk) return run(name, chunk) end or nil
end
table.insert(loader.searchers, search)

return plugin
