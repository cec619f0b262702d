-- Templates of a bundle: {{ name }} is replaced by a variable, escaped in .html files. Read once, at first use at load or later.
local _, load = ...

local report, read = load "report", load "bundle_file"

local escapes = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local HOLE = "{{%s*([%w_]+)%s*}}"

local texts = {} -- name -> text, when there is nothing wrong with it

local function refuse(path, text, at)
  local _, lines = text:sub(1, at):gsub("\n", "")
  local what = text:match("^[^\n]-}}", at) or text:match("^[^\n]*", at)
  error(("%s:%d: '%s' is no variable: write {{ name }}, of letters, digits and '_'"):format(path, lines + 1, what), 0)
end

-- Raises in the name of the script when there is no such template, in the template's own when it is wrong.
local function text_of(name)
  if not texts[name] then
    local text, path = read("tide.template", name)
    for at in text:gmatch("(){{%f[^{]") do
      if not text:find("^" .. HOLE, at) then
        refuse(path, text, at)
      end
    end
    texts[name] = text
  end
  return texts[name]
end

local function not_given(name, key)
  report.misuse(("tide.template: '%s' uses '%s', which is not given"):format(name, key))
end

local function template(name, variables)
  local html = name:match("%.html?$")
  local text = text_of(name):gsub(HOLE, function(key)
    local value = variables and variables[key]
    if value == nil then
      not_given(name, key)
    end
    value = tostring(value)
    return html and value:gsub("[&<>\"']", escapes) or value
  end)
  return text
end

-- A call whose template's name is written out, and perhaps its variables' names.
local function examine(arguments)
  local name, given = arguments[1] and arguments[1].value, arguments[2]
  if name == nil then
    return
  end
  local text = text_of(name)
  if given and given.fields and not given.open then
    for key in text:gmatch(HOLE) do
      if not given.fields[key] then
        not_given(name, key)
      end
    end
  end
end

load("api").define("template", { tide = { template = template } }, { ["tide.template"] = examine })
