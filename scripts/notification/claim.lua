-- Claim: one worker at a time sends the e-mail of an MP3. A message comes to a second one when the first lost the broker, or
-- stood still, and may be at it all the same; SMTP has no way to ask. `mailing` in the MP3's metadata says until when a claim
-- holds, `mailed` that the e-mail is out.
local claim = {}
local none = tide.json.null

-- Seconds: until the e-mail must have been begun, and until another may claim it. In between a delivery (90 s at most) and
-- its note have to end.
local BEGIN, HOLD = 30, 150

local function holds(mailing)
  return mailing ~= nil and tide.now() < tonumber(mailing:match "^%d+")
end

-- A claim on the MP3; nil: it is another's, or the e-mail is out already.
function claim.take(mp3)
  local now, held = tide.now(), mp3.metadata.mailing
  if holds(held) then
    return nil
  end
  local name = ("%d %s"):format(now + HOLD, tide.id.new())
  local taken, err = mp3:annotate({ mailing = name }, { mailing = held or none, mailed = none })
  assert(taken ~= nil, err)
  return taken and { mp3 = mp3, name = name, before = now + BEGIN } or nil
end

-- The e-mail is not out: whoever comes next may try. What can't be written now ends by itself.
function claim.drop(mine)
  mine.mp3:annotate({ mailing = none }, { mailing = mine.name })
end

-- The e-mail is out. The note and the end of the message each keep another from sending it again: when the store takes no note
-- for long, the other has to do.
function claim.done(mine)
  local patience = tide.now() + BEGIN
  repeat
    local noted, err = mine.mp3:annotate { mailed = math.floor(tide.now()), mailing = none }
    if noted ~= nil then
      return tide.log.info("e-mail sent", { mp3 = mine.mp3.id })
    end
    tide.log.warn("an e-mail is out and not noted", { mp3 = mine.mp3.id, code = err.code, message = err.message })
    tide.sleep "1s"
  until tide.now() > patience
end

return claim
