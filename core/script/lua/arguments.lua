-- The arguments of a call as far as they are written out in it, from the compiled code. Each is one of
--   { whole = true, value = v }   a string, number or boolean, or a table of such
--   { fields = { key = argument } }   a table; `open` when there may be more in it
--   {}   whatever the script makes of it
-- Where the code branches inside of an argument it is of the last kind.
local _, load = ...

local bytecode = load "bytecode"
local decode, constant, FIRST = bytecode.decode, bytecode.constant, bytecode.FIRST
local UNKNOWN = {}

local function table_of(values)
  local fields = {}
  for key, value in pairs(values) do
    fields[key] = { whole = true, value = value }
  end
  return { fields = fields }
end

-- What an instruction puts into its register.
local makers = {
  [bytecode.KSTR] = function(proto, d) return { whole = true, value = constant(proto, d) } end,
  [bytecode.KSHORT] = function(_, d) return { whole = true, value = d < 2 ^ 15 and d or d - 2 ^ 16 } end,
  [bytecode.KNUM] = function(proto, d) return { whole = true, value = bytecode.number(proto, d) } end,
  [bytecode.TDUP] = function(proto, d) return table_of(constant(proto, d)) end,
  [bytecode.TNEW] = function() return { fields = {} } end,
}

local fixed = { [bytecode.CALL] = true, [bytecode.CALLT] = true }
local calls = { [bytecode.CALL] = true, [bytecode.CALLT] = true, [bytecode.CALLM] = true, [bytecode.CALLMT] = true }

-- { [register] = argument } while the code runs down to the call. What is written twice was written by two branches.
local Registers = {}
Registers.__index = Registers

function Registers:forget(first)
  for register in pairs(self.known) do
    if register >= first then
      self.known[register] = nil
    end
  end
end

-- What is above was on the way to it.
function Registers:put(register, argument)
  self:forget(register + 1)
  self.known[register] = self.known[register] and UNKNOWN or argument
end

function Registers:table(register)
  local argument = self.known[register]
  return argument and argument.fields and argument or { fields = {} }
end

-- What is above a table is through when its value is in it.
local stores = {
  [bytecode.TSETS] = function(registers, proto, a, b, c)
    registers:table(b).fields[constant(proto, c)] = registers.known[a] or UNKNOWN
    registers:forget(b + 1)
  end,
  [bytecode.TSETB] = function(registers, _, _, b)
    registers:table(b).open = true
    registers:forget(b + 1)
  end,
  [bytecode.TSETM] = function(registers, _, a)
    registers:table(a - 1).open = true
  end,
}
stores[bytecode.TSETV] = stores[bytecode.TSETB]

-- A table whose fields are all known as the value that it will be.
local function completed(argument)
  if not argument or not argument.fields or argument.open then
    return argument
  end
  local value = {}
  for key, field in pairs(argument.fields) do
    field = completed(field)
    if not field.whole then
      return argument
    end
    value[key] = field.value
  end
  return { whole = true, value = value, fields = argument.fields }
end

local function list(known, first)
  local found = {}
  for register, argument in pairs(known) do
    found[register - first + 1] = completed(argument)
  end
  return found
end

-- Of the call whose function the instruction at `position` has fetched into `register`: the arguments by their number, how many
-- there are when that is fixed, and where the call is; nil when the code between is none that can be told.
return function(proto, position, register)
  local registers = setmetatable({ known = {} }, Registers)
  for at = position + 1, bytecode.length(proto) do
    local op, a, d, b, c = decode(proto, at)
    if calls[op] and a == register then
      local count = fixed[op] and (op == bytecode.CALL and c or d) - 1 or nil
      return list(registers.known, register + FIRST), count, at
    elseif stores[op] then
      stores[op](registers, proto, a, b, c)
    elseif calls[op] and a > register then
      registers:put(a, UNKNOWN)
    elseif not bytecode.only_branches(op) then
      if a < register + FIRST then -- it was fetched for something else: what a call is made of lies behind it
        return nil
      end
      registers:put(a, makers[op] and makers[op](proto, d) or UNKNOWN)
    end
  end
end
