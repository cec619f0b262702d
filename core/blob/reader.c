#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "blob/store.h"

struct tide_blob_reader {
    struct tide_job job; /* of read_at, and at last of closing the input */
    struct tide_blob_store *store;
    struct tide_blob_input *input;
    struct tide_blob_info info;
    unsigned holders; /* its owner, its sources, its jobs */
    bool closed, busy;

    /* The call in flight. The pool reads into `own`, as the caller's buffer is gone after a close. */
    char *buf;
    size_t len, got;
    int64_t offset;
    tide_read_cb *cb;
    void *arg;
    char *own;
    size_t own_cap;
    ssize_t n;
    struct tide_err err;
};

struct tide_blob_reader *tide_blob_reader_new(struct tide_blob_store *store, struct tide_blob_input *input,
                                              const struct tide_blob_info *info)
{
    struct tide_blob_reader *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->store = store;
    r->input = input;
    r->info = *info;
    r->holders = 1;
    store->handles++;
    return r;
}

struct tide_blob_store *tide_blob_reader_hold(struct tide_blob_reader *r)
{
    r->holders++;
    return r->store;
}

/* In the pool: closing the last descriptor of a removed file frees its blocks, which takes a while. */
static void close_work(struct tide_job *job)
{
    struct tide_blob_reader *r = (struct tide_blob_reader *)job;

    r->store->driver->close_input(r->input);
}

static void close_done(struct tide_job *job)
{
    struct tide_blob_reader *r = (struct tide_blob_reader *)job;

    tide_blob_info_release(&r->info);
    free(r->own);
    free(r);
}

void tide_blob_reader_unhold(struct tide_blob_reader *r)
{
    if (--r->holders > 0)
        return;
    r->job = (struct tide_job){.work = close_work, .done = close_done};
    tide_blob_store_run(r->store->readers, &r->job);
}

ssize_t tide_blob_reader_pread(struct tide_blob_reader *r, int64_t offset, void *buf, size_t len,
                               struct tide_err *err)
{
    int64_t left = r->info.length - offset;
    ssize_t n;

    if (left <= 0)
        return 0;
    if ((int64_t)len > left)
        len = (size_t)left;
    n = r->store->driver->read(r->input, offset, buf, len, err);
    if (n < 0 || (size_t)n == len)
        return n;
    tide_err_set(err, TIDE_ERR_INTERNAL, false, "blob %s: shorter than its %lld bytes", r->info.id.hex,
                 (long long)r->info.length);
    return -1;
}

static void read_work(struct tide_job *job)
{
    struct tide_blob_reader *r = (struct tide_blob_reader *)job;
    size_t want = r->len - r->got;

    if (want > r->own_cap)
        want = r->own_cap;
    r->n = tide_blob_reader_pread(r, r->offset + (int64_t)r->got, r->own, want, &r->err);
}

static void finish_read(struct tide_blob_reader *r, ssize_t n)
{
    r->busy = false;
    r->cb(r->arg, n, n < 0 ? &r->err : NULL);
}

static void read_done(struct tide_job *job)
{
    struct tide_blob_reader *r = (struct tide_blob_reader *)job;
    bool more = false;

    if (!r->closed && r->n < 0) {
        finish_read(r, -1);
    } else if (!r->closed) {
        if (r->n > 0)
            memcpy(r->buf + r->got, r->own, (size_t)r->n);
        r->got += (size_t)r->n;
        more = r->n > 0 && r->got < r->len;
        if (!more)
            finish_read(r, (ssize_t)r->got);
    }
    if (more)
        tide_blob_store_run(r->store->readers, &r->job);
    else
        tide_blob_reader_unhold(r);
}

/* The job's own failure: told from the loop's next turn as any other. */
static void no_memory_work(struct tide_job *job)
{
    struct tide_blob_reader *r = (struct tide_blob_reader *)job;

    r->n = -1;
    tide_err_set(&r->err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
}

static bool fit_buffer(struct tide_blob_reader *r, size_t len)
{
    size_t cap = len < TIDE_STREAM_CHUNK ? len : TIDE_STREAM_CHUNK;
    char *own;

    if (cap <= r->own_cap)
        return true;
    own = realloc(r->own, cap);
    if (!own)
        return false;
    r->own = own;
    r->own_cap = cap;
    return true;
}

void tide_blob_read_at(struct tide_blob_reader *r, int64_t offset, void *buf, size_t len, tide_read_cb *cb,
                       void *arg)
{
    assert(!r->busy && !r->closed && offset >= 0);
    r->busy = true;
    r->offset = offset;
    r->buf = buf;
    r->len = len;
    r->got = 0;
    r->cb = cb;
    r->arg = arg;
    r->job = (struct tide_job){.work = fit_buffer(r, len) ? read_work : no_memory_work, .done = read_done};
    r->holders++;
    tide_blob_store_run(r->store->readers, &r->job);
}

const struct tide_blob_info *tide_blob_reader_info(const struct tide_blob_reader *r)
{
    return &r->info;
}

int tide_blob_reader_fd(const struct tide_blob_reader *r)
{
    return r->store->driver->input_fd ? r->store->driver->input_fd(r->input) : -1;
}

void tide_blob_reader_close(struct tide_blob_reader *r)
{
    if (!r)
        return;
    assert(!r->closed);
    r->closed = true;
    r->store->handles--;
    tide_blob_reader_unhold(r);
}
