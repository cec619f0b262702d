-- The one global of scripts. A part of it is made at its first use: a bundle pays for what it uses.
local native, load = ...

local report = load "report"
local tide = load("api").tide
load "plugin" -- what `require` finds
local cjson = native.cjson

cjson.decode_max_depth(64)
cjson.decode_invalid_numbers(false)
cjson.encode_max_depth(64)
cjson.encode_sparse_array(true)

local home, names = {}, {}
for _, section in ipairs(load "api.index") do
  for _, name in ipairs(section) do
    home[name] = section.module
    names[#names + 1] = name
  end
end

return setmetatable(tide, {
  __index = function(_, name)
    if not home[name] then
      report.misuse(("tide has no '%s'%s"):format(tostring(name), report.suggestion(name, names)))
    end
    load(home[name])
    return rawget(tide, name)
  end,
})
