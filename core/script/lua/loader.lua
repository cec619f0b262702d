-- Compiles and runs a bundle's init.lua and the modules that it requires.
local native, load = ...

local trusted = load "sandbox"
local report, inspect = load "report", load "inspect"
local raw_load, raw_type = trusted.load, type

-- loading: init.lua runs, and with it the declarations
local loader = { loaded = {}, loading = false }

local function search_files(name)
  local relative = name:gsub("%.", "/") .. ".lua"
  local tried = {}
  for _, root in ipairs { native.directory, native.library } do
    local path = root .. "/" .. relative
    local source, why = native.read_file(path)
    if source then
      return source, path
    end
    tried[#tried + 1] = ("  %s: %s"):format(path, why)
  end
  return nil, table.concat(tried, "\n")
end

-- What finds `require "a.b"`, in order: function(name): source, path and perhaps a function that runs the chunk and returns what
-- the script sees; or nil and where it looked. Plugins add theirs.
loader.searchers = { search_files }

local ends = {}

-- f is called when init.lua is through, and may raise what is wrong.
function loader.at_end(f)
  ends[#ends + 1] = f
end

local chunks, findings = {}, {} -- of the load: path -> what was compiled, false when something is wrong with it

-- Something is wrong: the load fails, but may go on to find more.
function loader.note(failure, code)
  findings[#findings + 1] = report.finding(failure, code)
end

local function note_at(path, line, problem, code)
  loader.note(problem:match("^[^\n]-:%d+: ") and problem or ("%s:%d: %s"):format(path, line, problem), code)
end

-- What files begin with that are no source text.
local UTF_16 = "the file is in UTF-16: save it as UTF-8"
local FORMATS = { ["\27L"] = "the file is compiled Lua: a bundle has sources", ["\255\254"] = UTF_16, ["\254\255"] = UTF_16 }

-- What Lua says of slips that it doesn't name, and what may be meant.
local HINTS = {
  { "near '!'", "'not equal' is written ~=, and 'not' as a word" },
  { "'=' expected near '[-+*/]'", "there is no += and no ++: x = x + 1" },
  { "unexpected symbol near '%)'", "is an `end` missing above, or a comma too many before it?" },
  { "not enough memory$", "the setting limits.script_memory is the limit" },
  { "stack overflow$", "a function calls itself without an end" },
}

local function hinted(message)
  for _, hint in ipairs(HINTS) do
    if message:find(hint[1]) then
      return message .. "\n  " .. hint[2]
    end
  end
  return message
end

-- The file as a function; nil when findings tell why not. The modules that it requires, their names written out, are compiled with
-- it, so that all that is wrong with a bundle is told together.
local function compile(source, path)
  if chunks[path] == nil then
    local before = #findings
    report.sources["@" .. path] = source
    local chunk, message = raw_load(source, "@" .. path, "t")
    chunks[path] = chunk or false
    if not chunk then
      local format = FORMATS[source:sub(1, 2)]
      loader.note(format and ("%s:1: %s"):format(path, format) or hinted(message), "syntax")
    elseif not source:find "%S" then -- as it is for a moment while it is saved in place
      note_at(path, 1, "the file is empty", "syntax")
    elseif native.sandboxed then
      inspect.chunk(chunk, function(...) note_at(path, ...) end)
    end
    chunks[path] = #findings == before and chunk
    if chunks[path] and native.cover then
      load "coverage"(chunk, source, path)
    end
  end
  return chunks[path] or nil
end

local function find(name)
  local tried = {}
  for _, search in ipairs(loader.searchers) do
    local source, path, run = search(name)
    if source then
      return source, path, run
    end
    tried[#tried + 1] = path
  end
  return nil, table.concat(tried, "\n")
end

local BUSY = {}
local TOLD = {} -- raised where findings tell why already

local function is_name(name)
  return raw_type(name) == "string" and name:match("^[%w_]+[%w_.-]*$") and not name:find("..", 1, true)
end

local NO_NAME = "require: a module's name is letters, digits, '_' and '.', as in require \"jobs\""
local NO_MODULE = "require: no module '%s'; looked at\n%s"

function loader.require(name)
  if not is_name(name) then
    error(NO_NAME, 2)
  end
  local value = loader.loaded[name]
  if value == BUSY then
    error(("require: '%s' requires itself (a cycle)"):format(name), 2)
  elseif value ~= nil then
    return value
  end
  if not loader.loading then
    error(("require: '%s' is not loaded; require modules at the top of the file, not in a handler"):format(name), 2)
  end
  local source, path, run = find(name)
  if not source then
    error(NO_MODULE:format(name, path), 2)
  end
  local chunk = compile(source, path)
  if not chunk then
    error(TOLD, 0)
  end
  loader.loaded[name] = BUSY
  if run then
    value = run(chunk)
  else
    value = chunk(name)
  end
  loader.loaded[name] = value == nil and true or value
  return loader.loaded[name]
end

-- Also of one in a function that runs later.
inspect.calls[loader.require] = function(arguments)
  local name = arguments[1] and arguments[1].value
  if name == nil or loader.loaded[name] then
    return
  elseif not is_name(name) then
    error(NO_NAME, 0)
  end
  local source, path = find(name)
  if not source then
    error(NO_MODULE:format(name, path), 0)
  end
  compile(source, path)
end

-- A typing mistake in a name is found at once, not as a nil somewhere else; and nothing leaks from request to request.
local function strict(env)
  setmetatable(env, {
    __index = function(_, key)
      error(("undefined global '%s'"):format(tostring(key)), 2)
    end,
    __newindex = function(_, key)
      error(("assignment to undefined global '%s': write `local %s = ...`"):format(tostring(key), tostring(key)), 2)
    end,
  })
end

local function load_init(path)
  local source, why = native.read_file(path)
  if not source then
    return loader.note(("%s: %s"):format(path, why), "load")
  end
  _G.require = loader.require
  if native.sandboxed then
    strict(_G)
  end
  local chunk = compile(source, path)
  if not chunk or #findings > 0 then
    return
  end
  loader.loading = true
  local ok, failure = xpcall(function()
    chunk()
    for _, f in ipairs(ends) do
      f()
    end
  end, report.locate)
  loader.loading = false
  if not ok and failure ~= TOLD then
    loader.note(raw_type(failure) == "string" and hinted(failure) or failure, "load")
  end
  if native.sandboxed and ok then -- though a declaration may be wrong
    inspect.loaded({ inspect.handlers, loader.loaded }, note_at)
  end
  inspect.handlers = {}
end

local function by_place(x, y)
  if x.file ~= y.file then
    return tostring(x.file) < tostring(y.file)
  end
  return (x.line or 0) < (y.line or 0)
end

-- What is wrong: a list of findings (base/finding.h), empty when all is well.
function loader.load_bundle()
  load_init(native.directory .. "/init.lua")
  table.sort(findings, by_place)
  chunks = {}
  trusted.collectgarbage() -- a third of the memory: what only the load needed, the prose of the API's descriptions
  return findings
end

return loader
