-- Templates of a bundle: {{ name }} is replaced by a variable, escaped in .html files. Read once, at first use at load or later.
local _, load = ...

local report, read = load "report", load "bundle_file"

local escapes = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function template(name, variables)
  local html = name:match("%.html?$")
  local text = read("tide.template", name):gsub("{{%s*([%w_]+)%s*}}", function(key)
    local value = variables and variables[key]
    if value == nil then
      report.misuse(("tide.template: '%s' uses '%s', which is not given"):format(name, key))
    end
    value = tostring(value)
    return html and value:gsub("[&<>\"']", escapes) or value
  end)
  return text
end

load("api").define("template", { tide = { template = template } })
