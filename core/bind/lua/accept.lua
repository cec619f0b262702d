-- Which of the media types that a handler can answer with the client likes best (RFC 9110, 12.5.1).
local accept = {}

-- How well a range of Accept fits a type: 3 exactly, 2 "text/*", 1 "*/*", nil not at all.
local function fit(range, media_type)
  if range == media_type then
    return 3
  elseif range == "*/*" then
    return 1
  end
  local class = range:match("^([^/]+)/%*$")
  return class and class == media_type:match("^[^/]+") and 2 or nil
end

local function quality_of(header, media_type)
  local best, quality = 0, 0
  for item in header:gmatch("[^,]+") do
    local how = fit(item:match("^%s*([^;%s]*)"):lower(), media_type)
    if how and how > best then
      best, quality = how, tonumber(item:match(";%s*[qQ]=([%d.]+)") or 1) or 0
    end
  end
  return quality
end

-- The best of the offered types, the first one among equals and without a header; nil when none is acceptable.
function accept.best(header, offered)
  if not header then
    return offered[1]
  end
  local best, quality = nil, 0
  for _, media_type in ipairs(offered) do
    local q = quality_of(header, media_type)
    if q > quality then
      best, quality = media_type, q
    end
  end
  return best
end

return accept
