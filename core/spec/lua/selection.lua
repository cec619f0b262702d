-- Which tests of a file run: by name, by tag, by line.
local _, load = ...

local debug = load("sandbox").debug
local selection = {}

-- The line is in the test, or a block that it is in begins at the line.
local function is_at(busted, line, f)
  local place = debug.getinfo(f, "S")
  if place.linedefined <= line and line <= place.lastlinedefined then
    return true
  end
  local block = busted.context.get()
  while block and block.descriptor ~= "file" do
    if block.run and debug.getinfo(block.run, "S").linedefined == line then
      return true
    end
    block = busted.context.parent(block)
  end
  return false
end

-- Nil, or what is wrong with one of them.
local function wrong_pattern(patterns)
  for _, pattern in ipairs(patterns or {}) do
    local good, err = pcall(string.find, "", pattern)
    if not good then
      return ("--filter %s: this is no Lua pattern: %s"):format(pattern, err)
    end
  end
end

-- Nil, or what is wrong with the options.
function selection.apply(busted, options, line)
  local wrong = wrong_pattern(options.filter)
  if wrong then
    return wrong
  end
  require "busted.modules.filter_loader"()(busted, {
    tags = options.tags, excludeTags = options.exclude_tags, filter = options.filter, filterOut = {}, list = false,
    nokeepgoing = false, suppressPending = false,
  })
  if line > 0 then
    for _, descriptor in ipairs { "it", "pending" } do
      busted.subscribe({ "register", descriptor }, function(_, f) return nil, is_at(busted, line, f) end, { priority = 1 })
    end
  end
end

return selection
