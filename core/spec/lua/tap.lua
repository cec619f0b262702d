-- Prints a line a test (TAP: https://testanything.org/tap-version-13-specification.html), and below one that failed why.
local STDOUT = io.stdout
local COLORS = { ok = "\27[32m", ["not ok"] = "\27[31m", skip = "\27[33m" }
local tap = {}

function tap.note(text)
  STDOUT:write((("# " .. text):gsub("\n+$", ""):gsub("\n", "\n# ")), "\n")
end

function tap.line(number, word, name, directive, color)
  if color then
    word = (directive and COLORS.skip or COLORS[word]) .. word .. "\27[0m"
  end
  STDOUT:write(("%s %d - %s%s\n"):format(word, number, name, directive or ""))
  STDOUT:flush()
end

return tap
