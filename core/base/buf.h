/*
 * A growing byte buffer with a limit. Always NUL-terminated behind `len`, so `data` can be used as a C
 * string when its bytes are text. Owned by whoever declared it; any thread, one at a time.
 */
#ifndef TIDE_BASE_BUF_H
#define TIDE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct tide_buf {
    char *data; /* NULL until the first append */
    size_t len; /* bytes */
    size_t cap;
    size_t max;    /* most bytes it may hold */
    bool overflow; /* an append was refused: the content is incomplete */
};

void tide_buf_init(struct tide_buf *buf, size_t max);
void tide_buf_release(struct tide_buf *buf);
void tide_buf_reset(struct tide_buf *buf); /* empties it, keeps the memory */

/* Appends all or nothing; false (and `overflow`) when `max` would be passed or memory is out. */
bool tide_buf_append(struct tide_buf *buf, const void *data, size_t len);
bool tide_buf_puts(struct tide_buf *buf, const char *text);
bool tide_buf_putc(struct tide_buf *buf, char c);
bool tide_buf_int(struct tide_buf *buf, int64_t value); /* in decimal */
bool tide_buf_printf(struct tide_buf *buf, const char *fmt, ...) TIDE_PRINTF(2, 3);

/* Appends `text` as a JSON string with its quotes (RFC 8259). Bytes that are not UTF-8 become U+FFFD. */
bool tide_buf_json(struct tide_buf *buf, const char *text, size_t len);

/* Appends what fd gives until its end. False: it can't be read, is over `most` bytes (EFBIG), or the buffer
 * is full (ENOBUFS); errno. Blocks. */
bool tide_buf_read(struct tide_buf *buf, int fd, size_t most);

/* Makes room for `len` more bytes and returns where to write them, or NULL; then add to buf->len. */
char *tide_buf_reserve(struct tide_buf *buf, size_t len);

/* Hands the memory over to the caller (free()); the buffer is empty after. */
char *tide_buf_take(struct tide_buf *buf, size_t *len);

#endif
