-- tide.mail.send{ to = ..., subject = ..., text = ... }
local native, load = ...

local check, api = load "check", load "api.services"
local mail = {}

function mail.send(message)
  local m = check.options("tide.mail.send", api.mail, message)
  return native.mail_send(m.from, m.to, m.subject, m.text, m.html, m.id)
end

return mail
