-- The description of the API (api/*.lua) for readers: as Markdown, as help on a terminal, as annotations for editors.
local _, load = ...

local report, plugin = load "report", load "plugin"
local reference = { sections = {}, all = {}, entries = {} } -- all: in order; entries: by name

local function add(section)
  reference.sections[#reference.sections + 1] = section
  for _, entry in ipairs(section) do
    reference.all[#reference.all + 1] = entry
    reference.entries[entry.name] = entry
  end
end

for _, listed in ipairs(load "api.index") do
  add(load("api." .. listed.module))
end
for _, name in ipairs(plugin.names) do
  add(plugin.manifest(name))
end

-- The entries below a name: of "tide.sql" and of "tide.Queue".
local function below(name)
  local list = {}
  for _, entry in ipairs(reference.all) do
    if entry.name:sub(1, #name) == name and entry.name:find("^[.:]", #name + 1) then
      list[#list + 1] = entry
    end
  end
  return list
end

local function unknown(name)
  local names = {}
  for i, entry in ipairs(reference.all) do
    names[i] = entry.name
  end
  return nil, ("the API has no '%s'%s; tidemill help tide lists all"):format(name, report.suggestion(name, names))
end

-- What belongs to a name: itself, what is below it, and what is below the classes that it is of or returns.
local function family(name)
  local entry = reference.entries[name]
  local list = below(name)
  if entry then
    table.insert(list, 1, entry)
  end
  local classes = { entry and { type = entry.type }, unpack(entry and entry.returns or {}) }
  for _, value in ipairs(classes) do
    for _, method in ipairs(value.type and below(value.type) or {}) do
      list[#list + 1] = method
    end
  end
  return list
end

-- The entries whose name ends with the word: of "consume", tide.Queue:consume.
local function ending(word)
  local list = {}
  for _, entry in ipairs(reference.all) do
    if entry.name:match "[%w_]+$" == word then
      list[#list + 1] = entry
    end
  end
  return list
end

-- The help of one name; of "tide" a list of everything. nil and why when there is no such name.
function reference.help(name)
  local text = load "reference.text"
  if name == "tide" then
    return text.overview(reference.sections)
  end
  local parts, list = {}, family(name)
  for i, entry in ipairs(#list > 0 and list or ending(name)) do
    parts[i] = text.entry(entry)
  end
  if #parts == 0 then
    return unknown(name)
  end
  return table.concat(parts, "\n")
end

function reference.markdown()
  return load("reference.text").document(reference.sections)
end

function reference.annotations()
  return load("reference.annotations")(reference.sections)
end

return reference
