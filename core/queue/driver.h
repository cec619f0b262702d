/*
 * What a queue driver provides. Who uses it: queue/queue.c, which picks a driver by the URL's scheme and
 * checks what holds for all of them, and the drivers. Loop thread, as queue/queue.h. A driver's own structs
 * begin with these.
 */
#ifndef TIDE_QUEUE_DRIVER_H
#define TIDE_QUEUE_DRIVER_H

#include "queue/queue.h"

#define TIDE_QUEUE_NAME_LEN 64
#define TIDE_QUEUE_CODE_LEN 64     /* bytes kept of a failure's code, */
#define TIDE_QUEUE_REASON_LEN 1024 /* of its reason, */
#define TIDE_QUEUE_DETAIL_LEN 8192 /* and of its traceback */
#define TIDE_QUEUE_EXTRA 3         /* deliveries of a message whose attempts are used up */
#define TIDE_QUEUE_MAX_LOST 10     /* holders that died use up the attempts, whatever is left of them */

struct tide_queue_driver;

struct tide_queue_broker {
    const struct tide_queue_driver *driver;
    const struct tide_log *log;
    bool dies; /* tide_queue_broker_dies was called */
};

struct tide_queue_call {
    struct tide_queue_broker *broker;
};

struct tide_queue_consumer {
    struct tide_queue_broker *broker;
};

struct tide_delivery {
    struct tide_queue_broker *broker;
    const char *payload; /* NUL-terminated behind len */
    size_t len;
    const char *queue;
    unsigned failed;   /* attempts that failed, extra deliveries included */
    unsigned lost;     /* holders that died with it */
    unsigned attempts; /* allowed by its consumer */
    int64_t published_ms;
    const char *last_code, *last_reason; /* "" for the first */
};

/* How a delivery ends. Texts are the caller's and cut to the lengths above by the driver. */
struct tide_queue_ending {
    enum { TIDE_QUEUE_ACK, TIDE_QUEUE_RELEASE, TIDE_QUEUE_RETRY, TIDE_QUEUE_REJECT } how;
    int64_t delay_ms;                   /* RETRY; -1: the consumer's backoff */
    bool expired;                       /* RETRY: no attempt is left to the next delivery */
    const char *code, *reason, *detail; /* RETRY, REJECT; NULL allowed */
};

struct tide_queue_driver {
    /* Whether the URL is right, as open sees it. Reaches and makes nothing. */
    bool (*check)(const char *url, struct tide_err *err);
    struct tide_queue_broker *(*open)(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                      struct tide_err *err);
    void (*close)(struct tide_queue_broker *broker);
    bool (*ready)(struct tide_queue_broker *broker, struct tide_err *err);
    struct tide_queue_call *(*publish)(struct tide_queue_broker *broker,
                                       const struct tide_queue_message *message, tide_queue_publish_cb *cb,
                                       void *arg, struct tide_err *err);
    void (*cancel)(struct tide_queue_call *call);
    struct tide_queue_consumer *(*consume)(struct tide_queue_broker *broker,
                                           const struct tide_queue_consume *how, tide_queue_deliver_cb *cb,
                                           void *arg, struct tide_err *err);
    void (*stop)(struct tide_queue_consumer *consumer);
    void (*end)(struct tide_delivery *delivery, const struct tide_queue_ending *ending);
    /* A RETRY or REJECT in a process that dies: blocks until it is stored, three seconds or so at most. The
     * loop doesn't turn, and what its thread was in the middle of stays so; nothing needs to be freed. */
    bool (*end_now)(struct tide_delivery *delivery, const struct tide_queue_ending *ending,
                    struct tide_err *err);

    /* These block; as in queue/queue.h. */
    int (*stats)(struct tide_queue_broker *broker, struct tide_queue_stat *stats, int named, int max,
                 struct tide_err *err);
    int (*list)(struct tide_queue_broker *broker, const char *queue, const char *state, int max,
                struct tide_queue_dead **list, struct tide_err *err);
    int64_t (*dead_retry)(struct tide_queue_broker *broker, const char *queue, int64_t id,
                          struct tide_err *err);
    int64_t (*purge)(struct tide_queue_broker *broker, const char *queue, const char *state,
                     struct tide_err *err);
};

extern const struct tide_queue_driver tide_queue_sqlite;

/* ---- ending.c: what an ending means, the same for all drivers ---- */

/* How many attempts count as used up before a delivery. From `attempts` on it is expired, from
 * TIDE_QUEUE_EXTRA more on it is dead without being given to anybody. */
unsigned tide_queue_used_up(unsigned failed, unsigned lost, unsigned attempts);
/* How many attempts have failed then. Deliveries behind the last attempt count while they come again. */
unsigned tide_queue_failed_after(const struct tide_delivery *delivery,
                                 const struct tide_queue_ending *ending);
/* In how many milliseconds the next attempt comes after so many failed ones and one more. It is spread over
 * five values, so that a driver may have something for each. */
int64_t tide_queue_backoff(const struct tide_queue_consume *how, unsigned failed);
/* In how many milliseconds a RETRY comes. */
int64_t tide_queue_delay_after(const struct tide_delivery *delivery, const struct tide_queue_ending *ending,
                               const struct tide_queue_consume *how);

#endif
