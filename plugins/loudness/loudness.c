/* Loudness by EBU R128 (ITU-R BS.1770), measured by libebur128. */
#include <ebur128.h>
#include <math.h>

#include "tidemill_plugin.h"

static void meter_free(void *object)
{
    ebur128_state *state = object;

    ebur128_destroy(&state);
}

static bool meter_pcm(void *object, const float *samples, size_t frames)
{
    return ebur128_add_frames_float(object, samples, frames) == EBUR128_SUCCESS;
}

static const struct tidemill_handle_type meter_type = {"loudness meter", meter_free, meter_pcm};

/* meter(): an object for tide.media.decode. The histogram keeps its memory the same for any duration. */
static void meter(const struct tidemill_host *host, struct tidemill_call *call)
{
    ebur128_state *state =
        ebur128_init(TIDEMILL_PCM_CHANNELS, TIDEMILL_PCM_RATE,
                     EBUR128_MODE_I | EBUR128_MODE_LRA | EBUR128_MODE_TRUE_PEAK | EBUR128_MODE_HISTOGRAM);

    if (state)
        host->return_object(call, state, &meter_type);
    else
        host->fail(call, "unavailable", "not enough memory", true);
}

/* The highest of all channels, 1 is full scale; negative when it can't be told. */
static double true_peak(ebur128_state *state)
{
    double highest = 0, peak;

    for (unsigned channel = 0; channel < TIDEMILL_PCM_CHANNELS; channel++) {
        if (ebur128_true_peak(state, channel, &peak) != EBUR128_SUCCESS || isnan(peak))
            return -1;
        highest = peak > highest ? peak : highest;
    }
    return highest;
}

/* result(meter): { integrated in LUFS, range in LU, true_peak in dBTP } */
static void result(const struct tidemill_host *host, struct tidemill_call *call)
{
    ebur128_state *state = host->object(call, 1, &meter_type);
    double integrated, range, peak;

    if (!state) {
        host->fail(call, "invalid", "result wants a meter", false);
        return;
    }
    peak = true_peak(state);
    if (ebur128_loudness_global(state, &integrated) != EBUR128_SUCCESS ||
        ebur128_loudness_range(state, &range) != EBUR128_SUCCESS || peak < 0 || isnan(integrated) ||
        isnan(range)) {
        host->fail(call, "corrupt", "the sound has samples that are no numbers", false);
    } else if (isinf(integrated) || peak == 0) {
        host->fail(call, "silent", "the sound is silent: nothing of it is above -70 LUFS", false);
    } else {
        host->return_field(call, "integrated", integrated);
        host->return_field(call, "range", range);
        host->return_field(call, "true_peak", 20 * log10(peak));
    }
}

static const struct tidemill_function functions[] = {{"meter", meter, false}, {"result", result, true}, {0}};

TIDEMILL_PLUGIN = {TIDEMILL_PLUGIN_ABI, "loudness", "0.1.0", functions};
