/*
 * The file behind the SQLite queue: its schema and what can be done to a message. Who uses it:
 * queue/sqlite*.c. Any thread, one at a time; everything blocks, five seconds at most for another process's
 * lock.
 *
 * A message that is ready may be taken, in the order of `due`, the time it became ready, then of its id. One
 * that is delayed becomes ready at `due` (wall clock); when that clock is set back to before its delay began,
 * the delay begins anew. One that is leased was taken: its `due` is the lease's
 * end on the monotonic clock, which runs on over a change of the wall clock and is the same for all
 * processes, but starts anew with the machine, so that leases of another boot id have ended. One that is dead
 * is so since `due` (wall clock).
 */
#ifndef TIDE_QUEUE_SQLITE_STORE_H
#define TIDE_QUEUE_SQLITE_STORE_H

#include <sqlite3.h>

#include "queue/driver.h"

enum tide_store_state { TIDE_STORE_READY, TIDE_STORE_DELAYED, TIDE_STORE_LEASED, TIDE_STORE_DEAD };

enum tide_store_query {
    TIDE_STORE_BEGIN,
    TIDE_STORE_COMMIT,
    TIDE_STORE_ROLLBACK,
    TIDE_STORE_PUBLISH,
    TIDE_STORE_HAS_WORK,
    TIDE_STORE_NEXT,
    TIDE_STORE_PROMOTE,
    TIDE_STORE_EXPIRE,
    TIDE_STORE_SET_BACK,
    TIDE_STORE_TAKE,
    TIDE_STORE_RENEW,
    TIDE_STORE_ACK,
    TIDE_STORE_RELEASE,
    TIDE_STORE_RETRY,
    TIDE_STORE_REJECT,
    TIDE_STORE_BURY,
    TIDE_STORE_QUERIES
};

struct tide_store {
    sqlite3 *db;
    sqlite3_stmt *queries[TIDE_STORE_QUERIES];
    char boot[40];
    int64_t next_token;
    int64_t deadline_ms; /* of waiting for a lock */
    int64_t ahead_ms;    /* the wall clock before the monotonic one, when it was last looked at */
    bool durable;        /* a commit reaches the disk before it returns */
};

/* Makes or checks the file. Refuses one of a newer version and one that is something else. */
struct tide_store *tide_store_open(const char *path, struct tide_err *err);
void tide_store_free(struct tide_store *store);
/* Leases of an earlier run of the machine: their clock is gone, and so are their holders. */
TIDE_WARN_UNUSED bool tide_store_end_old_leases(struct tide_store *store, struct tide_err *err);

/* A write transaction. Not durable: a loss of power may undo it, the death of a process can't. */
TIDE_WARN_UNUSED bool tide_store_begin(struct tide_store *store, bool durable, struct tide_err *err);
/* A commit that fails has rolled back. */
bool tide_store_end(struct tide_store *store, bool commit, struct tide_err *err);

TIDE_WARN_UNUSED bool tide_store_publish(struct tide_store *store, const struct tide_queue_message *message,
                                         struct tide_err *err);

/* Whenever the wall clock was set back: no delay lasts longer for it than twice its time. */
TIDE_WARN_UNUSED bool tide_store_follow_clock(struct tide_store *store, struct tide_err *err);

/* Whether a take of that queue would find anything. Only reads. */
TIDE_WARN_UNUSED bool tide_store_has_work(struct tide_store *store, const char *queue, bool *has,
                                          struct tide_err *err);
/* Milliseconds until a delayed message is due or a lease ends; INT64_MAX when there is none. Only reads. */
TIDE_WARN_UNUSED bool tide_store_next(struct tide_store *store, const char *queue, int64_t *ms,
                                      struct tide_err *err);

/* A message taken; texts are valid during the callback. */
struct tide_store_message {
    int64_t id, token, lease_end_ms, published_ms;
    unsigned failed, lost; /* attempts that failed, and holders that died */
    const void *payload;
    size_t len;
    const char *code, *reason;
};

struct tide_store_take {
    const char *queue;
    unsigned want;
    unsigned attempts; /* a message that has used up TIDE_QUEUE_EXTRA more is buried */
    int64_t lease_ms;
    bool (*each)(void *arg, const struct tide_store_message *message, struct tide_err *err);
    void *arg;
    /* results */
    bool more;       /* stopped by `want` or the limit on bytes, not by the end of the queue */
    int64_t expired; /* leases found to have ended */
    int64_t buried;
};

/* Takes up to `want` messages, in order, after making ready what is due and what lost its holder. */
TIDE_WARN_UNUSED bool tide_store_take(struct tide_store *store, struct tide_store_take *take,
                                      struct tide_err *err);

/* The rest need the token of the lease: `held` is false, and nothing changed, when the lease was lost. */
struct tide_store_lease {
    int64_t id, token;
};
TIDE_WARN_UNUSED bool tide_store_renew(struct tide_store *store, const struct tide_store_lease *lease,
                                       int64_t end_ms, bool *held, struct tide_err *err);
TIDE_WARN_UNUSED bool tide_store_ack(struct tide_store *store, const struct tide_store_lease *lease,
                                     bool *held, struct tide_err *err);
TIDE_WARN_UNUSED bool tide_store_release(struct tide_store *store, const struct tide_store_lease *lease,
                                         bool *held, struct tide_err *err);
/* failed: what the message's count becomes. */
TIDE_WARN_UNUSED bool tide_store_retry(struct tide_store *store, const struct tide_store_lease *lease,
                                       unsigned failed, const struct tide_queue_ending *why, bool *held,
                                       struct tide_err *err);
TIDE_WARN_UNUSED bool tide_store_reject(struct tide_store *store, const struct tide_store_lease *lease,
                                        unsigned failed, const struct tide_queue_ending *why, bool *held,
                                        struct tide_err *err);

/* As the calls of queue/queue.h, on a connection of their own (sqlite_look.c). */
int tide_store_stats(const char *path, struct tide_queue_stat *stats, int named, int max,
                     struct tide_err *err);
int tide_store_list(const char *path, const char *queue, const char *state, int max,
                    struct tide_queue_dead **list, struct tide_err *err);
int64_t tide_store_dead_retry(const char *path, const char *queue, int64_t id, struct tide_err *err);
int64_t tide_store_purge(const char *path, const char *queue, const char *state, struct tide_err *err);

/* Fills *err from the last result code. Returns false. */
bool tide_store_fail(struct tide_store *store, int rc, struct tide_err *err);

#endif
