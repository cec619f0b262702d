-- plugins/NAME/init.lua: `require "NAME"` gives what it returns. NAME.c has what `native` is.
local _, native = ...

local plugin = {}

function plugin.words(text)
  return native.words(text)
end

return plugin
