#include <stdlib.h>
#include <string.h>

#include "stream/stream.h"

struct bytes {
    struct tide_source source;
    size_t len, pos;
    char data[];
};

static void bytes_read(struct tide_source *source, void *buf, size_t cap, tide_read_cb *cb, void *arg)
{
    struct bytes *bytes = (struct bytes *)source;
    size_t n = bytes->len - bytes->pos;

    if (n > cap)
        n = cap;
    if (n)
        memcpy(buf, bytes->data + bytes->pos, n);
    bytes->pos += n;
    bytes->source.length = (int64_t)(bytes->len - bytes->pos);
    cb(arg, (ssize_t)n, NULL);
}

static void bytes_close(struct tide_source *source)
{
    free(source);
}

static const struct tide_source_ops bytes_ops = {.read = bytes_read, .close = bytes_close};

struct tide_source *tide_source_from_bytes(const void *data, size_t len)
{
    struct bytes *bytes = malloc(sizeof *bytes + len);

    if (!bytes)
        return NULL;
    bytes->source = (struct tide_source){.ops = &bytes_ops, .length = (int64_t)len};
    bytes->len = len;
    bytes->pos = 0;
    if (len)
        memcpy(bytes->data, data, len);
    return &bytes->source;
}
