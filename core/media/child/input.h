/*
 * The media file as libavformat sees it: a seekable AVIOContext over the channel, with a read-ahead cache, so
 * that a file whose index is at its end costs few round trips.
 */
#ifndef TIDE_MEDIA_CHILD_INPUT_H
#define TIDE_MEDIA_CHILD_INPUT_H

#include <libavformat/avio.h>
#include <stdbool.h>

#include "media/child/channel.h"

#define INPUT_WINDOWS 3
#define INPUT_WINDOW_MAX (512 * 1024)

struct input_window {
    uint8_t *data;
    int64_t offset;
    size_t length;
    unsigned used; /* the cache's clock when it was last read from */
};

struct input {
    struct channel *channel;
    AVIOContext *avio;
    int64_t length;
    int64_t position;
    bool past_end; /* something at or behind the end was asked for */
    struct input_window windows[INPUT_WINDOWS];
    int64_t next_offset; /* where a sequential reader would miss next */
    size_t next_size;
    unsigned clock;
};

/* False when memory is out. Reads nothing yet. */
bool input_init(struct input *input, struct channel *channel, int64_t length);
void input_release(struct input *input);

/* Copies up to len bytes at offset, fewer only at the end of the input. */
size_t input_peek(struct input *input, int64_t offset, void *buf, size_t len);

#endif
