-- Files that belong to a bundle and are read whole: templates, descriptions. Read once.
local native, load = ...

local report = load "report"
local cache = {}

-- The content and the file's path; raises in the name of the script when there is no such file.
return function(where, name)
  local path = native.directory .. "/" .. name
  if not cache[name] then
    if not name:match("^[%w_][%w_./-]*$") or name:find("..", 1, true) then
      report.misuse(("%s: '%s' is no name of a file of the bundle, such as \"ready.html\""):format(where, name))
    end
    local content, why = native.read_file(path)
    if not content then
      report.misuse(("%s: '%s': %s"):format(where, name, why))
    end
    cache[name], report.sources["@" .. path] = content, content
  end
  return cache[name], path
end
