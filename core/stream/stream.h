/*
 * Streams: a source hands out bytes, a sink takes them, a pump moves them between with back-pressure both
 * ways and a bounded memory. Everything on the loop thread. Media bytes go this way and never become Lua
 * strings.
 *
 * A source or sink is embedded at the start of its implementation's struct. At most one read (or write) is in
 * flight. A callback runs exactly once for each call, on the loop thread; it may run before the call returns.
 */
#ifndef TIDE_STREAM_STREAM_H
#define TIDE_STREAM_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/err.h"

#define TIDE_STREAM_CHUNK (256 * 1024) /* bytes; what a pump asks for at a time */

/* n > 0: bytes read. n == 0: the end. n < 0: failed, err is set. */
typedef void tide_read_cb(void *arg, ssize_t n, const struct tide_err *err);
/* As above, with the bytes, which are the source's. */
typedef void tide_lend_cb(void *arg, const void *data, ssize_t n, const struct tide_err *err);
/* err NULL: all bytes were taken. */
typedef void tide_write_cb(void *arg, const struct tide_err *err);

struct tide_source;
struct tide_sink;

struct tide_source_ops {
    /* Fills buf with 1..cap bytes. buf stays valid until the callback. */
    void (*read)(struct tide_source *source, void *buf, size_t cap, tide_read_cb *cb, void *arg);
    /* Ends the source and releases what it holds, also in mid-read (then that callback is not called).
     * An implementation with work on a pool thread keeps its buffers alive itself: after close it must not
     * touch `buf` of the caller (so pool reads go through a buffer of its own). */
    void (*close)(struct tide_source *source);
    /* For a source that holds its bytes in memory (NULL: it doesn't, and they are read): hands out what comes
     * next where it is, without a copy. It stays there until the next read, lend or close. */
    void (*lend)(struct tide_source *source, tide_lend_cb *cb, void *arg);
};

struct tide_source {
    const struct tide_source_ops *ops;
    int64_t length; /* bytes to come, -1 when unknown */
};

struct tide_sink_ops {
    /* Takes all len bytes; data stays valid until the callback. */
    void (*write)(struct tide_sink *sink, const void *data, size_t len, tide_write_cb *cb, void *arg);
    /* Ends the sink: what was written without an explicit commit is dropped. As source close otherwise. */
    void (*close)(struct tide_sink *sink);
};

struct tide_sink {
    const struct tide_sink_ops *ops;
};

static inline void tide_source_read(struct tide_source *s, void *buf, size_t cap, tide_read_cb *cb, void *arg)
{
    s->ops->read(s, buf, cap, cb, arg);
}

static inline bool tide_source_lends(const struct tide_source *s)
{
    return s->ops->lend != NULL;
}

static inline void tide_source_lend(struct tide_source *s, tide_lend_cb *cb, void *arg)
{
    s->ops->lend(s, cb, arg);
}

static inline void tide_source_close(struct tide_source *s)
{
    s->ops->close(s);
}

static inline void tide_sink_write(struct tide_sink *s, const void *data, size_t len, tide_write_cb *cb,
                                   void *arg)
{
    s->ops->write(s, data, len, cb, arg);
}

static inline void tide_sink_close(struct tide_sink *s)
{
    s->ops->close(s);
}

/* A source over bytes that it copies; freed by close. NULL when memory is out. */
struct tide_source *tide_source_from_bytes(const void *data, size_t len);

/* ---- pump ---- */

struct tide_pump;

/* `bytes` were moved. err NULL: the source came to its end and the sink has taken everything. */
typedef void tide_pump_cb(void *arg, int64_t bytes, const struct tide_err *err);

/*
 * Starts to move source into sink: what the source lends, or with two buffers of TIDE_STREAM_CHUNK (one is
 * read into while the other is written). More than `limit` bytes (when >= 0) end it with TIDE_ERR_TOO_LARGE.
 * The pump closes neither end. cb is called exactly once and never inside this call; the pump frees itself
 * after it. An error is told when the other end's call in flight has come back, as that still holds a buffer.
 * NULL with err when memory is out.
 */
struct tide_pump *tide_pump_start(uv_loop_t *loop, struct tide_source *source, struct tide_sink *sink,
                                  int64_t limit, tide_pump_cb *cb, void *arg, struct tide_err *err);

/* Stops the pump before its cb; cb is not called. Closes both source and sink (as their reads and writes may
 * be in flight). */
void tide_pump_cancel(struct tide_pump *pump);

#endif
