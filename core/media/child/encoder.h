/*
 * An encoder: takes planar float samples, writes a finished stream to an output. One implementation, LAME
 * (mp3_encoder.c), one thread; an encoder that cuts the sound into segments and encodes them side by side
 * fits behind the same three calls.
 */
#ifndef TIDE_MEDIA_CHILD_ENCODER_H
#define TIDE_MEDIA_CHILD_ENCODER_H

#include "media/child/output.h"

struct encoder_config {
    int sample_rate;   /* Hz, one of MPEG's nine */
    int channels;      /* 1 or 2 */
    int vbr;           /* 0 (best) to 9, or -1: constant bit rate */
    int bitrate;       /* kbit/s when vbr is -1 */
    const char *title; /* UTF-8, may be empty */
};

struct encoder;

/* NULL with err on failure. The output outlives the encoder. */
struct encoder *encoder_open(const struct encoder_config *config, struct output *output,
                             struct tide_err *err);
/* `count` samples of each channel, full scale is 1, none above 32 or NaN. With one channel the second isn't
 * looked at. */
TIDE_WARN_UNUSED bool encoder_encode(struct encoder *encoder, const float *const samples[2], int count,
                                     struct tide_err *err);
/* Writes what is held back and completes the header. */
TIDE_WARN_UNUSED bool encoder_finish(struct encoder *encoder, struct tide_err *err);
void encoder_close(struct encoder *encoder);

#endif
