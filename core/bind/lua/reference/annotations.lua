-- The API as annotations of the Lua language server (LuaLS): a `---@meta` file, read by editors and never run.
local out

local function add(format, ...)
  out[#out + 1] = select("#", ...) > 0 and format:format(...) or format
end

local function add_doc(doc)
  add("---%s", (doc:gsub("\n", "\n---")))
end

local words = {
  id = "string", duration = "tide.duration", size = "tide.size", rate = "tide.rate", quality = "tide.quality",
  headers = "table<string, string|number|string[]>",
  labels = "table<string, string|number>", conditions = "table<string, string|lightuserdata>",
}

local function type_of(field, options)
  if field.lua then
    return field.lua
  elseif field.fields then
    return (field.type and field.type ~= "table" and field.type .. "|" or "") .. options
  end
  return (field.type:gsub("[^|]+", words))
end

local function optional(field)
  return (field.optional or field.default ~= nil) and "?" or ""
end

-- Behind a class of options: it has no other names, which `(exact)` alone says of assignments only.
local function closed(fields)
  local names = {}
  for i, field in ipairs(fields) do
    names[i] = (field.name == 1 and "[1]" or field.name) .. ": any"
  end
  names[#names + 1] = "[string]: nil"
  return table.concat(names, ", ")
end

-- A table of options is a class of its own: "tide.route.options".
local function add_options(name, fields)
  for _, field in ipairs(fields) do
    if field.fields then
      add_options(name .. "." .. field.name, field.fields)
    end
  end
  add("---@class (exact) %s: { %s }", name, closed(fields))
  for _, field in ipairs(fields) do
    local shown = field.name == 1 and "[1]" or field.name .. optional(field)
    add("---@field %s %s%s", shown, type_of(field, name .. "." .. field.name), field.doc and " # " .. field.doc or "")
  end
  add("")
end

local function add_class(entry)
  add_doc(entry.doc)
  add("---@class %s", entry.name)
  for _, field in ipairs(entry.fields) do
    local shown = field.name == 1 and "[1]" or field.name .. optional(field)
    add("---@field %s %s%s", shown, type_of(field), field.doc and " # " .. field.doc or "")
  end
  add("local %s = {}\n", entry.name:match("%w+$"))
end

local function add_returns(entry)
  local fails = entry.fails and "?" or ""
  for _, value in ipairs(entry.returns or {}) do
    local kind = type_of(value)
    if kind:find("|", 1, true) and fails ~= "" then
      kind = "(" .. kind .. ")"
    end
    add("---@return %s%s %s%s", kind, value.optional and "?" or fails, value.name, value.doc and " # " .. value.doc or "")
  end
  if entry.fails then
    local codes = {}
    for i, failure in ipairs(entry.fails) do
      codes[i] = failure[1]
    end
    add("---@return tide.Failure err # %s", table.concat(codes, ", "))
  end
end

-- The options before a handler may be left out.
local function add_overload(entry, class)
  local params = entry.params or {}
  local handler, options = params[#params], params[#params - 1]
  if not (handler and handler.type == "function" and options and options.fields) then
    return
  end
  local list = { class and "self: " .. class }
  for i, param in ipairs(params) do
    if i ~= #params - 1 then
      list[#list + 1] = ("%s: %s"):format(param.name, type_of(param))
    end
  end
  add("---@overload fun(%s)", table.concat(list, ", "))
end

local function add_function(entry)
  local class, method = entry.name:match("^([%l_]+%.%u%w*):(.*)$")
  local name = class and class:match("%w+$") .. ":" .. method or entry.name
  local options, names = entry.name:gsub(":", ".") .. ".", {}
  for i, param in ipairs(entry.params or {}) do
    names[i] = param.name
    if param.fields then
      add_options(options .. param.name, param.fields)
    end
  end
  add_doc(entry.doc)
  for _, param in ipairs(entry.params or {}) do
    add("---@param %s%s %s%s", param.name, optional(param), type_of(param, options .. param.name), param.doc and " # " .. param.doc or "")
  end
  if entry.variadic then
    names[#names + 1] = "..."
    add("---@param ... %s # %s", type_of(entry.variadic), entry.variadic.doc)
  end
  add_returns(entry)
  add_overload(entry, class)
  add("function %s(%s) end\n", name, table.concat(names, ", "))
end

local namespaces

local function add_entry(entry)
  local namespace = entry.name:match("^(tide%.%l+)%.") or entry.name:match("^([%l_]+)%.")
  if not namespaces[namespace] then
    namespaces[namespace] = true
    add("---@class %s\n%s%s = {}\n", namespace, namespace:find("%.") and "" or "local ", namespace) -- a plugin's is local
  end
  if entry.fields then
    add_class(entry)
  elseif entry.type then
    add_doc(entry.doc)
    add("---@type %s\n%s = nil\n", entry.type, entry.name)
  else
    add_function(entry)
  end
end

return function(sections)
  out, namespaces = {}, { tide = true }
  add("---@meta tide\n-- Written by `tidemill types`. Editors read it; it is never run.\n")
  add('---@alias tide.duration string # "250ms", "30s", "25m", "2h"')
  add('---@alias tide.quality string # "V0" (best) to "V9", "64k" to "320k"')
  add('---@alias tide.size string # "8KiB", "2MiB", "5GiB"')
  add('---@alias tide.rate string # "10/s", "100/m", "5000/h"\n')
  add("---@class tide\ntide = {}\n")
  for _, section in ipairs(sections) do
    for _, entry in ipairs(section) do
      add_entry(entry)
    end
  end
  return table.concat(out, "\n")
end
