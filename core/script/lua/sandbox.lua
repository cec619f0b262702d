-- Makes _G into what scripts may use. Trusted modules have globals of their own (script/state.c), and take what is not there
-- from this module's return value.
local native = ...

local trusted = {
  debug = debug, io = io, os = os, load = load, loadstring = loadstring, setfenv = setfenv, getfenv = getfenv,
  raw_resume = coroutine.resume, raw_yield = coroutine.yield, raw_running = coroutine.running, dump = string.dump, package = package,
  require = require, collectgarbage = collectgarbage, print = print,
}

-- Scripts may use coroutines of their own: a wait inside one passes through to the task.
do
  local raw_resume, raw_yield, create = coroutine.resume, coroutine.yield, coroutine.create
  local wait_mark, check_stack, error, type = native.wait_mark, native.check_stack, error, type
  coroutine.running = native.running

  local function relay(co, ok, first, ...)
    if ok and first == wait_mark then
      return relay(co, raw_resume(co, raw_yield(wait_mark)))
    end
    return ok, first, ...
  end

  function coroutine.resume(co, ...)
    check_stack()
    return relay(co, raw_resume(co, ...))
  end

  -- With its position, but not that of each of thousands.
  local function unwrap(ok, first, ...)
    if not ok then
      error(first, type(first) == "string" and #first < 1000 and 2 or 0)
    end
    return first, ...
  end

  function coroutine.wrap(f)
    local co = create(f)
    return function(...)
      check_stack()
      return unwrap(relay(co, raw_resume(co, ...)))
    end
  end
end

if not native.sandboxed then
  return trusted
end

-- The engine ends a script from a hook, and no hook runs in a message handler then: one that loops could not be ended.
do
  local raw_xpcall, is_over, type = xpcall, native.is_over, type

  function _G.xpcall(f, handler, ...)
    if type(handler) ~= "function" then
      return raw_xpcall(f, handler, ...)
    end
    return raw_xpcall(f, function(failure)
      if is_over() then
        return failure
      end
      return handler(failure)
    end, ...)
  end
end

local raw_load = load

-- Text only (bytecode can crash the virtual machine), never another environment's file.
function _G.load(chunk, name, _, env)
  if type(chunk) == "function" then
    local parts = {}
    for part in chunk do
      parts[#parts + 1] = part
    end
    chunk = table.concat(parts)
  end
  if env == nil then
    return raw_load(chunk, name or "=(load)", "t")
  end
  return raw_load(chunk, name or "=(load)", "t", env)
end

local time = { time = os.time, clock = os.clock, date = os.date, difftime = os.difftime }
local traceback = debug.traceback

for _, name in ipairs { "io", "ffi", "jit", "package", "module", "dofile", "loadfile", "loadstring", "newproxy", "setfenv",
                        "getfenv", "gcinfo", "require", "print", "collectgarbage" } do
  _G[name] = nil
end
_G.os = time
_G.debug = { traceback = function(message) return traceback(message, 2) end }

-- Copies: what a script changes in its libraries must not change the engine's, nor the methods of strings.
for _, name in ipairs { "string", "table", "math", "coroutine", "bit" } do
  local copy = {}
  for key, value in pairs(_G[name]) do
    copy[key] = value
  end
  _G[name] = copy
end
_G.string.dump = nil
getmetatable("").__metatable = false

-- `os.date` with a wrong format and `string.rep` without end are caught by the memory cap.
return trusted
