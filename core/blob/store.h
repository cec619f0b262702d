/*
 * The store as the asynchronous half of this folder sees it (writer.c, reader.c, source.c, call.c). Loop
 * thread.
 */
#ifndef TIDE_BLOB_STORE_H
#define TIDE_BLOB_STORE_H

#include "blob/driver.h"
#include "loop/pool.h"

struct tide_blob_store {
    const struct tide_blob_driver *driver;
    struct tide_blob_backend *backend;
    struct tide_pool *readers; /* apart, so that uploads in their fsync don't stop downloads */
    struct tide_pool *writers;
    size_t handles; /* writers, readers, sources and calls that were not closed */
    struct tide_blob_sweeper *sweeper;
};

/* False with err when the name is no bucket, or the pools are too far behind to begin something new. */
bool tide_blob_store_admit(struct tide_blob_store *store, const char *bucket, struct tide_err *err);

/* Runs the driver's sweep on the writers' pool, at once and whenever the driver wants it again. */
struct tide_blob_sweeper *tide_blob_sweeper_new(struct tide_blob_store *store, uv_loop_t *loop,
                                                struct tide_err *err);
/* Before the pool is freed; NULL is ignored, as below. */
void tide_blob_sweeper_stop(struct tide_blob_sweeper *sweeper);
/* After it. The loop must then run once more. */
void tide_blob_sweeper_free(struct tide_blob_sweeper *sweeper);

/* Hands the next step of something admitted to a pool. Cannot fail: the pools' threads run since the start,
 * and what they have to do is bounded where it is admitted. */
void tide_blob_store_run(struct tide_pool *pool, struct tide_job *job);

/* Takes over input and what info holds. NULL when memory is out (then they stay the caller's). */
struct tide_blob_reader *tide_blob_reader_new(struct tide_blob_store *store, struct tide_blob_input *input,
                                              const struct tide_blob_info *info);

/* A reader stays while it is held, also when its owner has closed it. */
struct tide_blob_store *tide_blob_reader_hold(struct tide_blob_reader *reader);
void tide_blob_reader_unhold(struct tide_blob_reader *reader);
/* Pool thread. As the driver's fetch, for an offset within the file, but none at all is an error, and there
 * is nothing behind the file's end. */
bool tide_blob_reader_fetch(struct tide_blob_reader *reader, int64_t offset, size_t len,
                            struct tide_blob_block *block, struct tide_err *err);

/* ---- blocks ---- */

size_t tide_blob_block_length(const struct tide_blob_block *block);
/* Drops what is behind the first len bytes. */
void tide_blob_block_cut(struct tide_blob_block *block, size_t len);
/* Up to len bytes from the block's byte `at` on into buf; returns how many there were. */
size_t tide_blob_block_copy(const struct tide_blob_block *block, size_t at, void *buf, size_t len);

#endif
