/*
 * A bounded pool of threads for calls that block (files, SQLite, password hashing, DNS), so that they never
 * stop a loop. One pool a kind of work, so that one kind can't starve another. All functions run on the loop
 * thread.
 *
 * A job is embedded in the caller's own struct: `work` runs on a pool thread and touches nothing but that
 * struct; `done` runs once on the loop thread afterwards, never inside tide_pool_submit.
 */
#ifndef TIDE_LOOP_POOL_H
#define TIDE_LOOP_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/err.h"

struct tide_pool;

struct tide_job {
    void (*work)(struct tide_job *job);
    void (*done)(struct tide_job *job);
    struct tide_job *next; /* the pool's */
};

/* Up to `threads` start as jobs need them, with all signals blocked and a stack of 512 KiB. `max_queued`
 * bounds the jobs that wait for a thread. The pool keeps the loop alive only while jobs are pending. */
struct tide_pool *tide_pool_new(uv_loop_t *loop, const char *name, unsigned threads, size_t max_queued,
                                struct tide_err *err);

/* Takes the job. TIDE_ERR_UNAVAILABLE when the queue is full: then neither callback is called. */
TIDE_WARN_UNUSED bool tide_pool_submit(struct tide_pool *pool, struct tide_job *job, struct tide_err *err);

/* Waits for the jobs taken, also those that `done` submits meanwhile, calls `done` for each, and frees the
 * pool. The loop must then run once more to close the pool's handle. Also from a `done` callback. NULL is
 * ignored. */
void tide_pool_free(struct tide_pool *pool);

size_t tide_pool_pending(const struct tide_pool *pool); /* taken and not yet done */

#endif
