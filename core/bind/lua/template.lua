-- Templates of a bundle: {{ name }} is replaced by a variable, escaped in .html files. Read once, at first use at load or later.
local native, load = ...

local check, report = load "check", load "report"
local template = {}
local cache = {}

local escapes = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function source_of(name)
  if not cache[name] then
    if not name:match("^[%w_][%w_./-]*$") or name:find("..", 1, true) then
      report.misuse(("tide.template: '%s' is no name of a template: a file of the bundle, as \"ready.html\""):format(name))
    end
    local source, why = native.read_file(native.directory .. "/" .. name)
    if not source then
      report.misuse(("tide.template: '%s': %s"):format(name, why))
    end
    cache[name] = source
  end
  return cache[name]
end

function template.render(name, variables)
  check.value("tide.template", { name = "name", type = "string" }, name)
  check.value("tide.template", { name = "variables", type = "table", optional = true }, variables)
  local html = name:match("%.html?$")
  local text = source_of(name):gsub("{{%s*([%w_]+)%s*}}", function(key)
    local value = variables and variables[key]
    if value == nil then
      report.misuse(("tide.template: '%s' uses '%s', which is not given"):format(name, key))
    end
    value = tostring(value)
    return html and value:gsub("[&<>\"']", escapes) or value
  end)
  return text
end

return template
