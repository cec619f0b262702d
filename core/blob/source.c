#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "blob/store.h"

/* A chunk read ahead: full, or empty and free to be read into. */
struct chunk {
    char *data;
    size_t len, pos;
};

struct blob_source {
    struct tide_source source;
    struct tide_job job;
    struct tide_blob_store *store;
    struct tide_blob_reader *reader;
    int64_t next, end; /* offset of what is to be fetched, and where it ends */
    size_t cap;
    struct chunk chunk[2];
    int take, fetch; /* the chunk bytes are taken from, and the one to fetch into */
    bool busy, closed;
    struct tide_err err;

    /* The call in flight. */
    void *buf;
    size_t buf_len;
    tide_read_cb *cb;
    void *arg;

    /* The job's. */
    ssize_t n;
    struct tide_err job_err;
};

static struct blob_source *source_of(struct tide_job *job)
{
    return (struct blob_source *)((char *)job - offsetof(struct blob_source, job));
}

/* Up to the next place where the driver likes to begin. */
static size_t next_size(const struct blob_source *s)
{
    size_t step = s->store->driver->read_size, size = step - (size_t)(s->next % (int64_t)step);

    return s->end - s->next < (int64_t)size ? (size_t)(s->end - s->next) : size;
}

static void work(struct tide_job *job)
{
    struct blob_source *s = source_of(job);
    struct chunk *chunk = &s->chunk[s->fetch];
    size_t want = next_size(s);

    if (!chunk->data)
        chunk->data = malloc(s->cap);
    if (chunk->data) {
        s->n = tide_blob_reader_pread(s->reader, s->next, chunk->data, want, &s->job_err);
    } else {
        s->n = -1;
        tide_err_set(&s->job_err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
    }
}

static void fetch(struct blob_source *s)
{
    if (s->busy || s->err.code || s->next >= s->end || s->chunk[s->fetch].len > 0)
        return;
    s->busy = true;
    tide_blob_store_run(s->store->readers, &s->job);
}

static void finish(struct blob_source *s, ssize_t n)
{
    tide_read_cb *cb = s->cb;

    s->cb = NULL;
    if (n > 0)
        s->source.length -= n;
    cb(s->arg, n, n < 0 ? &s->err : NULL);
}

/* Answers the call in flight if that can be done now. */
static void answer(struct blob_source *s)
{
    struct chunk *chunk = &s->chunk[s->take];
    size_t n = chunk->len - chunk->pos;

    if (n > 0) {
        n = n < s->buf_len ? n : s->buf_len;
        memcpy(s->buf, chunk->data + chunk->pos, n);
        chunk->pos += n;
        if (chunk->pos == chunk->len) {
            chunk->len = chunk->pos = 0;
            s->take ^= 1;
        }
        fetch(s);
        finish(s, (ssize_t)n);
    } else if (s->err.code) {
        finish(s, -1);
    } else if (s->next >= s->end && !s->busy) {
        finish(s, 0);
    } else {
        fetch(s);
    }
}

static void release(struct blob_source *s)
{
    tide_blob_reader_unhold(s->reader);
    free(s->chunk[0].data);
    free(s->chunk[1].data);
    free(s);
}

static void done(struct tide_job *job)
{
    struct blob_source *s = source_of(job);

    s->busy = false;
    if (s->closed) {
        release(s);
        return;
    }
    if (s->n < 0) {
        s->err = s->job_err;
    } else {
        s->chunk[s->fetch].len = (size_t)s->n;
        s->fetch ^= 1;
        s->next += s->n;
    }
    if (s->cb)
        answer(s);
    else
        fetch(s);
}

static void source_read(struct tide_source *source, void *buf, size_t cap, tide_read_cb *cb, void *arg)
{
    struct blob_source *s = (struct blob_source *)source;

    assert(!s->cb && !s->closed && cap > 0);
    s->buf = buf;
    s->buf_len = cap;
    s->cb = cb;
    s->arg = arg;
    answer(s);
}

static void source_close(struct tide_source *source)
{
    struct blob_source *s = (struct blob_source *)source;

    s->closed = true;
    s->store->handles--;
    if (!s->busy)
        release(s);
}

static const struct tide_source_ops source_ops = {.read = source_read, .close = source_close};

struct tide_source *tide_blob_source(struct tide_blob_reader *reader, int64_t offset, int64_t length)
{
    int64_t left = tide_blob_reader_info(reader)->length - offset;
    struct blob_source *s = calloc(1, sizeof *s);

    assert(offset >= 0);
    if (!s)
        return NULL;
    if (left < 0)
        left = 0;
    if (length < 0 || length > left)
        length = left;
    s->source = (struct tide_source){.ops = &source_ops, .length = length};
    s->job = (struct tide_job){.work = work, .done = done};
    s->reader = reader;
    s->store = tide_blob_reader_hold(reader);
    s->store->handles++;
    s->next = offset;
    s->end = offset + length;
    s->cap = s->store->driver->read_size;
    if (length < (int64_t)s->cap)
        s->cap = (size_t)length;
    return &s->source;
}
