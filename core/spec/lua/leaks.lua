-- What a test leaves behind: handles that it opened, requests, messages and timers that it did not wait for.
local native = ...

local WITHIN = 10 -- seconds in which the last of what goes on has to end

local leaks = {}
local known, told = {}, {} -- keys of handles: open when the test began; of a test that is over

-- A handle that nobody holds any more is still one that was not closed, so nothing is collected until the end of the test.
function leaks.begin()
  known = native.spec_open_handles()
  collectgarbage "stop"
end

-- Texts of those that are open and in neither table; from now on they are told.
local function new_handles(but)
  local list = {}
  for key, text in pairs(native.spec_open_handles()) do
    if not but[key] and not told[key] then
      list[#list + 1], told[key] = text, true
    end
  end
  table.sort(list)
  return list
end

-- A list of texts: what goes on although it was given the time to end.
function leaks.under_way()
  local deadline, left, pause = os.time() + WITHIN, native.spec_under_way(), 0
  while #left > 0 and os.time() < deadline do
    native.spec_pause(pause)
    left, pause = native.spec_under_way(), 2
  end
  return left
end

-- A list of texts: the handles that are open and weren't when the test began. Each is told once.
function leaks.finish()
  local list = new_handles(known)
  collectgarbage "restart"
  return list
end

-- At the end of the file: what `setup` and its like have opened.
function leaks.rest()
  return new_handles {}
end

return leaks
