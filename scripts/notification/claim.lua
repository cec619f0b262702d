-- Claim: one worker at a time sends the e-mail of an MP3. A message comes to a second one when the first lost the broker, or
-- stood still, and may be at it all the same; SMTP has no way to ask. `mailing` in the MP3's metadata says until when a claim
-- holds, `mailed` that the e-mail is out.
local claim = {}
local none = tide.json.null

-- Seconds: until the e-mail must have been begun, and until another may claim it. In between a delivery (90 s at most) and
-- its note have to end.
local BEGIN, HOLD = 30, 150
local SKEW = 60 -- seconds that two machines' clocks may differ by

-- One that ends later than any could was made before the clock was set back: nobody waits for that.
local function holds(mailing)
  local ends = mailing and tonumber(mailing:match "^%d+")
  local left = ends and ends - tide.now() or 0
  return left > 0 and left <= HOLD + SKEW
end

-- Notes something until the store answers, for some time; nil: it did not.
local function note(mp3, patch, where)
  local patience = tide.now() + BEGIN
  repeat
    local noted, err = mp3:annotate(patch, where)
    if noted ~= nil then
      return noted
    end
    tide.log.warn("the store takes no note about an e-mail", { mp3 = mp3.id, code = err.code, message = err.message })
    tide.sleep "1s"
  until tide.now() > patience
end

-- A claim on the MP3; nil: it is another's, or the e-mail is out already.
function claim.take(mp3)
  local now, held = tide.now(), mp3.metadata.mailing
  if holds(held) then
    return nil
  end
  local name = ("%d %s"):format(now + HOLD, tide.id.new())
  local taken, err = mp3:annotate({ mailing = name }, { mailing = held or none, mailed = none })
  if taken == nil and not note(mp3, { mailing = name }, { mailing = name }) then -- it may be there: the store died before its answer
    error(err)
  end
  return taken ~= false and { mp3 = mp3, name = name, before = now + BEGIN } or nil
end

-- The e-mail is not out: whoever comes next may try. What can't be written now ends by itself.
function claim.drop(mine)
  note(mine.mp3, { mailing = none }, { mailing = mine.name })
end

-- The e-mail is out. The note and the end of the message each keep another from sending it again: when the store takes no note
-- for long, the other has to do.
function claim.done(mine)
  if note(mine.mp3, { mailed = math.floor(tide.now()), mailing = none }) ~= nil then
    tide.log.info("e-mail sent", { mp3 = mine.mp3.id })
  end
end

return claim
