-- plugins/NAME/init.lua: `require "NAME"` gives what it returns.
local plugin = {}

function plugin.words(text)
  return select(2, text:gsub("[^ ]+", ""))
end

return plugin
