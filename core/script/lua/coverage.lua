-- Tells which lines of a chunk have code, for the coverage of specs.
local native = ...

local util = require "jit.util"

-- What ends or parts a block has code in the chunk, but nothing that a test could miss: `else`, `end)`, `}`.
local function is_bracket(text)
  return text:gsub("^%s*end%f[^%w_]", ""):gsub("^%s*else%s*$", ""):match "^[%s%)%]},;]*$" ~= nil
end

local function lines_of(source)
  local list = {}
  for line in (source .. "\n"):gmatch "(.-)\n" do
    list[#list + 1] = line
  end
  return list
end

-- f: a function or a prototype
local function walk(f, lines, path)
  local pc = 1
  while util.funcbc(f, pc) do
    local line = util.funcinfo(f, pc).currentline
    if lines[line] and not is_bracket(lines[line]) then
      native.cover(path, line)
    end
    pc = pc + 1
  end
  for i = -1, -math.huge, -1 do
    local constant = util.funck(f, i)
    if constant == nil then
      break
    elseif type(constant) == "proto" then
      walk(constant, lines, path)
    end
  end
end

return function(chunk, source, path)
  walk(chunk, lines_of(source), path)
end
