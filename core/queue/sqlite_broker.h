/* What the files of the embedded queue's driver share: sqlite.c, sqlite_turn.c, sqlite_wake.c. Loop thread
 * but for what a turn does. */
#ifndef TIDE_QUEUE_SQLITE_BROKER_H
#define TIDE_QUEUE_SQLITE_BROKER_H

#include "loop/pool.h"
#include "queue/driver.h"
#include "queue/sqlite_store.h"

struct consumer;

/* Something to write: a publish, an ending or the renewal of a lease. */
struct request {
    struct tide_queue_call call; /* of a publish */
    struct request *next;
    enum { PUBLISH, END, RENEW } what;
    struct tide_queue_message message; /* copies */
    tide_queue_publish_cb *cb;         /* NULL: canceled */
    void *arg;
    struct tide_store_lease lease;
    int64_t lease_end_ms;
    unsigned failed;
    struct tide_queue_ending ending; /* copies */
    bool held;
};

struct delivery {
    struct tide_delivery base;
    struct consumer *consumer;
    struct tide_store_lease lease;
    int64_t lease_end_ms;
    struct delivery *next, **prev;
};

struct consumer {
    struct tide_queue_consumer base;
    struct tide_queue_consume how; /* queue: a copy */
    tide_queue_deliver_cb *cb;
    void *arg;
    struct delivery *held;
    unsigned count;
    bool stopped, look; /* look: there may be messages */
    struct consumer *next;
    /* of the turn that runs */
    bool taking, failed;
    struct consumer *next_taking;
    struct tide_store_take take;
    struct tide_err err;
    struct delivery *taken, **taken_tail;
    int64_t next_ms;
};

struct broker {
    struct tide_queue_broker base;
    uv_loop_t *loop;
    char *path;
    struct tide_pool *pool;
    struct tide_store *store;
    struct consumer *consumers;
    struct request *waiting, **waiting_tail;
    size_t waiting_count, waiting_bytes;
    uv_timer_t *timer; /* the next look; data: this */
    uv_fs_event_t *watch;
    bool closing;
    /* the turn that runs; until it is over no consumer is freed */
    struct tide_job job;
    bool busy, failed;
    struct request *turn;
    struct consumer *taking;
    struct tide_err err;
};

/* ---- sqlite_turn.c ---- */

/* Takes the request and starts a turn, now or after the one that runs. */
void tide_turn_enqueue(struct broker *broker, struct request *request);
/* Starts one if there is something to do and none runs. */
void tide_turn_start(struct broker *broker);
/* Writes what waits, here and now. For the end: no turn may run. */
void tide_turn_flush(struct broker *broker);
/* Frees the stopped consumers that hold nothing, unless a turn runs. */
void tide_turn_free_stopped(struct broker *broker);
void tide_turn_free_delivery(struct delivery *delivery);
/* Writes one request on a connection of its own, beside the turn that may run. Frees nothing. */
TIDE_WARN_UNUSED bool tide_turn_write_apart(struct broker *broker, struct request *request,
                                            struct tide_err *err);

/* ---- sqlite_wake.c: when it is time for a turn that nobody of this process asked for ---- */

bool tide_wake_open(struct broker *broker);
void tide_wake_close(struct broker *broker);
/* Looks at all queues and renews leases in `ms` milliseconds. */
void tide_wake_after(struct broker *broker, int64_t ms);

#endif
