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

    /* The call in flight. */
    char *buf;
    size_t len, got;
    int64_t offset;
    tide_read_cb *cb;
    void *arg;

    /* The pool's while busy: as the caller's buffer is gone after a close, it fetches into its own. */
    struct tide_blob_block block;
    int64_t block_at;
    int64_t next; /* where the last read ended: one that goes on there will go on */
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
    r->next = -1;
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

    r->store->driver->release_block(&r->block);
    r->store->driver->close_input(r->input);
}

static void close_done(struct tide_job *job)
{
    struct tide_blob_reader *r = (struct tide_blob_reader *)job;

    tide_blob_info_release(&r->info);
    free(r);
}

void tide_blob_reader_unhold(struct tide_blob_reader *r)
{
    if (--r->holders > 0)
        return;
    r->job = (struct tide_job){.work = close_work, .done = close_done};
    tide_blob_store_run(r->store->readers, &r->job);
}

bool tide_blob_reader_fetch(struct tide_blob_reader *r, int64_t offset, size_t len,
                            struct tide_blob_block *block, struct tide_err *err)
{
    if (!r->store->driver->fetch(r->input, offset, len, block, err)) {
        block->count = 0;
        return false;
    }
    tide_blob_block_cut(block, (size_t)(r->info.length - offset));
    return block->count > 0 ||
           tide_err_set(err, TIDE_ERR_INTERNAL, false, "blob %s: shorter than its %lld bytes", r->info.id.hex,
                        (long long)r->info.length);
}

/* Whether the block has the byte at `offset`. */
static bool has(const struct tide_blob_reader *r, int64_t offset)
{
    return offset >= r->block_at && offset - r->block_at < (int64_t)tide_blob_block_length(&r->block);
}

static void read_work(struct tide_job *job)
{
    struct tide_blob_reader *r = (struct tide_blob_reader *)job;
    int64_t offset = r->offset + (int64_t)r->got;
    size_t want = r->len - r->got, ahead = r->store->driver->fetch_size;

    r->err.code = NULL;
    if (want == 0 || has(r, offset))
        return;
    if (r->offset == r->next && want < ahead)
        want = ahead;
    r->block_at = offset;
    tide_blob_reader_fetch(r, offset, want, &r->block, &r->err);
}

static void finish_read(struct tide_blob_reader *r, ssize_t n)
{
    r->busy = false;
    r->next = r->offset + n;
    r->cb(r->arg, n, n < 0 ? &r->err : NULL);
}

/* Takes what is there; false when there is more to fetch. */
static bool take(struct tide_blob_reader *r)
{
    if (r->got < r->len)
        r->got += tide_blob_block_copy(&r->block, (size_t)(r->offset + (int64_t)r->got - r->block_at),
                                       r->buf + r->got, r->len - r->got);
    return r->got == r->len;
}

static void read_done(struct tide_job *job)
{
    struct tide_blob_reader *r = (struct tide_blob_reader *)job;

    if (!r->closed && !r->err.code && !take(r)) {
        tide_blob_store_run(r->store->readers, &r->job);
        return;
    }
    if (!r->closed)
        finish_read(r, r->err.code ? -1 : (ssize_t)r->len);
    tide_blob_reader_unhold(r);
}

void tide_blob_read_at(struct tide_blob_reader *r, int64_t offset, void *buf, size_t len, tide_read_cb *cb,
                       void *arg)
{
    int64_t left = r->info.length - offset;

    assert(!r->busy && !r->closed && offset >= 0);
    r->busy = true;
    r->offset = offset;
    r->buf = buf;
    r->len = left < (int64_t)len ? (left > 0 ? (size_t)left : 0) : len;
    r->got = 0;
    r->cb = cb;
    r->arg = arg;
    r->job = (struct tide_job){.work = read_work, .done = read_done};
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
