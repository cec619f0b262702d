/*
 * A thread that keeps one connection to the broker: it connects, waits for frames and for the loop's
 * commands, and connects again when the connection is lost. librabbitmq blocks in most of its calls, so
 * nothing else may use the connection, and a call that takes too long is ended from outside
 * (tide_amqp_link_watch). Used by publish.c and consume.c, one link each: the broker stops reading from who
 * publishes when it is short of memory, and acknowledgements have to go on then.
 *
 * What a link does is in its type, whose functions run on the thread. Commands are kept by whoever embeds the
 * link, under `lock`.
 */
#ifndef TIDE_QUEUE_AMQP_LINK_H
#define TIDE_QUEUE_AMQP_LINK_H

#include <pthread.h>

#include "base/log.h"
#include "queue/amqp/topology.h"

struct tide_amqp_link;

struct tide_amqp_link_type {
    const char *role; /* for the management UI and the log */
    /* False with err: the connection is of no use and is given up. */
    bool (*start)(struct tide_amqp_link *link, struct tide_err *err); /* just connected */
    bool (*work)(struct tide_amqp_link *link, struct tide_err *err);  /* does what can be done now */
    bool (*frame)(struct tide_amqp_link *link, const amqp_frame_t *frame, struct tide_err *err);
    void (*lost)(struct tide_amqp_link *link);       /* the connection is gone */
    bool (*is_idle)(struct tide_amqp_link *link);    /* nothing is left to do: asked at the end */
    int64_t (*next_ms)(struct tide_amqp_link *link); /* when to work next, by the monotonic clock */
};

struct tide_amqp_link {
    const struct tide_amqp_link_type *type;
    const struct tide_amqp_url *url;
    const struct tide_log *log;
    pthread_t thread;
    int wake_fd;
    /* the thread's own */
    amqp_connection_state_t conn;
    bool gathering;
    struct tide_amqp_known *known; /* shared */
    pthread_mutex_t lock;
    /* under the lock */
    bool up, blocked, stopping;
    int fd;              /* -1: none */
    int64_t since_ms;    /* when up or blocked became what it is; monotonic */
    int64_t busy_since;  /* 0: it waits; monotonic */
    struct tide_err err; /* why it isn't up, or is blocked */
};

TIDE_WARN_UNUSED bool tide_amqp_link_open(struct tide_amqp_link *link, const struct tide_amqp_link_type *type,
                                          const struct tide_amqp_url *url, struct tide_amqp_known *known,
                                          const struct tide_log *log, struct tide_err *err);
/* Ends the thread; waits until it is idle, but not for longer than `ms` and some seconds for the good-bye. */
void tide_amqp_link_stop(struct tide_amqp_link *link, int64_t ms);
void tide_amqp_link_release(struct tide_amqp_link *link);

/* On the thread: what is sent meanwhile goes out in full packets, which costs the broker and us less. Not
 * while an answer is waited for. */
void tide_amqp_link_gather(struct tide_amqp_link *link, bool gather);

/* Loop thread. There is something to do. */
void tide_amqp_link_wake(struct tide_amqp_link *link);
/* Loop thread, about once a second: shuts the socket down under a call that hangs. */
void tide_amqp_link_watch(struct tide_amqp_link *link);
/* Any thread. Whether it is connected and the broker takes what it sends, or was so `ms` ago. */
bool tide_amqp_link_ready(struct tide_amqp_link *link, int64_t ms, struct tide_err *err);

#endif
