#include "media/child/pcm.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "media/media.h"

#define RATE_MIN 8000
#define RATE_MAX 192000
#define CHANNELS_MAX 8
/* LAME aborts on NaN, infinity and huge numbers. What is louder than this is no sound: full scale is 1. */
#define SAMPLE_LIMIT 32.0f

static bool check_frame(const AVFrame *frame, struct tide_err *err)
{
    if (frame->sample_rate < RATE_MIN || frame->sample_rate > RATE_MAX)
        return tide_err_set(err, TIDE_MEDIA_UNSUPPORTED, false,
                            "a sample rate of %d Hz; 8000 to 192000 are taken", frame->sample_rate);
    if (frame->ch_layout.nb_channels < 1 || frame->ch_layout.nb_channels > CHANNELS_MAX)
        return tide_err_set(err, TIDE_MEDIA_UNSUPPORTED, false, "%d channels; 1 to %d are taken",
                            frame->ch_layout.nb_channels, CHANNELS_MAX);
    return true;
}

/* MP3 knows nine rates: the next one that keeps all the sound, or an exact half or quarter above 48 kHz. */
static int nearest_rate(int rate)
{
    static const int rates[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};

    if (rate > 48000)
        return rate % 44100 == 0 ? 44100 : 48000;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        if (rate <= rates[i])
            return rates[i];
    return 48000;
}

bool pcm_init(struct pcm *pcm, const AVFrame *first, int channels, int sample_rate, struct tide_err *err)
{
    memset(pcm, 0, sizeof *pcm);
    if (!check_frame(first, err))
        return false;
    pcm->sample_rate = sample_rate ? sample_rate : nearest_rate(first->sample_rate);
    pcm->channels = channels ? channels : first->ch_layout.nb_channels == 1 ? 1 : 2;
    return true;
}

void pcm_release(struct pcm *pcm)
{
    swr_free(&pcm->swr);
    av_channel_layout_uninit(&pcm->in_layout);
    free(pcm->buffers[0]);
    free(pcm->buffers[1]);
}

static bool no_memory(struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_LIMIT, false, "out of memory while converting samples");
}

static bool reserve(struct pcm *pcm, int count, struct tide_err *err)
{
    if (count <= pcm->capacity)
        return true;
    for (int i = 0; i < 2; i++) {
        float *bigger = realloc(pcm->buffers[i], (size_t)count * sizeof *bigger);

        if (!bigger)
            return no_memory(err);
        pcm->buffers[i] = bigger;
    }
    pcm->capacity = count;
    return true;
}

/* True when some sample is NaN, infinite or 32 and more: then its exponent is 132 at least, and adding 124 to
 * it carries into the sign bit, which was masked away. Two samples at a time, as this looks at every sample
 * of the file. */
static bool has_extremes(const float *samples, int count)
{
    const uint64_t exponents = UINT64_C(0x7F8000007F800000), bias = UINT64_C(124) << 23 | UINT64_C(124) << 55;
    uint64_t carry = 0, pair;
    int i;

    for (i = 0; i + 2 <= count; i += 2) {
        memcpy(&pair, samples + i, sizeof pair);
        carry |= (pair & exponents) + bias;
    }
    if (i < count) {
        pair = 0;
        memcpy(&pair, samples + i, sizeof *samples);
        carry |= (pair & exponents) + bias;
    }
    return carry & UINT64_C(0x8000000080000000);
}

static void clamp(float *to, const float *from, int count)
{
    for (int i = 0; i < count; i++) {
        float x = from[i];

        to[i] = x >= -SAMPLE_LIMIT && x <= SAMPLE_LIMIT ? x
                : x > 0                                 ? SAMPLE_LIMIT
                : x < 0                                 ? -SAMPLE_LIMIT
                                                        : 0;
    }
}

static bool make_safe(struct pcm *pcm, struct pcm_block *block, struct tide_err *err)
{
    for (int i = 0; i < pcm->channels; i++) {
        if (!has_extremes(block->samples[i], block->count))
            continue;
        if (!reserve(pcm, block->count, err))
            return false;
        clamp(pcm->buffers[i], block->samples[i], block->count);
        block->samples[i] = pcm->buffers[i];
    }
    return true;
}

static bool make_swr(struct pcm *pcm, const AVFrame *frame, struct tide_err *err)
{
    AVChannelLayout out, in = {0};
    int rc;

    av_channel_layout_default(&out, pcm->channels);
    if (frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(&in, frame->ch_layout.nb_channels);
    else if (av_channel_layout_copy(&in, &frame->ch_layout) < 0)
        return no_memory(err);
    swr_free(&pcm->swr);
    rc = swr_alloc_set_opts2(&pcm->swr, &out, AV_SAMPLE_FMT_FLTP, pcm->sample_rate, &in,
                             (enum AVSampleFormat)frame->format, frame->sample_rate, 0, NULL);
    if (rc >= 0)
        rc = swr_init(pcm->swr);
    av_channel_layout_uninit(&in);
    if (rc == AVERROR(ENOMEM) || (rc >= 0 && av_channel_layout_copy(&pcm->in_layout, &frame->ch_layout) < 0))
        return no_memory(err);
    if (rc < 0)
        return tide_err_set(err, TIDE_MEDIA_UNSUPPORTED, false,
                            "this layout of channels cannot be converted");
    pcm->in_rate = frame->sample_rate;
    pcm->in_format = frame->format;
    return true;
}

static bool run_swr(struct pcm *pcm, const AVFrame *frame, struct pcm_block *block, struct tide_err *err)
{
    int in_count = frame ? frame->nb_samples : 0;
    int room = swr_get_out_samples(pcm->swr, in_count);
    int n;

    if (room < 0 || !reserve(pcm, room + 1, err))
        return no_memory(err);
    n = swr_convert(pcm->swr, (uint8_t **)pcm->buffers, pcm->capacity,
                    frame ? (const uint8_t **)(uintptr_t)frame->extended_data : NULL, in_count);
    if (n < 0)
        return tide_err_set(err, TIDE_MEDIA_CORRUPT, false, "the samples cannot be converted");
    block->samples[0] = pcm->buffers[0];
    block->samples[1] = pcm->channels == 2 ? pcm->buffers[1] : pcm->buffers[0];
    block->count = n;
    return make_safe(pcm, block, err);
}

bool pcm_convert(struct pcm *pcm, const AVFrame *frame, struct pcm_block *block, struct tide_err *err)
{
    if (!check_frame(frame, err))
        return false;
    if (!pcm->swr && frame->format == AV_SAMPLE_FMT_FLTP && frame->sample_rate == pcm->sample_rate &&
        frame->ch_layout.nb_channels == pcm->channels) {
        block->samples[0] = (const float *)frame->extended_data[0];
        block->samples[1] = (const float *)frame->extended_data[pcm->channels - 1];
        block->count = frame->nb_samples;
        return make_safe(pcm, block, err);
    }
    if (!pcm->swr || frame->sample_rate != pcm->in_rate || frame->format != pcm->in_format ||
        av_channel_layout_compare(&frame->ch_layout, &pcm->in_layout) != 0)
        if (!make_swr(pcm, frame, err))
            return false;
    return run_swr(pcm, frame, block, err);
}

bool pcm_drain(struct pcm *pcm, struct pcm_block *block, struct tide_err *err)
{
    block->count = 0;
    return !pcm->swr || run_swr(pcm, NULL, block, err);
}
