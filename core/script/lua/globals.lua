-- Finds the globals that a script uses and nobody defines, before the line runs: the compiled code tells which names are read and
-- written as globals. LuaJIT numbers its instructions differently from version to version, so their numbers come from samples.
local _, load = ...

local trusted, report = load "sandbox", load "report"
local util = trusted.require "jit.util"
local raw_load = trusted.load
local floor = math.floor
local globals = {}

local function opcode(source, position)
  return util.funcbc(raw_load(source), position) % 256
end

local GGET, GSET, TGETS = opcode("return x", 1), opcode("x = 1", 2), opcode("return x.y", 2)

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
  elseif good then
    return value
  end
  return nil, (value:gsub("^[^\n]-:%d+: ", ""))
end

local function walk(proto, problems)
  local info = util.funcinfo(proto)
  local home, register -- the table of the engine's that the instruction before has fetched, and where it is
  for position = 1, info.bytecodes - 1 do
    local instruction = util.funcbc(proto, position)
    local op, a, c, b = instruction % 256, floor(instruction / 2 ^ 8) % 256, floor(instruction / 2 ^ 16) % 256,
      floor(instruction / 2 ^ 24) % 256
    local problem
    if op == GGET or op == GSET then
      local name = util.funck(proto, -(floor(instruction / 2 ^ 16) % 2 ^ 16) - 1)
      problem = (op == GGET and read or written)(name)
      home, register = op == GGET and homes[name] and rawget(_G, name) or nil, a
    elseif op == TGETS and home and b == register then
      home, problem = member(home, util.funck(proto, -c - 1))
      home, register = type(home) == "table" and home or nil, a
    else
      home = nil
    end
    if problem then
      problems[#problems + 1] = { line = util.funcinfo(proto, position).currentline, text = problem }
    end
  end
  for i = -1, -info.gcconsts, -1 do
    local child = util.funck(proto, i)
    if type(child) == "proto" then
      walk(child, problems)
    end
  end
end

-- "file:line: what", a line each, in the order of the file; nil when there is nothing.
function globals.problems(chunk, file)
  local problems, lines = {}, {}
  walk(chunk, problems)
  table.sort(problems, function(x, y) return x.line < y.line end)
  for i, problem in ipairs(problems) do
    lines[i] = ("%s:%d: %s"):format(file, problem.line, problem.text)
  end
  return lines[1] and table.concat(lines, "\n")
end

return globals
