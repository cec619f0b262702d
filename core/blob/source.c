#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "blob/store.h"

/* What was fetched ahead: full, or free to be fetched into. */
struct ahead {
    struct tide_blob_block block; /* the pool's unless full */
    size_t piece, pos;            /* of its next byte */
    bool full;
};

struct blob_source {
    struct tide_source source;
    struct tide_job job;
    struct tide_blob_store *store;
    struct tide_blob_reader *reader;
    int64_t next, end; /* offset of what is to be fetched, and where it ends */
    struct ahead ahead[2];
    int take, fetch; /* the one that bytes are taken from, and the one to fetch into */
    size_t lent;     /* bytes that the last call lent: they are still the caller's */
    bool busy, closed;
    struct tide_err err;

    /* The call in flight. It lends when it has no buffer. */
    void *buf;
    size_t buf_len;
    tide_read_cb *read_cb;
    tide_lend_cb *lend_cb;
    void *arg;

    struct tide_err job_err; /* the job's */
};

static struct blob_source *source_of(struct tide_job *job)
{
    return (struct blob_source *)((char *)job - offsetof(struct blob_source, job));
}

static void work(struct tide_job *job)
{
    struct blob_source *s = source_of(job);
    struct tide_blob_block *block = &s->ahead[s->fetch].block;
    size_t want = s->store->driver->fetch_size;

    if (s->end - s->next < (int64_t)want)
        want = (size_t)(s->end - s->next);
    if (tide_blob_reader_fetch(s->reader, s->next, want, block, &s->job_err))
        tide_blob_block_cut(block, (size_t)(s->end - s->next));
}

static void fetch(struct blob_source *s)
{
    if (s->busy || s->err.code || s->next >= s->end || s->ahead[s->fetch].full)
        return;
    s->busy = true;
    tide_blob_store_run(s->store->readers, &s->job);
}

static void finish(struct blob_source *s, const char *data, ssize_t n)
{
    const struct tide_err *err = n < 0 ? &s->err : NULL;
    tide_read_cb *read_cb = s->read_cb;
    tide_lend_cb *lend_cb = s->lend_cb;

    s->read_cb = NULL;
    s->lend_cb = NULL;
    if (n > 0)
        s->source.length -= n;
    if (read_cb)
        read_cb(s->arg, n, err);
    else
        lend_cb(s->arg, data, n, err);
}

/* The next n bytes are done with. */
static void drop(struct blob_source *s, size_t n)
{
    struct ahead *ahead = &s->ahead[s->take];

    ahead->pos += n;
    if (n == 0 || ahead->pos < ahead->block.piece[ahead->piece].len)
        return;
    ahead->piece++;
    ahead->pos = 0;
    ahead->full = ahead->piece < ahead->block.count;
    if (!ahead->full)
        s->take ^= 1;
}

static void give(struct blob_source *s)
{
    const struct ahead *ahead = &s->ahead[s->take];
    const struct tide_blob_piece *piece = &ahead->block.piece[ahead->piece];
    const char *data = piece->data + ahead->pos;
    size_t n = piece->len - ahead->pos;

    if (s->lend_cb) {
        s->lent = n;
    } else {
        n = n < s->buf_len ? n : s->buf_len;
        memcpy(s->buf, data, n);
        drop(s, n);
    }
    fetch(s);
    finish(s, data, (ssize_t)n);
}

/* Answers the call in flight if that can be done now. */
static void answer(struct blob_source *s)
{
    if (s->ahead[s->take].full)
        give(s);
    else if (s->err.code)
        finish(s, NULL, -1);
    else if (s->next >= s->end && !s->busy)
        finish(s, NULL, 0);
    else
        fetch(s);
}

static void release(struct blob_source *s)
{
    s->store->driver->release_block(&s->ahead[0].block);
    s->store->driver->release_block(&s->ahead[1].block);
    tide_blob_reader_unhold(s->reader);
    free(s);
}

static void done(struct tide_job *job)
{
    struct blob_source *s = source_of(job);
    struct ahead *ahead = &s->ahead[s->fetch];

    s->busy = false;
    if (s->closed) {
        release(s);
        return;
    }
    if (s->job_err.code) {
        s->err = s->job_err;
    } else {
        ahead->piece = ahead->pos = 0;
        ahead->full = true;
        s->next += (int64_t)tide_blob_block_length(&ahead->block);
        s->fetch ^= 1;
    }
    if (s->read_cb || s->lend_cb)
        answer(s);
    else
        fetch(s);
}

static void begin(struct blob_source *s, void *arg)
{
    size_t lent = s->lent;

    assert(!s->read_cb && !s->lend_cb && !s->closed);
    s->arg = arg;
    s->lent = 0;
    drop(s, lent);
}

static void source_read(struct tide_source *source, void *buf, size_t cap, tide_read_cb *cb, void *arg)
{
    struct blob_source *s = (struct blob_source *)source;

    assert(cap > 0);
    begin(s, arg);
    s->buf = buf;
    s->buf_len = cap;
    s->read_cb = cb;
    answer(s);
}

static void source_lend(struct tide_source *source, tide_lend_cb *cb, void *arg)
{
    struct blob_source *s = (struct blob_source *)source;

    begin(s, arg);
    s->lend_cb = cb;
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

static const struct tide_source_ops source_ops = {
    .read = source_read, .close = source_close, .lend = source_lend};

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
    return &s->source;
}
