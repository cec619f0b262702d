-- The API in Markdown, of a kind that reads well on a terminal too.
local text = {}

-- ---- a function's head: tide.route(spec, options?, handler) ----

local function head(entry)
  if entry.fields or entry.type then
    return entry.name
  end
  local names = {}
  for i, param in ipairs(entry.params or {}) do
    names[i] = param.name .. ((param.optional or param.default ~= nil) and "?" or "")
  end
  if entry.variadic then
    names[#names + 1] = "..."
  end
  return ("%s(%s)"):format(entry.name, table.concat(names, ", "))
end

-- ---- what goes in ----

local function range(field)
  local unit = field.type:find "string" and " bytes" or ""
  if field.min and field.max then
    return ("%s to %s%s"):format(field.min, field.max, unit)
  elseif field.min and not field.as_given then
    return ("at least %s%s"):format(field.min, unit)
  elseif field.max and not field.pattern then
    return ("at most %s%s"):format(field.max, unit)
  end
end

local function literal(value)
  return ("`%s`"):format(type(value) == "string" and ("%q"):format(value) or tostring(value))
end

local function choices(field)
  local list = {}
  for i, choice in ipairs(field.choices) do
    list[i] = literal(choice)
  end
  return "one of " .. table.concat(list, ", ")
end

local function traits(field)
  local kind = (field.fields or field.each) and "table" or field.type
  if field.type and field.fields and field.type ~= "table" then
    kind = field.type .. "|table"
  end
  local list = { (kind:gsub("|", " or ")) }
  list[#list + 1] = field.choices and choices(field) or field.type and range(field) or nil
  if field.default ~= nil then
    list[#list + 1] = "default " .. literal(field.default)
  elseif field.optional then
    list[#list + 1] = "optional"
  end
  return table.concat(list, ", ")
end

local function add_fields(out, fields, indent)
  for _, field in ipairs(fields) do
    local name = field.name == 1 and "[1]" or field.name
    out[#out + 1] = ("%s- `%s` (%s)%s"):format(indent, name, traits(field), field.doc and ": " .. field.doc or "")
    if field.lua and field.type == "function" then
      out[#out] = ("%s. `%s`"):format(out[#out], field.lua)
    end
    if field.fields then
      add_fields(out, field.fields, indent .. "  ")
    end
  end
end

-- ---- what comes out ----

local function returned(entry)
  local list = {}
  for i, value in ipairs(entry.returns or {}) do
    local kind = value.lua and value.type ~= "function" and value.lua or value.type
    list[i] = ("`%s` (%s)%s"):format(value.name, kind:gsub("|", " or "), value.doc and ": " .. value.doc or "")
  end
  return #list > 0 and "Returns " .. table.concat(list, ", ") .. "." or nil
end

local function failures(entry)
  local list = {}
  for i, failure in ipairs(entry.fails or {}) do
    list[i] = ("`%s` (%s)"):format(failure[1], failure[2])
  end
  return #list > 0 and "Fails with " .. table.concat(list, ", ") .. "." or nil
end

local function manner(entry)
  if entry.fields or entry.type then
    return nil
  elseif entry.declares then
    return "Declares: at the top of a file only."
  elseif entry.waits then
    return "Waits: in handlers only."
  end
end

-- ---- one entry, all entries ----

local function body(entry)
  local out = { entry.doc }
  local fields = {}
  add_fields(fields, entry.fields or entry.params or {}, "")
  if entry.variadic then
    add_fields(fields, { entry.variadic }, "")
  end
  if #fields > 0 then
    out[#out + 1] = table.concat(fields, "\n")
  end
  local rest = {}
  for _, make in ipairs { returned, failures, manner } do
    rest[#rest + 1] = make(entry)
  end
  if entry.throws then
    table.insert(rest, #rest + 1, "Raises " .. entry.throws .. ".")
  end
  out[#out + 1] = #rest > 0 and table.concat(rest, "\n") or nil
  return out
end

local function indented(lines)
  return "    " .. lines:gsub("\n(.)", "\n    %1")
end

function text.entry(entry)
  local out = body(entry)
  table.insert(out, 1, head(entry))
  out[#out + 1] = entry.example and indented(entry.example) or nil
  return (table.concat(out, "\n\n"):gsub("\n*$", "\n"))
end

local PREFACE = [[
# Lua API

Written by `make docs` from the description that also checks the arguments. `tidemill help tide.queue` prints one part of it, and
`tidemill types` writes it as annotations for editors.

Everything is below the one global `tide`. What waits looks like an ordinary call: the handler's coroutine is suspended, and the worker
does other work. Quantities are words: a *duration* is `"250ms"`, `"30s"`, `"25m"`, `"2h"`, `"7d"` or a sum as
`"1h30m"`, a *size* `"8KiB"`, `"2MiB"` or `"5GiB"`, a *rate* `"10/s"`, `"100/m"` or `"5000/h"`. An *id* is a string of 24 hex digits.

**Errors.** A wrong call (an unknown option, another type, a value out of range) raises an error that names script, line and what would be
right: it is a bug in the script. What can go wrong at run time is returned: `nil` and a failure with `code`, `message` and `retryable`
(see `tide.Failure`). `assert` passes it on: the engine answers a request by the failure's code, and a message is retried or becomes a
dead letter. A handler whose time is over, or whose client is gone, ends where it waits.

**What of Lua is there.** Scripts run in LuaJIT (Lua 5.1) with `string`, `table`, `math`, `bit`, `coroutine`, `os.time`, `os.date`,
`os.clock`, `os.difftime`, and `require` for modules of the bundle and of `scripts/lib` and for listed
plugins, at the top of a file. There is no `io`, `ffi`,
`debug` (but `debug.traceback`), `print` (see `tide.log`) or bytecode. A global that is not declared is an error.

Everything here is there since 0.1.]]

local function listed(section, out)
  for _, entry in ipairs(section) do
    out[#out + 1] = ("- `%s`: %s"):format(head(entry), entry.doc)
  end
end

function text.document(sections)
  local out = { PREFACE }
  for _, section in ipairs(sections) do
    out[#out + 1] = "## " .. section.title
    out[#out + 1] = section.text
    for _, entry in ipairs(section) do
      out[#out + 1] = "### " .. head(entry):gsub("%?", "")
      for _, part in ipairs(body(entry)) do
        out[#out + 1] = part
      end
      out[#out + 1] = entry.example and "```lua\n" .. entry.example .. "\n```" or nil
    end
  end
  return table.concat(out, "\n\n") .. "\n"
end

function text.overview(sections)
  local out = {}
  for _, section in ipairs(sections) do
    out[#out + 1] = (#out > 0 and "\n" or "") .. section.title
    listed(section, out)
  end
  out[#out + 1] = "\ntidemill help tide.queue tells more of one of them."
  return table.concat(out, "\n") .. "\n"
end

return text
