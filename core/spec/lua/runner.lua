-- Runs one spec file with busted and prints a line a test (TAP: https://testanything.org/tap-version-13-specification.html).
local native, load = ...

local cjson = native.cjson
local debug = load("sandbox").debug
local STDOUT = io.stdout

local function load_busted()
  local found, core = pcall(require, "busted.core")
  if not found then
    error("tidemill test needs busted for Lua 5.1: apt-get install lua-busted (or luarocks install busted)", 0)
  end
  local busted = core()
  require "busted"(busted)
  return busted
end

local colors = { ok = "\27[32m", ["not ok"] = "\27[31m", skip = "\27[33m" }

local function say(report, word, name, directive)
  report.number = report.number + 1
  local shown = word
  if report.color then
    shown = (directive and colors.skip or colors[word]) .. word .. "\27[0m"
  end
  STDOUT:write(("%s %d - %s%s\n"):format(shown, report.number, name, directive or ""))
  STDOUT:flush()
end

local function note(text)
  STDOUT:write((("# " .. text):gsub("\n+$", ""):gsub("\n", "\n# ")), "\n")
end

-- What the bundles under test logged since `from`.
local function log_since(log, from)
  local file = assert(io.open(log))
  file:seek("set", from)
  local text = file:read "*a"
  file:close()
  return text
end

local function log_end(log)
  local file = assert(io.open(log))
  local at = file:seek "end"
  file:close()
  return at
end

local function full_name(busted, element)
  local names = { element.name }
  local parent = busted.context.parent(element)
  while parent and parent.descriptor ~= "file" and parent.name do
    table.insert(names, 1, parent.name)
    parent = busted.context.parent(parent)
  end
  return table.concat(names, " ")
end

local function text_of(message)
  if type(message) == "string" then
    return message
  end
  local meta = debug.getmetatable(message)
  return meta and meta.__tostring and tostring(message) or require("pl.pretty").write(message)
end

local function explain(problem)
  if not problem then
    return
  end
  note(text_of(problem.message))
  if problem.trace and problem.trace.traceback then
    note((problem.trace.traceback:gsub("^\n", "")))
  end
end

local function watch(busted, report, spec)
  local problems = {}

  local function remember(element, _, message, trace)
    problems[element] = { message = message, trace = trace }
    if element.descriptor ~= "it" then
      report.failed = report.failed + 1
      say(report, "not ok", ("%s: %s"):format(report.file, element.name or element.descriptor))
      explain(problems[element])
    end
    return nil, true
  end
  busted.subscribe({ "failure" }, remember)
  busted.subscribe({ "error" }, remember)
  busted.subscribe({ "pending" }, function(element, _, message)
    problems[element] = { message = message }
    return nil, true
  end)

  busted.subscribe({ "describe", "start" }, function() spec.enter() return nil, true end)
  busted.subscribe({ "describe", "end" }, function() spec.leave() return nil, true end)

  busted.subscribe({ "test", "start" }, function(element)
    native.spec_watch(full_name(busted, element))
    report.log_at = log_end(spec.log_path)
    spec.enter()
    return nil, true
  end)
  busted.subscribe({ "test", "end" }, function(element, _, status)
    spec.leave()
    native.spec_watch(report.file)
    local name, problem = full_name(busted, element), problems[element]
    if status == "success" then
      report.passed = report.passed + 1
      say(report, "ok", name)
    elseif status == "pending" then
      report.skipped = report.skipped + 1
      say(report, "ok", name, " # SKIP " .. (problem and text_of(problem.message) or "pending"))
    else
      report.failed = report.failed + 1
      say(report, "not ok", name)
      explain(problem)
      local logged = log_since(spec.log_path, report.log_at)
      if logged ~= "" then
        note("what the bundles logged:\n" .. logged)
      end
    end
    return nil, true
  end)
end

local function filter(busted, options)
  require "busted.modules.filter_loader"()(busted, {
    tags = options.tags, excludeTags = options.exclude_tags, filter = options.filter, filterOut = {}, list = false,
    nokeepgoing = false, suppressPending = false,
  })
end

-- passed, failed, skipped: all counts so far, with those of the files before.
return function(file, directory, options_json, passed, failed, skipped)
  local options = cjson.decode(options_json)
  local busted = load_busted()
  local spec = load("spec").new(directory, options.maildir)
  local report = { passed = passed, failed = failed, skipped = skipped, number = passed + failed + skipped, file = file,
    color = options.color, log_at = 0 }

  _G.tide.spec = spec.api
  note(file)
  native.spec_watch(file)
  watch(busted, report, spec)
  filter(busted, options)
  require "busted.modules.test_file_loader"(busted, { "lua" })({ file }, {}, { excludes = {}, recursive = false })
  require "busted.execute"(busted)(1, {})
  spec.leave_all()
  STDOUT:flush()
  return report.passed, report.failed, report.skipped
end
