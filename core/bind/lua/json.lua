-- JSON as scripts write and read it: lua-cjson, with lists that stay lists when they are empty, and slashes as they are.
local native, load = ...

local api, report, cjson = load "api", load "report", native.cjson
local Failure = load "failure"
local json = { null = cjson.null }

-- lua-cjson 2.1.0 writes every empty table as {}. What stands for [] is an array that no script has a reason to make.
local EMPTY = { "\0tide.json.array" }
local EMPTY_AS_WRITTEN = cjson.encode(EMPTY)

local function failed(why)
  return nil, setmetatable({ code = "invalid", message = why, retryable = false }, Failure)
end

function json.encode(value)
  local text, why = cjson.encode(value)
  if not text then
    return failed(why)
  end
  if text:find("\\/", 1, true) then
    text = text:gsub("\\/", "/")
  end
  local first, last = text:find(EMPTY_AS_WRITTEN, 1, true)
  while first do
    text = text:sub(1, first - 1) .. "[]" .. text:sub(last + 1)
    first, last = text:find(EMPTY_AS_WRITTEN, first, true)
  end
  return text
end

function json.decode(text)
  local value, why = cjson.decode(text)
  if value == nil then
    return failed(why)
  end
  return value
end

function json.array(list)
  return next(list) == nil and EMPTY or list
end

api.define("json", { ["tide.json"] = json })

-- What a script gives to be written; raises in its name.
local function write(where, value)
  local text, failure = json.encode(value)
  if not text then
    report.misuse(("%s: this can't be written as JSON: %s"):format(where, failure.message))
  end
  return text
end

return { encode = json.encode, write = write }
