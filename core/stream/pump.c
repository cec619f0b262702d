#include <assert.h>
#include <stdlib.h>

#include "stream/stream.h"

#define MIN_BUFFER 4096

struct tide_pump {
    uv_timer_t timer; /* fires to end the pump on a stack of its own */
    struct tide_source *source;
    struct tide_sink *sink;
    int64_t limit, taken, moved; /* bytes */
    tide_pump_cb *cb;
    void *arg;

    /* Bytes to write are in a buffer of its own, or lent by the source: then one piece at a time. */
    char *buf[2];
    const char *data[2];
    size_t len[2], cap;
    unsigned fill, drain; /* which is next to be read into, and written from */
    unsigned full, depth; /* how many have bytes, the one in writing included; and may have */
    bool reading, writing, at_end;
    bool running; /* step() is on the stack */
    bool closed;
    struct tide_err err;
};

static void step(struct tide_pump *pump);

static void fail(struct tide_pump *pump, const struct tide_err *err)
{
    if (!pump->err.code)
        pump->err = *err;
}

static void check_limit(struct tide_pump *pump, int64_t bytes)
{
    struct tide_err err = {0};

    if (pump->limit < 0 || bytes <= pump->limit)
        return;
    tide_err_set(&err, TIDE_ERR_TOO_LARGE, false, "more than %lld bytes", (long long)pump->limit);
    fail(pump, &err);
}

static void on_lent(void *arg, const void *data, ssize_t n, const struct tide_err *err)
{
    struct tide_pump *pump = arg;

    pump->reading = false;
    if (n < 0) {
        fail(pump, err);
    } else if (n == 0) {
        pump->at_end = true;
    } else {
        pump->data[pump->fill] = data;
        pump->len[pump->fill] = (size_t)n;
        pump->fill ^= 1;
        pump->full++;
        pump->taken += n;
        check_limit(pump, pump->taken);
    }
    step(pump);
}

static void on_read(void *arg, ssize_t n, const struct tide_err *err)
{
    struct tide_pump *pump = arg;

    on_lent(pump, pump->buf[pump->fill], n, err);
}

static void on_written(void *arg, const struct tide_err *err)
{
    struct tide_pump *pump = arg;

    pump->writing = false;
    if (err) {
        fail(pump, err);
    } else {
        pump->moved += (int64_t)pump->len[pump->drain];
        pump->drain ^= 1;
        pump->full--;
    }
    step(pump);
}

static void start_read(struct tide_pump *pump)
{
    pump->reading = true;
    if (tide_source_lends(pump->source))
        tide_source_lend(pump->source, on_lent, pump);
    else
        tide_source_read(pump->source, pump->buf[pump->fill], pump->cap, on_read, pump);
}

static bool start_call(struct tide_pump *pump)
{
    if (pump->err.code || pump->closed)
        return false;
    if (!pump->writing && pump->full > 0) {
        pump->writing = true;
        tide_sink_write(pump->sink, pump->data[pump->drain], pump->len[pump->drain], on_written, pump);
        return true;
    }
    if (!pump->reading && !pump->at_end && pump->full < pump->depth) {
        start_read(pump);
        return true;
    }
    return false;
}

static void free_pump(struct tide_pump *pump)
{
    free(pump->buf[0]);
    free(pump->buf[1]);
    free(pump);
}

static void on_closed(uv_handle_t *handle)
{
    free_pump(handle->data);
}

static void on_end(uv_timer_t *timer)
{
    struct tide_pump *pump = timer->data;

    pump->closed = true;
    uv_close((uv_handle_t *)timer, on_closed);
    pump->cb(pump->arg, pump->moved, pump->err.code ? &pump->err : NULL);
}

/* Calls that come back at once only mark their state here, so that the stack does not grow with the stream.
 */
static void step(struct tide_pump *pump)
{
    if (pump->running || pump->closed)
        return;
    pump->running = true;
    while (start_call(pump))
        ;
    pump->running = false;
    if (pump->closed || pump->reading || pump->writing)
        return;
    /* Also with an error the end waits for the other side's call: that still holds a buffer. */
    assert(pump->err.code || (pump->at_end && pump->full == 0));
    uv_timer_start(&pump->timer, on_end, 0, 0);
}

static size_t buffer_size(const struct tide_source *source)
{
    if (source->length < 0 || source->length > TIDE_STREAM_CHUNK)
        return TIDE_STREAM_CHUNK;
    return source->length < MIN_BUFFER ? MIN_BUFFER : (size_t)source->length;
}

static struct tide_pump *new_pump(const struct tide_source *source)
{
    struct tide_pump *pump = calloc(1, sizeof *pump);

    if (!pump)
        return NULL;
    pump->depth = tide_source_lends(source) ? 1 : 2;
    if (tide_source_lends(source))
        return pump;
    pump->cap = buffer_size(source);
    pump->buf[0] = malloc(pump->cap);
    pump->buf[1] = malloc(pump->cap);
    if (pump->buf[0] && pump->buf[1])
        return pump;
    free_pump(pump);
    return NULL;
}

struct tide_pump *tide_pump_start(uv_loop_t *loop, struct tide_source *source, struct tide_sink *sink,
                                  int64_t limit, tide_pump_cb *cb, void *arg, struct tide_err *err)
{
    struct tide_pump *pump = new_pump(source);

    if (!pump) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "pump: out of memory");
        return NULL;
    }
    uv_timer_init(loop, &pump->timer);
    pump->timer.data = pump;
    pump->source = source;
    pump->sink = sink;
    pump->limit = limit;
    pump->cb = cb;
    pump->arg = arg;
    check_limit(pump, source->length);
    step(pump);
    return pump;
}

void tide_pump_cancel(struct tide_pump *pump)
{
    assert(!pump->closed);
    pump->closed = true;
    tide_source_close(pump->source);
    tide_sink_close(pump->sink);
    uv_close((uv_handle_t *)&pump->timer, on_closed);
}
