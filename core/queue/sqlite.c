/*
 * The embedded queue: a file in WAL mode shared by the worker processes. All writes of a process go through
 * one thread in turns (sqlite_turn.c): a turn does everything that waits (publishes, endings, renewals) in
 * one durable transaction, then takes messages for consumers that have room. What other processes and time
 * bring is noticed by sqlite_wake.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/driver.h"
#include "queue/sqlite_broker.h"

#define MAX_WAITING 10000                    /* publishes, */
#define MAX_WAITING_BYTES (64 * 1024 * 1024) /* and their payload */

static char *copy_text(const char *text)
{
    return text ? strdup(text) : NULL;
}

/* ---- publish ---- */

static bool can_take(const struct broker *broker, size_t len, struct tide_err *err)
{
    if (broker->closing)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: the broker is closing");
    if (broker->waiting_count >= MAX_WAITING || broker->waiting_bytes + len > MAX_WAITING_BYTES)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: too many publishes wait");
    return true;
}

static struct request *publish_request(const struct tide_queue_message *message)
{
    struct request *request = calloc(1, sizeof *request);
    char *queue = strdup(message->queue), *payload = malloc(message->len + 1);

    if (!request || !queue || !payload) {
        free(request);
        free(queue);
        free(payload);
        return NULL;
    }
    if (message->len)
        memcpy(payload, message->payload, message->len);
    request->what = PUBLISH;
    request->message = *message;
    request->message.queue = queue;
    request->message.payload = payload;
    return request;
}

static struct tide_queue_call *driver_publish(struct tide_queue_broker *base,
                                              const struct tide_queue_message *message,
                                              tide_queue_publish_cb *cb, void *arg, struct tide_err *err)
{
    struct broker *broker = (struct broker *)base;
    struct request *request;

    if (!can_take(broker, message->len, err))
        return NULL;
    request = publish_request(message);
    if (!request) {
        tide_err_errno(err, ENOMEM, "queue");
        return NULL;
    }
    request->call.broker = base;
    request->cb = cb;
    request->arg = arg;
    tide_turn_enqueue(broker, request);
    return &request->call;
}

static void driver_cancel(struct tide_queue_call *call)
{
    ((struct request *)call)->cb = NULL;
}

/* ---- consume ---- */

static struct tide_queue_consumer *driver_consume(struct tide_queue_broker *base,
                                                  const struct tide_queue_consume *how,
                                                  tide_queue_deliver_cb *cb, void *arg, struct tide_err *err)
{
    struct broker *broker = (struct broker *)base;
    struct consumer *consumer = calloc(1, sizeof *consumer), **end;
    char *queue = strdup(how->queue);

    if (!consumer || !queue) {
        free(consumer);
        free(queue);
        tide_err_errno(err, ENOMEM, "queue");
        return NULL;
    }
    consumer->base.broker = base;
    consumer->how = *how;
    consumer->how.queue = queue;
    consumer->cb = cb;
    consumer->arg = arg;
    consumer->taken_tail = &consumer->taken;
    consumer->look = true;
    for (end = &broker->consumers; *end;)
        end = &(*end)->next;
    *end = consumer;
    tide_wake_after(broker, 1);
    return &consumer->base;
}

static void driver_stop(struct tide_queue_consumer *base)
{
    ((struct consumer *)base)->stopped = true;
    tide_turn_free_stopped((struct broker *)base->broker);
}

static struct request *end_request(const struct delivery *delivery, const struct tide_queue_ending *ending)
{
    struct request *request = calloc(1, sizeof *request);

    if (!request)
        abort(); /* a few hundred bytes; a message's fate must not be guessed */
    request->what = END;
    request->lease = delivery->lease;
    request->lease_end_ms = delivery->lease_end_ms;
    request->failed = tide_queue_failed_after(&delivery->base, ending);
    request->ending = (struct tide_queue_ending){
        .how = ending->how,
        .delay_ms = tide_queue_delay_after(&delivery->base, ending, &delivery->consumer->how),
        .code = copy_text(ending->code),
        .reason = copy_text(ending->reason),
        .detail = copy_text(ending->detail)};
    return request;
}

static void unlink_delivery(struct delivery *delivery)
{
    *delivery->prev = delivery->next;
    if (delivery->next)
        delivery->next->prev = delivery->prev;
    delivery->consumer->count--;
    delivery->consumer->look = true;
}

static void driver_end(struct tide_delivery *base, const struct tide_queue_ending *ending)
{
    struct delivery *delivery = (struct delivery *)base;
    struct broker *broker = (struct broker *)base->broker;
    struct request *request = end_request(delivery, ending);

    unlink_delivery(delivery);
    tide_turn_free_delivery(delivery);
    tide_turn_free_stopped(broker);
    tide_turn_enqueue(broker, request);
}

static bool driver_end_now(struct tide_delivery *base, const struct tide_queue_ending *ending,
                           struct tide_err *err)
{
    struct request *request = end_request((struct delivery *)base, ending);

    if (!tide_turn_write_apart((struct broker *)base->broker, request, err))
        return false;
    return request->held || tide_err_set(err, TIDE_ERR_CONFLICT, false, "its lease was lost");
}

/* ---- open and close ---- */

/* Opens it anew: the connection at hand would not notice that its file was removed. */
static bool driver_ready(struct tide_queue_broker *base, struct tide_err *err)
{
    const char *path = ((struct broker *)base)->path;
    struct tide_store *store;

    if (access(path, R_OK | W_OK) != 0) {
        tide_err_errno(err, errno, path);
        return tide_err_prefix(err, "queue");
    }
    store = tide_store_open(path, err);
    tide_store_free(store);
    return store != NULL;
}

static void broker_free(struct broker *broker)
{
    tide_wake_close(broker);
    tide_store_free(broker->store);
    free(broker->path);
    free(broker);
}

static bool open_all(struct broker *broker, struct tide_err *err)
{
    if (!broker->path)
        return tide_err_errno(err, ENOMEM, "queue");
    broker->store = tide_store_open(broker->path, err);
    if (!broker->store)
        return false;
    if (!tide_store_end_old_leases(broker->store, err))
        return tide_err_prefix(err, "%s", broker->path);
    if (!tide_wake_open(broker))
        return tide_err_errno(err, ENOMEM, "queue");
    broker->pool = tide_pool_new(broker->loop, "queue", 1, 4, err);
    return broker->pool != NULL;
}

static struct tide_queue_broker *driver_open(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                             struct tide_err *err)
{
    struct broker *broker;

    if (!tide_driver_check_location(url, err))
        return NULL;
    broker = calloc(1, sizeof *broker);
    if (!broker) {
        tide_err_errno(err, ENOMEM, "queue");
        return NULL;
    }
    broker->base = (struct tide_queue_broker){.driver = &tide_queue_sqlite, .log = log};
    broker->loop = loop;
    broker->waiting_tail = &broker->waiting;
    broker->path = copy_text(tide_driver_location(url));
    if (open_all(broker, err))
        return &broker->base;
    broker_free(broker);
    return NULL;
}

static void release_held(struct broker *broker)
{
    struct consumer *consumer;

    broker->busy = true; /* ending a delivery must not free its consumer here */
    for (consumer = broker->consumers; consumer; consumer = consumer->next) {
        consumer->stopped = true;
        while (consumer->held)
            tide_delivery_release(&consumer->held->base);
    }
    broker->busy = false;
}

static void driver_close(struct tide_queue_broker *base)
{
    struct broker *broker = (struct broker *)base;

    broker->closing = true;
    tide_pool_free(broker->pool); /* the turn that runs is done after this */
    release_held(broker);
    tide_turn_flush(broker);
    tide_turn_free_stopped(broker);
    broker_free(broker);
}

/* ---- look in and mend: on a connection of their own ---- */

static int driver_stats(struct tide_queue_broker *base, struct tide_queue_stat *stats, int named, int max,
                        struct tide_err *err)
{
    return tide_store_stats(((struct broker *)base)->path, stats, named, max, err);
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
    .check = tide_driver_check_location,
    .open = driver_open,
    .close = driver_close,
    .ready = driver_ready,
    .publish = driver_publish,
    .cancel = driver_cancel,
    .consume = driver_consume,
    .stop = driver_stop,
    .end = driver_end,
    .end_now = driver_end_now,
    .stats = driver_stats,
    .list = driver_list,
    .dead_retry = driver_dead_retry,
    .purge = driver_purge,
};
