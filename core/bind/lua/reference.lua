-- The description of the API (api/*.lua) for readers: as Markdown, as help on a terminal, as annotations for editors.
local _, load = ...

local report = load "report"
local reference = { sections = {}, all = {}, entries = {} } -- all: in order; entries: by name

for i, listed in ipairs(load "api.index") do
  local section = load("api." .. listed.module)
  reference.sections[i] = section
  for _, entry in ipairs(section) do
    reference.all[#reference.all + 1] = entry
    reference.entries[entry.name] = entry
  end
end

-- "tide.sql" or "sql.query": the full name; nil when there is neither an entry nor anything below it.
local function full_name(name)
  for _, full in ipairs { name, "tide." .. name } do
    if reference.entries[full] or reference.below(full)[1] then
      return full
    end
  end
end

-- The entries below a name: of "tide.sql" and of "tide.Queue".
function reference.below(name)
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
  local meant = report.suggest(name, names) or report.suggest("tide." .. name, names)
  return nil, ("the API has no '%s'%s"):format(name, meant and (" (did you mean '%s'?)"):format(meant) or "; tidemill help tide lists all")
end

-- What belongs to a name: itself, what is below it, and what is below the classes that it returns.
local function family(full)
  local list = { reference.entries[full], unpack(reference.below(full)) }
  for _, value in ipairs(reference.entries[full] and reference.entries[full].returns or {}) do
    for _, entry in ipairs(reference.entries[value.type] and reference.below(value.type) or {}) do
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
  local full = full_name(name)
  if not full then
    return unknown(name)
  end
  local parts = {}
  for i, entry in ipairs(family(full)) do
    parts[i] = text.entry(entry)
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
