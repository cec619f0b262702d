/* The container of the input: finds out what it is, opens it and chooses its sound. Everything else in it is
 * skipped. */
#ifndef TIDE_MEDIA_CHILD_CONTAINER_H
#define TIDE_MEDIA_CHILD_CONTAINER_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdbool.h>

#include "base/err.h"
#include "media/child/input.h"

struct container {
    struct input *input;
    AVFormatContext *format;
    AVStream *sound;
    const AVCodec *codec;
    int64_t duration_us; /* declared, of the sound or else of the whole; 0 when not known */
    bool exact;          /* duration_us is of the sound itself and not an estimate */
    bool cut;            /* the container says that it is longer than the file */
    bool gaps;           /* its time stamps are good enough to tell silence from nothing */
};

TIDE_WARN_UNUSED bool container_open(struct container *container, struct input *input, struct tide_err *err);
void container_close(struct container *container);

/* Whether AVERROR `rc` says that memory ran out. libavformat and the decoders fail in the same way, with
 * plenty left, on the size of something that a damaged file claims to hold. */
bool is_out_of_memory(int rc);

/* Reads the next packet of the sound. 1: there is one. 0: the end. Negative: AVERROR, as the end but broken.
 */
int container_read(struct container *container, AVPacket *packet);

/* First word of libavformat's name: "mov". */
void container_name(const struct container *container, char *name, size_t size);

/* How far the reading is, 0..1, by the bytes read. */
double container_position(const struct container *container);

#endif
