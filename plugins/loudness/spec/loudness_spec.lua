-- What the measures have to be is known from the files: a sine of 997 Hz at 0 dBFS in one channel has -3.01 LUFS.
describe("loudness", function()
  local app = tide.spec.bundle("meter", { source = [[
    local loudness = require "loudness"
    local sounds = tide.bucket "sounds"
    tide.route("GET /{id}", { params = { id = "id" } }, function(req)
      local file = assert(sounds:open(req.params.id))
      local measured, err = loudness.measure(file, { max_duration = req.query.max })
      if not measured then
        return tide.respond.json(422, { code = err.code, message = err.message })
      end
      measured.gain, measured.most = loudness.gain(measured, -23), loudness.gain(measured, 0)
      return measured
    end)
  ]] })

  -- A WAV file of `seconds` of a sine in the channels given, 16 bit, 48 kHz.
  local function sine(seconds, amplitude, left, right)
    local function number(value, bytes)
      local out = {}
      for i = 1, bytes do
        out[i] = string.char(value % 256)
        value = math.floor(value / 256)
      end
      return table.concat(out)
    end
    local samples, rate = {}, 48000
    for i = 1, seconds * rate do
      local value = math.floor(amplitude * 32767 * math.sin(2 * math.pi * 997 * i / rate) + 0.5) % 65536
      samples[i] = number(left and value or 0, 2) .. number(right and value or 0, 2)
    end
    local data = table.concat(samples)
    return "RIFF" .. number(36 + #data, 4) .. "WAVEfmt " .. number(16, 4) .. number(1, 2) .. number(2, 2) .. number(rate, 4)
      .. number(rate * 4, 4) .. number(4, 2) .. number(16, 2) .. "data" .. number(#data, 4) .. data
  end

  local function measure(bytes, query)
    local answer = app:get("/" .. app:put("sounds", { bytes = bytes }) .. (query or ""))
    return answer:json(), answer.status
  end

  it("measures a sine of a known loudness", function()
    local one = measure(sine(4, 1, true, false))
    assert.near(-3.01, one.integrated, 0.1)
    assert.near(0, one.true_peak, 0.1)
    assert.near(0, one.range, 0.1)
    assert.near(-23 + 3.01, one.gain, 0.1)
    assert.near(-20, measure(sine(4, 0.1, true, true)).integrated, 0.1)
  end)

  it("keeps the peaks below full scale when it turns up", function()
    local half = measure(sine(4, 0.5, true, true))
    assert.near(-6.02, half.true_peak, 0.1)
    assert.near(-1 + 6.02, half.most, 0.1)
  end)

  it("tells what can't be measured", function()
    assert.equal("silent", measure(sine(1, 0, true, true)).code)
    assert.equal("unsupported", measure("hello").code)
    assert.equal("too_long", measure(sine(2, 1, true, true), "?max=1s").code)
  end)
end)
