/*
 * Decoded frames as what an encoder takes: planar floats of one sample rate and one or two channels. Frames
 * that are like that already are passed through without a copy.
 */
#ifndef TIDE_MEDIA_CHILD_PCM_H
#define TIDE_MEDIA_CHILD_PCM_H

#include <libavutil/channel_layout.h>
#include <libavutil/frame.h>
#include <libswresample/swresample.h>
#include <stdbool.h>

#include "base/err.h"

struct pcm {
    int sample_rate, channels; /* of what comes out */
    SwrContext *swr;           /* NULL while frames pass through */
    int in_rate, in_format;    /* what swr was made for */
    AVChannelLayout in_layout;
    float *buffers[2];
    int capacity; /* samples in each buffer */
};

struct pcm_block {
    const float *samples[2]; /* valid until the next call */
    int count;               /* in each channel */
};

/* Decides on the output from the first frame; channels and sample_rate 0 mean as the input. */
TIDE_WARN_UNUSED bool pcm_init(struct pcm *pcm, const AVFrame *first, int channels, int sample_rate,
                               struct tide_err *err);
void pcm_release(struct pcm *pcm);

/* The input may change its format from frame to frame. */
TIDE_WARN_UNUSED bool pcm_convert(struct pcm *pcm, const AVFrame *frame, struct pcm_block *block,
                                  struct tide_err *err);
/* What the resampler still holds, at the end. */
TIDE_WARN_UNUSED bool pcm_drain(struct pcm *pcm, struct pcm_block *block, struct tide_err *err);

#endif
