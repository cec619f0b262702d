-- LuaJIT's compiled code, instruction by instruction. LuaJIT numbers its instructions differently from version to version, so their
-- numbers come from samples.
local _, load = ...

local trusted = load "sandbox"
local util = trusted.require "jit.util"
local floor = math.floor
local bytecode = {}

-- Opcode and operands: a, d, and d's halves b and c.
local function decode(proto, position)
  local instruction = util.funcbc(proto, position)
  local d = floor(instruction / 2 ^ 16) % 2 ^ 16
  return instruction % 256, floor(instruction / 2 ^ 8) % 256, d, floor(d / 2 ^ 8), d % 256
end
bytecode.decode = decode

local function sample(source, position)
  return decode(trusted.load(source), position)
end

bytecode.GGET, bytecode.GSET, bytecode.TGETS = sample("return x", 1), sample("x = 1", 2), sample("return x.y", 2)
bytecode.UGET = decode(util.funck(trusted.load("local x; return function() return x end"), -1), 1)
bytecode.MOV = sample("local x, y; x = y", 2)
bytecode.KSTR, bytecode.KSHORT, bytecode.KNUM = sample("return 'x'", 1), sample("return 1", 1), sample("return 1.5", 1)
bytecode.TNEW, bytecode.TDUP = sample("return {}", 1), sample("return { x = 1 }", 1)
bytecode.TSETS, bytecode.TSETB = sample("local t; t.x = 1", 3), sample("local t; t[1] = 1", 3)
bytecode.TSETV, bytecode.TSETM = sample("local t, k; t[k] = 1", 3), sample("return { ... }", 3)
bytecode.IST, bytecode.ISF = sample("local x; if not x then end", 2), sample("local x; if x then end", 2)
bytecode.ISTC, bytecode.JMP = sample("local x, y; x = y or 1", 2), sample("local x; if x then end", 3)
bytecode.CALL, bytecode.CALLM = sample("local f; f()", 3), sample("local f; f(...)", 4)
bytecode.CALLT, bytecode.CALLMT = sample("local f; return f()", 3), sample("local f; return f(...)", 4)

-- The instruction that assigns to a local of a function outside.
local function assignment(value)
  return decode(util.funck(trusted.load(("local x; return function(y) x = %s end"):format(value)), -1), 1)
end

-- By what is assigned: a register, a string, a number, nil or a boolean.
bytecode.assigns = { [assignment "y"] = true, [assignment "'s'"] = true, [assignment "1"] = true, [assignment "nil"] = true }

-- From the register of a function to that of its first argument: 2 where a frame takes two.
bytecode.FIRST = select(2, sample("local f; f('x')", 3)) - select(2, sample("local f; f('x')", 4))

-- Whether the instruction writes into no register: a comparison (they come first, before the tests that copy), a test, a jump.
function bytecode.only_branches(op)
  return op < bytecode.ISTC or op == bytecode.IST or op == bytecode.ISF or op == bytecode.JMP
end

-- Where a jump at `position` leads.
function bytecode.target(position, d)
  return position + 1 + d - 2 ^ 15
end

function bytecode.upvalue(proto, d)
  return util.funcuvname(proto, d)
end

-- The string, number (not a whole one) or table that `d` names.
function bytecode.constant(proto, d)
  return util.funck(proto, -d - 1)
end

function bytecode.number(proto, d)
  return util.funck(proto, d)
end

function bytecode.line(proto, position)
  return util.funcinfo(proto, position).currentline
end

function bytecode.length(proto)
  return util.funcinfo(proto).bytecodes - 1
end

-- The functions that stand in this one.
function bytecode.children(proto)
  local list = {}
  for i = -1, -util.funcinfo(proto).gcconsts, -1 do
    local child = util.funck(proto, i)
    if type(child) == "proto" then
      list[#list + 1] = child
    end
  end
  return list
end

return bytecode
