/*
 * The child's end of the protocol (media/protocol.h): blocking calls on one descriptor. When the parent is
 * gone or breaks the protocol there is nobody to report to, so the process just ends: no call here fails.
 */
#ifndef TIDE_MEDIA_CHILD_CHANNEL_H
#define TIDE_MEDIA_CHILD_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "media/protocol.h"

struct channel {
    int fd;
    uint32_t percent; /* last told */
    int64_t told_at;  /* ms */
    size_t pending;   /* bytes in `output` */
    uint8_t output[64 * 1024];
};

void channel_init(struct channel *channel, int fd);

/* The first message. `title` is NUL-terminated. */
void channel_start(struct channel *channel, struct tide_frame_start *start,
                   char title[TIDE_MEDIA_TITLE_MAX + 1]);

/* Reads up to len (at most TIDE_MEDIA_READ_MAX) bytes of the input; fewer only at its end. */
size_t channel_read_at(struct channel *channel, int64_t offset, void *buf, size_t len);

/* Bytes of output; small ones are gathered. */
void channel_write(struct channel *channel, const void *data, size_t len);
void channel_patch(struct channel *channel, int64_t offset, const void *data, size_t len);
/* Told when it rose, and at most every 100 ms. */
void channel_progress(struct channel *channel, uint32_t percent);
void channel_result(struct channel *channel, const struct tide_frame_result *result);
void channel_error(struct channel *channel, const struct tide_err *err);

#endif
