-- A WAV file of a tone: media for specs that needs no file and no encoder.
local RATE = 44100

local function le(value, bytes)
  local out = {}
  for i = 1, bytes do
    out[i] = string.char(value % 256)
    value = math.floor(value / 256)
  end
  return table.concat(out)
end

return function(seconds)
  local frames = math.floor(seconds * RATE)
  local data = {}
  for i = 1, frames do
    local sample = math.floor(8000 * math.sin(2 * math.pi * 440 * i / RATE))
    data[i] = le(sample % 65536, 2)
  end
  local bytes = frames * 2
  return "RIFF" .. le(36 + bytes, 4) .. "WAVEfmt " .. le(16, 4) .. le(1, 2) .. le(1, 2) .. le(RATE, 4) .. le(RATE * 2, 4)
    .. le(2, 2) .. le(16, 2) .. "data" .. le(bytes, 4) .. table.concat(data)
end
