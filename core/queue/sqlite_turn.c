#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "queue/sqlite_broker.h"

#define POLL_MS 1000
#define RETRY_MS 500 /* before a turn that failed is tried again */

static struct broker *broker_of(struct tide_job *job)
{
    return (struct broker *)((char *)job - offsetof(struct broker, job));
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

void tide_turn_free_delivery(struct delivery *delivery)
{
    free((char *)delivery->base.payload);
    free((char *)delivery->base.last_code);
    free((char *)delivery->base.last_reason);
    free(delivery);
}

/* ---- on the pool's thread ---- */

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

static bool apply_all(struct tide_store *store, struct request *list, struct tide_err *err)
{
    struct request *request;
    bool ok;

    if (!list)
        return true;
    if (!tide_store_begin(store, true, err))
        return false;
    for (ok = true, request = list; ok && request; request = request->next)
        ok = apply(store, request, err);
    return tide_store_end(store, ok, err) && ok;
}

static char *copy_payload(const void *payload, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, payload, len);
    copy[len] = '\0';
    return copy;
}

static bool keep_message(void *arg, const struct tide_store_message *message, struct tide_err *err)
{
    struct consumer *consumer = arg;
    struct delivery *delivery = calloc(1, sizeof *delivery);

    if (!delivery)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: not enough memory");
    delivery->base = (struct tide_delivery){.broker = consumer->base.broker,
                                            .payload = copy_payload(message->payload, message->len),
                                            .len = message->len,
                                            .queue = consumer->how.queue,
                                            .failed = message->failed,
                                            .lost = message->lost,
                                            .attempts = consumer->how.attempts,
                                            .published_ms = message->published_ms,
                                            .last_code = strdup(message->code ? message->code : ""),
                                            .last_reason = strdup(message->reason ? message->reason : "")};
    if (!delivery->base.payload || !delivery->base.last_code || !delivery->base.last_reason) {
        tide_turn_free_delivery(delivery);
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: not enough memory");
    }
    delivery->consumer = consumer;
    delivery->lease = (struct tide_store_lease){message->id, message->token};
    delivery->lease_end_ms = message->lease_end_ms;
    *consumer->taken_tail = delivery;
    consumer->taken_tail = &delivery->next;
    return true;
}

static struct delivery *next_taken(struct consumer *consumer)
{
    struct delivery *delivery = consumer->taken;

    if (delivery)
        consumer->taken = delivery->next;
    if (!consumer->taken)
        consumer->taken_tail = &consumer->taken;
    return delivery;
}

static bool take_messages(struct tide_store *store, struct consumer *consumer)
{
    struct delivery *delivery;
    bool ok;

    if (!tide_store_begin(store, false, &consumer->err))
        return false;
    ok = tide_store_take(store, &consumer->take, &consumer->err);
    if (tide_store_end(store, ok, &consumer->err) && ok)
        return true;
    while ((delivery = next_taken(consumer)))
        tide_turn_free_delivery(delivery);
    return false;
}

static bool take(struct tide_store *store, struct consumer *consumer)
{
    bool has = false;

    return tide_store_follow_clock(store, &consumer->err) &&
           tide_store_has_work(store, consumer->how.queue, &has, &consumer->err) &&
           (!has || take_messages(store, consumer)) &&
           tide_store_next(store, consumer->how.queue, &consumer->next_ms, &consumer->err);
}

static void work(struct tide_job *job)
{
    struct broker *broker = broker_of(job);
    struct consumer *consumer;

    broker->failed = !apply_all(broker->store, broker->turn, &broker->err);
    for (consumer = broker->taking; consumer && !broker->failed; consumer = consumer->next_taking)
        consumer->failed = !take(broker->store, consumer);
}

/* ---- afterwards, on the loop ---- */

static void push_waiting(struct broker *broker, struct request *request)
{
    request->next = NULL;
    *broker->waiting_tail = request;
    broker->waiting_tail = &request->next;
    broker->waiting_count++;
    broker->waiting_bytes += request->message.len;
}

static struct request *take_waiting(struct broker *broker)
{
    struct request *list = broker->waiting;

    broker->waiting = NULL;
    broker->waiting_tail = &broker->waiting;
    broker->waiting_count = 0;
    broker->waiting_bytes = 0;
    return list;
}

/* A publish is told of its failure; the rest is tried again until its lease is gone. */
static bool is_worth_another(const struct broker *broker, const struct request *request)
{
    return broker->failed && request->what != PUBLISH && !broker->closing &&
           tide_clock_monotonic_ms() < request->lease_end_ms;
}

static void settle(struct broker *broker, struct request *request)
{
    if (request->what == PUBLISH && request->cb)
        request->cb(request->arg, broker->failed ? &broker->err : NULL);
    else if (request->what == END && !request->held)
        tide_log_event(broker->base.log, TIDE_LOG_WARN,
                       "queue: a lease was lost, its message is somebody else's",
                       tide_log_int("message", request->lease.id));
    request_free(request);
}

static void settle_all(struct broker *broker, struct request *list)
{
    if (list && broker->failed)
        tide_log_event(broker->base.log, TIDE_LOG_WARN, "queue: nothing could be stored",
                       tide_log_str("message", broker->err.message));
    while (list) {
        struct request *request = list;

        list = request->next;
        if (is_worth_another(broker, request))
            push_waiting(broker, request);
        else
            settle(broker, request);
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

static void deliver(struct broker *broker, struct consumer *consumer)
{
    struct delivery *delivery;

    while ((delivery = next_taken(consumer))) {
        link_delivery(delivery);
        if (consumer->stopped || broker->closing)
            tide_delivery_release(&delivery->base);
        else
            consumer->cb(consumer->arg, &delivery->base);
    }
}

/* Gives out what was taken; returns in how many milliseconds there may be more. */
static int64_t finish_take(struct broker *broker, struct consumer *consumer)
{
    bool failed = broker->failed || consumer->failed;

    consumer->taking = false;
    if (consumer->failed)
        tide_log_event(broker->base.log, TIDE_LOG_WARN, "queue: messages could not be taken",
                       tide_log_str("queue", consumer->how.queue),
                       tide_log_str("message", consumer->err.message));
    if (consumer->take.more || failed)
        consumer->look = true;
    deliver(broker, consumer);
    return failed ? RETRY_MS : consumer->next_ms;
}

void tide_turn_free_stopped(struct broker *broker)
{
    struct consumer **at = &broker->consumers, *consumer;

    while (!broker->busy && (consumer = *at)) {
        if (consumer->stopped && !consumer->held) {
            *at = consumer->next;
            free((char *)consumer->how.queue);
            free(consumer);
        } else {
            at = &consumer->next;
        }
    }
}

static void done(struct tide_job *job)
{
    struct broker *broker = broker_of(job);
    struct request *turn = broker->turn;
    struct consumer *consumer;
    int64_t next = broker->failed ? RETRY_MS : POLL_MS;
    bool failed = broker->failed;

    broker->turn = NULL;
    settle_all(broker, turn);
    for (consumer = broker->taking; consumer; consumer = consumer->next_taking) {
        int64_t ms = finish_take(broker, consumer);

        failed = failed || consumer->failed;
        if (ms < next)
            next = ms;
    }
    broker->taking = NULL;
    broker->busy = false;
    tide_turn_free_stopped(broker);
    tide_wake_after(broker, next);
    if (!failed)
        tide_turn_start(broker);
}

/* ---- starting ---- */

static bool prepare_take(struct consumer *consumer)
{
    unsigned room = consumer->how.prefetch - consumer->count;

    if (!consumer->look || consumer->stopped || room == 0)
        return false;
    consumer->look = false;
    consumer->taking = true;
    consumer->failed = false;
    consumer->next_ms = INT64_MAX;
    consumer->take = (struct tide_store_take){.queue = consumer->how.queue,
                                              .want = room,
                                              .attempts = consumer->how.attempts,
                                              .lease_ms = consumer->how.lease_ms,
                                              .each = keep_message,
                                              .arg = consumer};
    return true;
}

/* A list of their own: others may be added to the broker's while the turn runs. */
static struct consumer *prepare_takes(struct broker *broker)
{
    struct consumer *first = NULL, **end = &first, *consumer;

    for (consumer = broker->consumers; consumer; consumer = consumer->next) {
        if (!prepare_take(consumer))
            continue;
        consumer->next_taking = NULL;
        *end = consumer;
        end = &consumer->next_taking;
    }
    return first;
}

void tide_turn_start(struct broker *broker)
{
    struct tide_err err;

    if (broker->busy || broker->closing)
        return;
    broker->taking = prepare_takes(broker);
    if (!broker->waiting && !broker->taking)
        return;
    broker->turn = take_waiting(broker);
    broker->busy = true;
    broker->job = (struct tide_job){.work = work, .done = done};
    if (!tide_pool_submit(broker->pool, &broker->job, &err))
        abort(); /* its queue holds the one job that is ever given to it */
}

void tide_turn_enqueue(struct broker *broker, struct request *request)
{
    push_waiting(broker, request);
    tide_turn_start(broker);
}

void tide_turn_flush(struct broker *broker)
{
    struct request *rest = take_waiting(broker);

    broker->failed = !apply_all(broker->store, rest, &broker->err);
    settle_all(broker, rest);
}

bool tide_turn_write_apart(struct broker *broker, struct request *request, struct tide_err *err)
{
    struct tide_store *store = tide_store_open(broker->path, err);
    bool ok = store && apply_all(store, request, err);

    tide_store_free(store);
    return ok;
}
