-- Runs one spec file with busted, and tells of each test as it ends.
local native, load = ...

local cjson = native.cjson
local debug = load("sandbox").debug
local leaks, tap = load "leaks", load "tap"

local function load_busted()
  local found, core = pcall(require, "busted.core")
  if not found then
    error("tidemill test needs busted for Lua 5.1: apt-get install lua-busted (or luarocks install busted)", 0)
  end
  local busted = core()
  require "busted"(busted)
  return busted
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

-- FILE:LINE of a test; one that is pending may have no function.
local function place_of(file, element)
  return element.run and ("%s:%d"):format(file, debug.getinfo(element.run, "S").linedefined) or file
end

local function text_of(message)
  if type(message) == "string" then
    return message
  end
  local meta = debug.getmetatable(message)
  return meta and meta.__tostring and tostring(message) or require("pl.pretty").write(message)
end

local function explanation(problem)
  local trace = problem.trace and problem.trace.traceback or ""
  return text_of(problem.message) .. (trace ~= "" and "\n" .. trace:gsub("^\n", "") or "")
end

-- ---- results ----

local WORDS = { passed = "ok", failed = "not ok", skipped = "ok" }

-- status: "passed", "failed", "skipped"; `text`: why it was not "passed"
local function tell(report, status, name, seconds, text)
  report[status] = report[status] + 1
  table.insert(report.results, { name = name, status = status, seconds = seconds or 0, text = text or "" })
  local skip = status == "skipped" and " # SKIP " .. text
  tap.line(report.passed + report.failed + report.skipped, WORDS[status], name, skip, report.color)
  if status == "failed" then
    tap.note(text)
  end
end

local function tell_failure(report, spec, name, seconds, text)
  local logged = log_since(spec.log_path, report.log_at)
  tell(report, "failed", name, seconds, text .. (logged ~= "" and "\nwhat the bundles logged:\n" .. logged or ""))
end

-- A test's end, with what went wrong beside it: in an upstream of the spec, or with what it left behind.
local function conclude(report, spec, test)
  local texts = { test.problem and explanation(test.problem) }
  for _, list in ipairs { spec.take_problems(), test.left, leaks.finish() } do
    for _, text in ipairs(test.status == "success" and list or {}) do
      texts[#texts + 1] = text
    end
  end
  if test.status == "pending" then
    tell(report, "skipped", test.name, test.seconds, test.problem and text_of(test.problem.message) or "pending")
  elseif test.status == "success" and #texts == 0 then
    tell(report, "passed", test.name, test.seconds)
  else
    tell_failure(report, spec, test.name, test.seconds, table.concat(texts, "\n"))
  end
end

-- Around all that a file has for each test, in the outermost block: what its after_each closes isn't left open.
local function watch_tests(busted, report, spec, problems)
  local test -- that runs

  busted.executors.before_each(function()
    report.log_at = log_end(spec.log_path)
    leaks.begin()
  end)
  busted.subscribe({ "test", "start" }, function(element)
    native.spec_watch(full_name(busted, element), place_of(report.file, element))
    spec.enter()
    test = {}
    return nil, true
  end)
  busted.subscribe({ "test", "end" }, function(element, _, status)
    local begun = test
    test = { name = full_name(busted, element), status = status, seconds = element.duration, problem = problems[element] }
    if begun then
      test.left = status == "success" and leaks.under_way() or {}
      spec.leave()
    end
    native.spec_watch(report.file, report.file)
    if element.descriptor == "pending" then -- no after_each follows
      conclude(report, spec, test)
      test = nil
    end
    return nil, true
  end)
  busted.executors.after_each(function()
    conclude(report, spec, test)
    test = nil
  end)
end

local function watch(busted, report, spec)
  local problems = {}

  local function remember(element, _, message, trace)
    problems[element] = { message = message, trace = trace }
    if element.descriptor ~= "it" then
      tell(report, "failed", ("%s: %s"):format(report.file, element.name or element.descriptor), 0, explanation(problems[element]))
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
  watch_tests(busted, report, spec, problems)
end

-- passed, failed, skipped: all counts so far, with those of the files before; and the file's tests as XML. line: 0, or of the test
-- to run.
return function(file, line, directory, options_json, passed, failed, skipped)
  local options = cjson.decode(options_json)
  local busted = load_busted()
  local spec = load("spec").new(directory, options.maildir)
  local report = { passed = passed, failed = failed, skipped = skipped, file = file, color = options.color, log_at = 0, results = {} }

  _G.tide.spec = spec.api
  tap.note(file)
  native.spec_watch(file, file)
  watch(busted, report, spec)
  local wrong = load("selection").apply(busted, options, line)
  if wrong then
    tell(report, "failed", file, 0, wrong)
  else
    require "busted.modules.test_file_loader"(busted, { "lua" })({ file }, {}, { excludes = {}, recursive = false })
    require "busted.execute"(busted)(1, {})
  end
  local left = leaks.rest()
  if #left > 0 then
    tell(report, "failed", file .. ": what is left open", 0, table.concat(left, "\n"))
  end
  spec.leave_all()
  io.stdout:flush()
  return report.passed, report.failed, report.skipped, load "junit"(file, report.results)
end
