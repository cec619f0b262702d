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

-- Functions whose first argument is the script's function that they run. `return tide.respond.json(...)` leaves no frame of the
-- script on the stack (a tail call): then these still tell which handler it was.
local runners = {}

function report.runner(f)
  runners[f] = true
  return f
end

report.enter = report.runner(function(handler, ...)
  local a, b = handler(...)
  return a, b
end)

-- What a handler has returned. With nil and a failure, as `return queue:publish{...}` may give, it has failed.
function report.result(value, err)
  if value == nil and err ~= nil then
    error(err, 0)
  end
  return value
end

local function frame(level, thread)
  local info = thread and debug.getinfo(thread, level, "Slf") or not thread and debug.getinfo(level + 1, "Slf")
  return info
end

local function handler_at(level, thread)
  local _, handler
  if thread then
    _, handler = debug.getlocal(thread, level, 1)
  else
    _, handler = debug.getlocal(level + 1, 1)
  end
  return debug.getinfo(handler, "S")
end

-- The file and line of the script that called into the engine, from the stack (of a coroutine that raised when it is given).
-- Third: true when the line is only where the handler begins.
function report.caller(level, thread)
  level = thread and 0 or (level or 1) + 1
  while true do
    local info = frame(level, thread)
    if not info then
      return nil
    elseif runners[info.func] then
      info = handler_at(level, thread)
      return info.source:sub(2), info.linedefined, true
    elseif info.source:sub(1, 1) == "@" and info.currentline > 0 then
      return info.source:sub(2), info.currentline
    end
    level = level + 1
  end
end

local function placed(message, file, line, begins)
  local where = file and ("%s:%d: "):format(file, line) or ""
  return where .. message .. (begins and " (in the function that begins here)" or "")
end

-- Raises `message` as the fault of the calling script. `hint`: further lines.
function report.misuse(message, hint)
  error(placed(message, report.caller(2)) .. (hint and "\n" .. hint or ""), 0)
end

-- Puts the script's position before a message that has none: a C function's, whose place in the engine tells an author nothing.
local function located(message, level, thread)
  message = message:gsub("^tide/[%w_.]+:%d+: ", "")
  if message:match("^[^\n]-:%d+: ") then
    return message
  end
  return placed(message, report.caller(level, thread))
end

-- Message handler for xpcall.
function report.locate(failure)
  return type(failure) == "string" and located(failure, 3) or failure
end

-- "file:line" of the script's call in which a coroutine raised; nil when none is on its stack.
function report.place(thread)
  local file, line = report.caller(0, thread)
  return file and ("%s:%d"):format(file, line)
end

-- What a coroutine raised, in words.
function report.raised(value, thread)
  return type(value) == "string" and located(value, 0, thread) or tostring(value)
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

-- What a message may be about, the most telling first: what a parser stands near, what is quoted, the function that was called.
local function subjects(message)
  local list = { message:match("near '([^']+)'") }
  for quoted in message:gmatch("'([^']+)'") do
    list[#list + 1] = quoted
  end
  local called = message:match("^([%w_.:]+): ")
  if called then
    list[#list + 1] = called
    list[#list + 1] = called:match("[%w_]+$")
  end
  return list
end

-- From and to of a word in a line: as a whole word when it is there as one.
local function find_word(line, word)
  local from, to = line:find("%f[%w_]" .. word:gsub("%p", "%%%0") .. "%f[^%w_]")
  if from then
    return from, to
  end
  return line:find(word, 1, true)
end

-- Column and width of what the message is about; without a width where the line begins.
local function place_in(line, message)
  for _, word in ipairs(subjects(message)) do
    local from, to = find_word(line, word)
    if from then
      return from, to - from + 1
    end
  end
  return line:find("%S") or 1, 0
end

-- What was raised, "file:line: message\nmore", as what base/finding.h tells of.
function report.finding(failure, code)
  local text = tostring(failure)
  local first, more = text:match("^([^\n]*)\n?(.*)$")
  local file, number, message = first:match("^(.-):(%d+): (.*)$")
  local source = file and source_of(file)
  local line = source and line_of(source, tonumber(number))
  local found = { code = code, file = file, line = tonumber(number), message = message or first, more = more ~= "" and more or nil }
  if line then
    found.source = line
    found.column, found.width = place_in(line, message)
  end
  return found
end

-- " (did you mean 'x'?)" with the candidate closest to `word`; "" when none is close enough to be what was meant.
function report.suggestion(word, candidates)
  local best, best_distance
  for _, candidate in ipairs(candidates) do
    local distance = report.distance(tostring(word):lower(), candidate:lower())
    if distance <= math.max(1, math.floor(#candidate / 3)) and (not best or distance < best_distance) then
      best, best_distance = candidate, distance
    end
  end
  return best and (" (did you mean '%s'?)"):format(best) or ""
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
