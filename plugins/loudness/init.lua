-- loudness.c measures; what it measures is decoded in the media process.
local _, native = ...

local loudness = {}

function loudness.measure(file, options)
  local meter, err = native.meter()
  if not meter then
    return nil, err
  end
  local decoded, why = tide.media.decode(file, meter, options)
  if not decoded then
    return nil, why
  end
  return native.result(meter)
end

function loudness.gain(measured, target, peak)
  return math.min(target - measured.integrated, peak - measured.true_peak)
end

return loudness
