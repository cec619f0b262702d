-- What is wrong with a script as the compiled code tells it, before a line runs: globals that nobody defines, what a table of the
-- engine's doesn't have, and calls of the engine's functions with arguments, written out, that they would refuse.
local _, load = ...

local report, bytecode, arguments = load "report", load "bytecode", load "arguments"
local resume, debug = load("sandbox").raw_resume, load("sandbox").debug
local decode, constant, GGET, GSET, TGETS = bytecode.decode, bytecode.constant, bytecode.GGET, bytecode.GSET, bytecode.TGETS
local UGET, MOV, JMP = bytecode.UGET, bytecode.MOV, bytecode.JMP

-- calls: function of the engine's -> what checks a call of it, which raises as the function would. It gets the arguments as
-- `arguments` tells them, and their number when that is known. parts: tables of the engine's, as tide.respond.
-- handlers: lists with what was declared, functions in it.
local inspect = { calls = {}, parts = {}, handlers = {} }

-- Tables of the engine's, in which a name that isn't there is a mistake.
local homes = { tide = true, os = true }

local function suggestion(name, home)
  local names = {}
  for key in pairs(home) do
    if type(key) == "string" then
      names[#names + 1] = key
    end
  end
  return report.suggestion(name, names)
end

-- Lua's own that scripts don't have -> what to use.
local instead = {
  print = "write to the log: tide.log.info",
  io = "files are in buckets and beside the bundle: tide.bucket, tide.respond.file",
  collectgarbage = "the engine does it",
  dofile = "use require",
  loadfile = "use require",
}

local function read(name)
  if rawget(_G, name) == nil then
    return ("undefined global '%s'%s"):format(name, instead[name] and (" (%s)"):format(instead[name]) or suggestion(name, _G))
  end
end

local function written(name)
  return ("assignment to undefined global '%s': write `local %s = ...`"):format(name, name)
end

local function index(home, name)
  return home[name]
end

-- tide.sqll: what a table of the engine's has under a name; or nil and what the table says to that.
local function member(home, name)
  local good, value = pcall(index, home, name)
  if good and value == nil and home == rawget(_G, "os") then
    return nil, ("os has no '%s'; scripts have os.time, os.date, os.clock and os.difftime"):format(name)
  elseif good or type(value) ~= "string" then -- what a script's own metatable raises is none of the engine's words
    return good and value or nil
  end
  return nil, (value:gsub("^[^\n]-:%d+: ", ""))
end

-- What is wrong with the call of `f`, which was fetched at `position` into `register`; and the line.
local function called(proto, position, register, f)
  local known, count, place = arguments(proto, position, register)
  if known then
    local good, problem = pcall(inspect.calls[f], known, count)
    return not good and problem or nil, bytecode.line(proto, place)
  end
end

-- Whether a value that a function has from outside is the engine's: a part of tide, an object, a function.
local function is_ours(value)
  local metatable = type(value) == "table" and getmetatable(value)
  local class = type(metatable) == "table" and rawget(metatable, "__name")
  return inspect.calls[value] or inspect.parts[value] or value == rawget(_G, "tide") or type(class) == "string" and class:find("^tide%.")
end

-- `outside`: the values of a function's upvalues, as far as they are the engine's.
local function walk(proto, note, outside)
  local value, register -- what of the engine's the instruction before has fetched, and where it is
  local joined = {} -- the positions that another branch comes to, where a register may hold its value: (mine or tide).foo
  for position = 1, bytecode.length(proto) do
    local op, a, d, b, c = decode(proto, position)
    local before, code, problem, line = not joined[position] and value, "undefined", nil, nil
    value = nil
    if op == GSET then
      problem = written(constant(proto, d))
    elseif op == GGET then
      local name = constant(proto, d)
      problem, value = read(name), (homes[name] or name == "require") and rawget(_G, name) or nil
    elseif op == UGET then
      value = outside and outside[d + 1]
    elseif op == MOV and d == register and a ~= register then
      value, a = before, register -- an object goes where its method will get it
    elseif op == TGETS and type(before) == "table" and b == register then
      value, problem = member(before, constant(proto, c))
    elseif op == JMP then
      joined[bytecode.target(position, d)] = true
    end
    register = a
    if value and inspect.calls[value] and not joined[position + 1] then
      code, problem, line = "call", called(proto, position, register, value)
    end
    if problem then
      note(line or bytecode.line(proto, position), problem, code)
    end
  end
  if not outside then
    for _, child in ipairs(bytecode.children(proto)) do
      walk(child, note)
    end
  end
end

local assigned = {} -- of the load: source -> names of locals that some function in it assigns to, though they are another's

local function find_assigned(proto, names)
  for position = 1, bytecode.length(proto) do
    local op, a = decode(proto, position)
    if bytecode.assigns[op] then
      names[bytecode.upvalue(proto, a)] = true
    end
  end
  for _, child in ipairs(bytecode.children(proto)) do
    find_assigned(child, names)
  end
  return names
end

-- Calls note(line, message, code) for each thing that is wrong.
function inspect.chunk(chunk, note)
  local apart = coroutine.create(walk) -- what it raises has no script on its stack, whoever requires this one
  assert(resume(apart, chunk, note))
  assigned[debug.getinfo(chunk, "S").source] = find_assigned(chunk, {})
end

local MAX_DEPTH = 20
local visit

local function visit_table(values, seen, note, depth)
  if not seen[values] and getmetatable(values) == nil then
    seen[values] = true
    for _, value in pairs(values) do
      visit(value, seen, note, depth)
    end
  end
end

local function visit_function(f, seen, note, depth)
  local source = not seen[f] and debug.getinfo(f, "S").source
  if not source or source:sub(1, 1) ~= "@" then
    return
  end
  seen[f] = true
  local outside = {}
  for i = 1, debug.getinfo(f, "u").nups do
    local name, value = debug.getupvalue(f, i)
    if is_ours(value) then
      outside[i] = not (assigned[source] and assigned[source][name]) and value or nil
    else
      visit(value, seen, note, depth)
    end
  end
  walk(f, function(...) note(source:sub(2), ...) end, outside)
end

-- Functions and what they reach through their upvalues and through tables without a metatable.
function visit(value, seen, note, depth)
  if depth == MAX_DEPTH then
    return
  elseif type(value) == "function" then
    visit_function(value, seen, note, depth + 1)
  elseif type(value) == "table" then
    visit_table(value, seen, note, depth + 1)
  end
end

-- The functions of a bundle that is loaded, with what they have from outside: `respond.jsn` where `local respond = tide.respond`, a
-- misspelt option of `videos:create`. Calls note(file, line, message, code).
function inspect.loaded(values, note)
  local apart = coroutine.create(visit)
  assert(resume(apart, values, {}, note, 0))
  assigned = {}
end

return inspect
