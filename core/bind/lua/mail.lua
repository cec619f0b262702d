-- tide.mail.send{ to = ..., subject = ..., text = ... }
local native, load = ...

local mail = {}

function mail.send(m)
  return native.mail_send(m.from, m.to, m.subject, m.text, m.html, m.id, m.before)
end

load("api").define("mail", { ["tide.mail"] = mail })
