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

function selection.apply(busted, options, line)
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
