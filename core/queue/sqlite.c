/*
 * The embedded queue: a file in WAL mode shared by the worker processes. All writes of a process go through
 * one thread in turns: a turn does everything that waits (publishes, endings, renewals) in one durable
 * transaction, then takes messages for consumers that have room. Other processes are noticed by inotify on
 * the write-ahead log, delayed messages and ended leases by a timer, and whatever both may miss by a poll
 * once a second.
 */
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "loop/pool.h"
#include "queue/driver.h"
#include "queue/sqlite_store.h"

#define POLL_MS 1000
#define RETRY_MS 500 /* before a turn that failed is tried again */
#define MAX_WAITING 10000

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
    unsigned failed;
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
    struct tide_store_take take;
    struct delivery *taken, **taken_tail;
    bool taking;
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
    size_t waiting_count;
    uv_timer_t *timer; /* the next look; data: this */
    uv_fs_event_t *watch;
    bool closing;
    /* the turn */
    struct tide_job job;
    bool busy, failed;
    struct request *turn;
    struct tide_err err;
    int64_t renewed_ms;
};

static void start_turn(struct broker *broker);

static char *copy_text(const char *text)
{
    return text ? strdup(text) : NULL;
}

static void request_free(struct request *request)
{
    free((char *)request->message.queue);
    free((void *)request->message.payload);
    free((char *)request->ending.code);
    free((char *)request->ending.reason);
    free((char *)request->ending.detail);
    free(request);
}

static void delivery_free(struct delivery *delivery)
{
    free((char *)delivery->base.payload);
    free((char *)delivery->base.last_code);
    free((char *)delivery->base.last_reason);
    free(delivery);
}

static void enqueue(struct broker *broker, struct request *request)
{
    request->next = NULL;
    *broker->waiting_tail = request;
    broker->waiting_tail = &request->next;
    broker->waiting_count++;
    start_turn(broker);
}

/* ---- a turn, on the pool's thread ---- */

static bool apply(struct tide_store *store, struct request *request, struct tide_err *err)
{
    switch (request->what) {
    case PUBLISH:
        return tide_store_publish(store, &request->message, err);
    case RENEW:
        return tide_store_renew(store, &request->lease, request->lease_end_ms, &request->held, err);
    default:
        break;
    }
    switch (request->ending.how) {
    case TIDE_QUEUE_ACK:
        return tide_store_ack(store, &request->lease, &request->held, err);
    case TIDE_QUEUE_RELEASE:
        return tide_store_release(store, &request->lease, &request->held, err);
    case TIDE_QUEUE_RETRY:
        return tide_store_retry(store, &request->lease, request->failed, &request->ending, &request->held,
                                err);
    default:
        return tide_store_reject(store, &request->lease, request->failed, &request->ending, &request->held,
                                 err);
    }
}

static bool apply_all(struct broker *broker, struct request *list)
{
    struct request *request;
    bool ok;

    if (!list)
        return true;
    if (!tide_store_begin(broker->store, true, &broker->err))
        return false;
    for (ok = true, request = list; ok && request; request = request->next)
        ok = apply(broker->store, request, &broker->err);
    return tide_store_end(broker->store, ok, &broker->err) && ok;
}

static bool keep_message(void *arg, const struct tide_store_message *message, struct tide_err *err)
{
    struct consumer *consumer = arg;
    struct delivery *delivery = calloc(1, sizeof *delivery);
    char *payload = malloc(message->len + 1);

    if (!delivery || !payload) {
        free(delivery);
        free(payload);
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: not enough memory");
    }
    if (message->len)
        memcpy(payload, message->payload, message->len);
    payload[message->len] = '\0';
    delivery->base = (struct tide_delivery){.broker = consumer->base.broker,
                                            .payload = payload,
                                            .len = message->len,
                                            .queue = consumer->how.queue,
                                            .attempt = message->failed + 1,
                                            .attempts = consumer->how.attempts,
                                            .published_ms = message->published_ms,
                                            .last_code = strdup(message->code ? message->code : ""),
                                            .last_reason = strdup(message->reason ? message->reason : "")};
    delivery->consumer = consumer;
    delivery->lease = (struct tide_store_lease){message->id, message->token};
    delivery->lease_end_ms = message->lease_end_ms;
    delivery->failed = message->failed;
    *consumer->taken_tail = delivery;
    consumer->taken_tail = &delivery->next;
    return true;
}

static void drop_taken(struct consumer *consumer)
{
    struct delivery *delivery;

    while ((delivery = consumer->taken)) {
        consumer->taken = delivery->next;
        delivery_free(delivery);
    }
    consumer->taken_tail = &consumer->taken;
}

static bool take(struct broker *broker, struct consumer *consumer)
{
    bool has = false, ok;

    if (!tide_store_has_work(broker->store, consumer->how.queue, &has, &broker->err))
        return false;
    if (has) {
        if (!tide_store_begin(broker->store, false, &broker->err))
            return false;
        ok = tide_store_take(broker->store, &consumer->take, &broker->err);
        if (!tide_store_end(broker->store, ok, &broker->err) || !ok) {
            drop_taken(consumer);
            return false;
        }
    }
    return tide_store_next(broker->store, consumer->how.queue, &consumer->next_ms, &broker->err);
}

static void work(struct tide_job *job)
{
    struct broker *broker = (struct broker *)((char *)job - offsetof(struct broker, job));
    struct consumer *consumer;

    broker->failed = !apply_all(broker, broker->turn);
    for (consumer = broker->consumers; consumer && !broker->failed; consumer = consumer->next)
        if (consumer->taking && !take(broker, consumer))
            tide_log_event(broker->base.log, TIDE_LOG_WARN, "queue: messages could not be taken",
                           tide_log_str("queue", consumer->how.queue),
                           tide_log_str("message", broker->err.message));
}

/* ---- after a turn, on the loop ---- */

static void log_lost(struct broker *broker, const struct request *request)
{
    tide_log_event(broker->base.log, TIDE_LOG_WARN, "queue: a lease was lost, its message is somebody else's",
                   tide_log_int("message", request->lease.id));
}

static void settle(struct broker *broker, struct request *request)
{
    if (request->what == PUBLISH && request->cb)
        request->cb(request->arg, broker->failed ? &broker->err : NULL);
    else if (request->what == END && !request->held)
        log_lost(broker, request);
    request_free(request);
}

/* A publish is told of its failure; an ending is tried again until its lease is long gone. */
static bool is_worth_another(const struct broker *broker, const struct request *request)
{
    return broker->failed && request->what == END && !broker->closing &&
           tide_clock_monotonic_ms() < request->lease_end_ms;
}

static void settle_all(struct broker *broker, struct request *list)
{
    struct tide_err err = broker->err;
    bool failed = broker->failed;

    while (list) {
        struct request *request = list;

        list = request->next;
        broker->failed = failed;
        broker->err = err;
        if (is_worth_another(broker, request)) {
            request->next = NULL;
            *broker->waiting_tail = request;
            broker->waiting_tail = &request->next;
            broker->waiting_count++;
        } else {
            settle(broker, request);
        }
    }
}

static void link_delivery(struct delivery *delivery)
{
    struct consumer *consumer = delivery->consumer;

    delivery->next = consumer->held;
    delivery->prev = &consumer->held;
    if (delivery->next)
        delivery->next->prev = &delivery->next;
    consumer->held = delivery;
    consumer->count++;
}

static void deliver(struct consumer *consumer)
{
    struct delivery *delivery;

    while ((delivery = consumer->taken)) {
        consumer->taken = delivery->next;
        link_delivery(delivery);
        if (consumer->stopped || !consumer->cb)
            tide_delivery_release(&delivery->base);
        else
            consumer->cb(consumer->arg, &delivery->base);
    }
    consumer->taken_tail = &consumer->taken;
}

static void free_stopped(struct broker *broker)
{
    struct consumer **at = &broker->consumers, *consumer;

    while ((consumer = *at)) {
        if (consumer->stopped && !consumer->held && !consumer->taking && !consumer->taken) {
            *at = consumer->next;
            free((char *)consumer->how.queue);
            free(consumer);
        } else {
            at = &consumer->next;
        }
    }
}

static void on_timer(uv_timer_t *timer);

static void arm(struct broker *broker, int64_t ms)
{
    if (!broker->closing)
        uv_timer_start(broker->timer, on_timer, (uint64_t)(ms < 1 ? 1 : ms), 0);
}

static void done(struct tide_job *job)
{
    struct broker *broker = (struct broker *)((char *)job - offsetof(struct broker, job));
    struct request *turn = broker->turn;
    struct consumer *consumer;
    int64_t next = broker->failed ? RETRY_MS : POLL_MS;
    bool failed = broker->failed;

    broker->turn = NULL;
    settle_all(broker, turn);
    broker->busy = false;
    for (consumer = broker->consumers; consumer; consumer = consumer->next) {
        if (!consumer->taking)
            continue;
        consumer->taking = false;
        consumer->look = consumer->take.more || failed;
        if (consumer->next_ms < next)
            next = consumer->next_ms;
        deliver(consumer);
    }
    free_stopped(broker);
    arm(broker, next);
    if (!failed)
        start_turn(broker);
}

/* ---- starting turns ---- */

static bool prepare_take(struct consumer *consumer)
{
    unsigned room = consumer->how.prefetch - consumer->count;

    consumer->taking = consumer->look && !consumer->stopped && room > 0;
    if (!consumer->taking)
        return false;
    consumer->look = false;
    consumer->next_ms = INT64_MAX;
    consumer->take = (struct tide_store_take){.queue = consumer->how.queue,
                                              .want = room,
                                              .attempts = consumer->how.attempts,
                                              .lease_ms = consumer->how.lease_ms,
                                              .each = keep_message,
                                              .arg = consumer};
    return true;
}

static void start_turn(struct broker *broker)
{
    struct consumer *consumer;
    struct tide_err err;
    bool any = broker->waiting != NULL;

    if (broker->busy || broker->closing)
        return;
    for (consumer = broker->consumers; consumer; consumer = consumer->next)
        any = prepare_take(consumer) || any;
    if (!any)
        return;
    broker->turn = broker->waiting;
    broker->waiting = NULL;
    broker->waiting_tail = &broker->waiting;
    broker->waiting_count = 0;
    broker->busy = true;
    broker->job = (struct tide_job){.work = work, .done = done};
    if (!tide_pool_submit(broker->pool, &broker->job, &err))
        abort(); /* its queue holds the one job that is ever given to it */
}

static void look_everywhere(struct broker *broker)
{
    struct consumer *consumer;

    for (consumer = broker->consumers; consumer; consumer = consumer->next)
        consumer->look = true;
    start_turn(broker);
}

static void renew(struct broker *broker, struct consumer *consumer, int64_t now)
{
    struct delivery *delivery;

    for (delivery = consumer->held; delivery; delivery = delivery->next) {
        struct request *request;

        if (delivery->lease_end_ms - now > consumer->how.lease_ms * 2 / 3)
            continue;
        request = calloc(1, sizeof *request);
        if (!request)
            return;
        delivery->lease_end_ms = now + consumer->how.lease_ms;
        request->what = RENEW;
        request->lease = delivery->lease;
        request->lease_end_ms = delivery->lease_end_ms;
        enqueue(broker, request);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct broker *broker = timer->data;
    struct consumer *consumer;
    int64_t now = tide_clock_monotonic_ms(), next = POLL_MS;

    for (consumer = broker->consumers; consumer; consumer = consumer->next) {
        renew(broker, consumer, now);
        if (consumer->held && consumer->how.lease_ms / 3 < next)
            next = consumer->how.lease_ms / 3;
    }
    arm(broker, next);
    look_everywhere(broker);
}

static void on_change(uv_fs_event_t *watch, const char *name, int events, int status)
{
    (void)name, (void)events, (void)status;
    look_everywhere(watch->data);
}

/* ---- the driver ---- */

static struct tide_queue_call *driver_publish(struct tide_queue_broker *base,
                                              const struct tide_queue_message *message,
                                              tide_queue_publish_cb *cb, void *arg, struct tide_err *err)
{
    struct broker *broker = (struct broker *)base;
    struct request *request = broker->waiting_count < MAX_WAITING ? calloc(1, sizeof *request) : NULL;
    char *payload = request ? malloc(message->len + 1) : NULL;

    if (!payload) {
        free(request);
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: too many publishes wait");
        return NULL;
    }
    if (message->len)
        memcpy(payload, message->payload, message->len);
    request->what = PUBLISH;
    request->call.broker = base;
    request->message = *message;
    request->message.queue = strdup(message->queue);
    request->message.payload = payload;
    request->cb = cb;
    request->arg = arg;
    enqueue(broker, request);
    return &request->call;
}

static void driver_cancel(struct tide_queue_call *call)
{
    ((struct request *)call)->cb = NULL;
}

static struct tide_queue_consumer *driver_consume(struct tide_queue_broker *base,
                                                  const struct tide_queue_consume *how,
                                                  tide_queue_deliver_cb *cb, void *arg, struct tide_err *err)
{
    struct broker *broker = (struct broker *)base;
    struct consumer *consumer = calloc(1, sizeof *consumer), **end;

    if (!consumer) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: not enough memory");
        return NULL;
    }
    consumer->base.broker = base;
    consumer->how = *how;
    consumer->how.queue = strdup(how->queue);
    consumer->cb = cb;
    consumer->arg = arg;
    consumer->taken_tail = &consumer->taken;
    consumer->look = true;
    for (end = &broker->consumers; *end;)
        end = &(*end)->next;
    *end = consumer;
    arm(broker, 1);
    return &consumer->base;
}

static void driver_stop(struct tide_queue_consumer *base)
{
    struct consumer *consumer = (struct consumer *)base;
    struct broker *broker = (struct broker *)base->broker;

    consumer->stopped = true;
    if (!broker->busy)
        free_stopped(broker);
}

static int64_t backoff(const struct consumer *consumer, unsigned failed)
{
    int64_t ms = consumer->how.backoff_ms;

    for (; failed > 0 && ms < consumer->how.backoff_max_ms; failed--)
        ms *= 2;
    if (ms > consumer->how.backoff_max_ms)
        ms = consumer->how.backoff_max_ms;
    return ms * (80 + (int64_t)randombytes_uniform(41)) / 100;
}

static void driver_end(struct tide_delivery *base, const struct tide_queue_ending *ending)
{
    struct delivery *delivery = (struct delivery *)base;
    struct consumer *consumer = delivery->consumer;
    struct broker *broker = (struct broker *)base->broker;
    struct request *request = calloc(1, sizeof *request);

    if (!request)
        abort(); /* a few hundred bytes; a message's fate must not be guessed */
    request->what = END;
    request->lease = delivery->lease;
    request->lease_end_ms = delivery->lease_end_ms;
    request->failed = delivery->failed < consumer->how.attempts ? delivery->failed + 1 : delivery->failed;
    request->ending = (struct tide_queue_ending){.how = ending->how,
                                                 .delay_ms = ending->delay_ms,
                                                 .code = copy_text(ending->code),
                                                 .reason = copy_text(ending->reason),
                                                 .detail = copy_text(ending->detail)};
    if (ending->how == TIDE_QUEUE_RETRY && ending->delay_ms < 0)
        request->ending.delay_ms = backoff(consumer, delivery->failed);
    *delivery->prev = delivery->next;
    if (delivery->next)
        delivery->next->prev = delivery->prev;
    consumer->count--;
    consumer->look = true;
    delivery_free(delivery);
    if (!broker->busy)
        free_stopped(broker);
    enqueue(broker, request);
}

static bool driver_ready(struct tide_queue_broker *base, struct tide_err *err)
{
    struct tide_store *store = tide_store_open(((struct broker *)base)->path, err);

    tide_store_free(store);
    return store != NULL;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void start_watch(struct broker *broker)
{
    char wal[4096];

    broker->watch = calloc(1, sizeof *broker->watch);
    if (!broker->watch)
        return;
    snprintf(wal, sizeof wal, "%s-wal", broker->path);
    uv_fs_event_init(broker->loop, broker->watch);
    broker->watch->data = broker;
    if (uv_fs_event_start(broker->watch, on_change, wal, 0) != 0)
        tide_log_event(broker->base.log, TIDE_LOG_WARN,
                       "queue: no watch, other processes are noticed once a second",
                       tide_log_str("file", wal));
    uv_unref((uv_handle_t *)broker->watch);
}

static void driver_close(struct tide_queue_broker *base);

static struct tide_queue_broker *driver_open(uv_loop_t *loop, const struct tide_log *log, const char *rest,
                                             struct tide_err *err)
{
    struct broker *broker = calloc(1, sizeof *broker);

    if (!broker) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: not enough memory");
        return NULL;
    }
    broker->base = (struct tide_queue_broker){&tide_queue_sqlite, log};
    broker->loop = loop;
    broker->waiting_tail = &broker->waiting;
    broker->path = strdup(rest);
    broker->store = tide_store_open(rest, err);
    broker->pool = broker->store ? tide_pool_new(loop, "queue", 1, 4, err) : NULL;
    broker->timer = broker->pool ? calloc(1, sizeof *broker->timer) : NULL;
    if (!broker->timer) {
        if (broker->pool)
            tide_pool_free(broker->pool);
        tide_store_free(broker->store);
        free(broker->path);
        free(broker);
        return NULL;
    }
    uv_timer_init(loop, broker->timer);
    broker->timer->data = broker;
    uv_unref((uv_handle_t *)broker->timer);
    start_watch(broker);
    return &broker->base;
}

static void release_held(struct broker *broker)
{
    struct consumer *consumer;

    for (consumer = broker->consumers; consumer; consumer = consumer->next) {
        consumer->stopped = true;
        consumer->look = false;
        while (consumer->held)
            tide_delivery_release(&consumer->held->base);
    }
}

static void driver_close(struct tide_queue_broker *base)
{
    struct broker *broker = (struct broker *)base;
    struct request *rest;

    broker->closing = true;
    tide_pool_free(broker->pool); /* the turn that runs is done after this */
    broker->busy = true;          /* consumers are freed below, not by what ends their deliveries */
    release_held(broker);
    rest = broker->waiting;
    broker->waiting = NULL;
    broker->waiting_tail = &broker->waiting;
    broker->failed = !apply_all(broker, rest);
    settle_all(broker, rest);
    free_stopped(broker);
    uv_close((uv_handle_t *)broker->timer, free_handle);
    if (broker->watch)
        uv_close((uv_handle_t *)broker->watch, free_handle);
    tide_store_free(broker->store);
    free(broker->path);
    free(broker);
}

/* ---- look in and mend: on a connection of their own ---- */

static int driver_stats(struct tide_queue_broker *base, struct tide_queue_stat *stats, int max,
                        struct tide_err *err)
{
    return tide_store_stats(((struct broker *)base)->path, stats, max, err);
}

static int driver_list(struct tide_queue_broker *base, const char *queue, const char *state, int max,
                       struct tide_queue_dead **list, struct tide_err *err)
{
    return tide_store_list(((struct broker *)base)->path, queue, state, max, list, err);
}

static int64_t driver_dead_retry(struct tide_queue_broker *base, const char *queue, int64_t id,
                                 struct tide_err *err)
{
    return tide_store_dead_retry(((struct broker *)base)->path, queue, id, err);
}

static int64_t driver_purge(struct tide_queue_broker *base, const char *queue, const char *state,
                            struct tide_err *err)
{
    return tide_store_purge(((struct broker *)base)->path, queue, state, err);
}

const struct tide_queue_driver tide_queue_sqlite = {
    .scheme = "sqlite",
    .open = driver_open,
    .close = driver_close,
    .ready = driver_ready,
    .publish = driver_publish,
    .cancel = driver_cancel,
    .consume = driver_consume,
    .stop = driver_stop,
    .end = driver_end,
    .stats = driver_stats,
    .list = driver_list,
    .dead_retry = driver_dead_retry,
    .purge = driver_purge,
};
