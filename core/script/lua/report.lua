-- Errors as their author meets them: file, line, the line itself with a caret, and what would be right.
local _, load = ...

local debug = load("sandbox").debug

local report = { sources = {} } -- chunk name -> source text

local function line_of(source, number)
  local at = 0
  for line in (source .. "\n"):gmatch("(.-)\r?\n") do
    at = at + 1
    if at == number then
      return line
    end
  end
end

-- Runs a handler of a script. `return tide.respond.json(...)` leaves no frame of the script on the stack (a tail call): then this
-- one still tells which handler it was.
function report.enter(handler, ...)
  local a, b = handler(...)
  return a, b
end

-- The file and line of the script that called into the engine, from the stack. Third: true when the line is only where the
-- handler begins.
function report.caller(level)
  level = (level or 1) + 1
  while true do
    local info = debug.getinfo(level, "Slf")
    if not info then
      return nil
    elseif info.func == report.enter then
      info = debug.getinfo(select(2, debug.getlocal(level, 1)), "S")
      return info.source:sub(2), info.linedefined, true
    elseif info.source:sub(1, 1) == "@" and info.currentline > 0 then
      return info.source:sub(2), info.currentline
    end
    level = level + 1
  end
end

-- Raises `message` as the fault of the calling script. `hint`: further lines.
function report.misuse(message, hint)
  local file, line, begins = report.caller(2)
  local where = file and ("%s:%d: "):format(file, line) or ""
  error(where .. message .. (begins and " (in the function that begins here)" or "") .. (hint and "\n" .. hint or ""), 0)
end

-- A message of a C function without the place in the engine that called it, which tells an author nothing.
function report.plain(message)
  return (message:gsub("^tide/[%w_.]+:%d+: ", ""))
end

-- Message handler for xpcall: puts the script's position before a message that has none (raised by a C function).
function report.locate(failure)
  if type(failure) ~= "string" then
    return failure
  end
  failure = report.plain(failure)
  if not failure:match("^[^\n]-:%d+: ") then
    local file, line = report.caller(2)
    if file then
      return ("%s:%d: %s"):format(file, line, failure)
    end
  end
  return failure
end

local function source_of(file)
  local source = report.sources["@" .. file]
  if source or file:sub(1, 3) ~= "..." then
    return source
  end
  for name, text in pairs(report.sources) do -- Lua shortens long names at their front
    if name:sub(-#file + 3) == file:sub(4) then
      return text
    end
  end
end

local function caret(line, message)
  local token = message:match("'([^']+)'")
  local from, to
  if token then
    from, to = line:find("%f[%w_]" .. token:gsub("%p", "%%%0") .. "%f[^%w_]")
    if not from then
      from, to = line:find(token, 1, true)
    end
  end
  if not from then
    return nil
  end
  local indent = line:sub(1, from - 1):gsub("[^\t]", " ")
  return indent .. "^" .. ("~"):rep(to - from)
end

-- "file:line: message\nmore" with the source line and a caret put behind its first line.
function report.explain(failure)
  local text = tostring(failure)
  local first, rest = text:match("^([^\n]*)\n?(.*)$")
  local file, number, message = first:match("^(.-):(%d+): (.*)$")
  local source = file and source_of(file)
  local line = source and line_of(source, tonumber(number))
  if not line then
    return text
  end
  local out = { first, ("%7d | %s"):format(number, line) }
  local mark = caret(line, message)
  if mark then
    out[#out + 1] = "          " .. mark
  end
  if rest ~= "" then
    out[#out + 1] = rest
  end
  return table.concat(out, "\n")
end

-- The candidate closest to `word`, when it is close enough to be what was meant.
function report.suggest(word, candidates)
  local best, best_distance
  for _, candidate in ipairs(candidates) do
    local distance = report.distance(word:lower(), candidate:lower())
    if distance <= math.max(1, math.floor(#candidate / 3)) and (not best or distance < best_distance) then
      best, best_distance = candidate, distance
    end
  end
  return best
end

-- Levenshtein's, with a swap of neighbours as one step.
function report.distance(a, b)
  local before, row = {}, {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local this = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      this[j] = math.min(row[j] + 1, this[j - 1] + 1, row[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        this[j] = math.min(this[j], before[j - 2] + 1)
      end
    end
    before, row = row, this
  end
  return row[#b]
end

return report
