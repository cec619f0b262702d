-- A file's tests as an element <testsuite> of JUnit's XML.
local native = ...

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function escape(text)
  if not native.is_utf8(text) then
    text = text:gsub("[\128-\255]", "?")
  end
  return (text:gsub('[&<>"]', ENTITIES):gsub("[%z\1-\8\11\12\14-\31]", "?"))
end

local function element(name, text)
  return ('<%s message="%s">%s</%s>'):format(name, escape(text:match "^[^\n]*"), escape(text), name)
end

-- `results`: { name, status = "passed" | "failed" | "skipped", seconds, text } in order
return function(file, results)
  local out, count, total = {}, { passed = 0, failed = 0, skipped = 0 }, 0
  for _, result in ipairs(results) do
    count[result.status], total = count[result.status] + 1, total + result.seconds
    out[#out + 1] = ('    <testcase classname="%s" name="%s" time="%.3f">%s</testcase>'):format(escape(file), escape(result.name),
      result.seconds, result.status == "failed" and element("failure", result.text)
      or result.status == "skipped" and element("skipped", result.text) or "")
  end
  return ('  <testsuite name="%s" tests="%d" failures="%d" errors="0" skipped="%d" time="%.3f">\n%s\n  </testsuite>\n'):format(
    escape(file), #results, count.failed, count.skipped, total, table.concat(out, "\n"))
end
