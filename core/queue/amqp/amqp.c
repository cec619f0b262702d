/*
 * The driver for RabbitMQ and other AMQP 0-9-1 brokers: its table, and the broker object with its two links
 * (publish.c, consume.c). The loop never waits for the broker: what it wants is handed to the links'
 * threads, what they have to say comes back through a mailbox.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/driver.h"
#include "queue/amqp/broker.h"

#define MAX_WAITING 10000                    /* publishes, */
#define MAX_WAITING_BYTES (64 * 1024 * 1024) /* and their payload */
#define TICK_MS 250
#define QUIET_MS 2000 /* at the end: until nothing is delivered any more, */
#define CLOSE_MS 6000 /* and for what is under way */

TIDE_MODULE_EXPORT extern const struct tide_queue_driver TIDE_MODULE_DRIVER;

/* ---- publish ---- */

struct call {
    struct tide_queue_call base;
    tide_queue_publish_cb *cb; /* NULL: canceled */
    void *arg;
};

static void on_published(struct tide_amqp_outgoing *outgoing, const struct tide_err *err)
{
    struct call *call = outgoing->arg;

    if (call->cb)
        call->cb(call->arg, err);
    free(call);
}

/* When the broker has been away for as long as a publish may take, there is no use in waiting again. */
static bool can_take(const struct broker *broker, size_t len, struct tide_err *err)
{
    size_t bytes, count = tide_amqp_publisher_awaited(broker->publisher, &bytes);

    if (broker->closing)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: the broker is closing");
    if (count >= MAX_WAITING || bytes + len > MAX_WAITING_BYTES)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: too many publishes wait");
    if (tide_amqp_link_ready(tide_amqp_publisher_link(broker->publisher), TIDE_AMQP_CONFIRM_MS, err))
        return true;
    if (err) {
        err->code = TIDE_ERR_UNAVAILABLE;
        err->retryable = true;
    }
    return false;
}

static struct tide_amqp_outgoing *outgoing_of(struct broker *broker, const struct tide_queue_message *message)
{
    struct tide_amqp_outgoing *outgoing = calloc(1, sizeof *outgoing);
    char *payload = malloc(message->len + 1);

    if (!outgoing || !payload) {
        free(outgoing);
        free(payload);
        return NULL;
    }
    if (message->len)
        memcpy(payload, message->payload, message->len);
    payload[message->len] = '\0';
    snprintf(outgoing->queue, sizeof outgoing->queue, "%s", message->queue);
    memcpy(outgoing->message.id, tide_id_next(&broker->ids).hex, TIDE_ID_LEN + 1);
    outgoing->message.payload = payload;
    outgoing->message.len = message->len;
    outgoing->message.published_ms = tide_clock_now_ms();
    if (message->delay_ms > 0) {
        outgoing->place = TIDE_AMQP_DELAY;
        outgoing->delay_ms = tide_amqp_round_delay(message->delay_ms);
        if (message->delay_ms > TIDE_AMQP_MAX_ROUND_MS)
            outgoing->message.due_ms = outgoing->message.published_ms + message->delay_ms;
    }
    return outgoing;
}

static struct tide_queue_call *driver_publish(struct tide_queue_broker *base,
                                              const struct tide_queue_message *message,
                                              tide_queue_publish_cb *cb, void *arg, struct tide_err *err)
{
    struct broker *broker = (struct broker *)base;
    struct tide_amqp_outgoing *outgoing;
    struct call *call;

    if (!can_take(broker, message->len, err))
        return NULL;
    outgoing = outgoing_of(broker, message);
    call = calloc(1, sizeof *call);
    if (!outgoing || !call) {
        if (outgoing)
            free(outgoing->message.payload);
        free(outgoing);
        free(call);
        tide_err_errno(err, ENOMEM, "queue");
        return NULL;
    }
    *call = (struct call){{base}, cb, arg};
    outgoing->done = on_published;
    outgoing->arg = call;
    tide_amqp_publisher_send(broker->publisher, outgoing);
    return &call->base;
}

static void driver_cancel(struct tide_queue_call *call)
{
    ((struct call *)call)->cb = NULL;
}

/* ---- consume ---- */

static struct tide_queue_consumer *driver_consume(struct tide_queue_broker *base,
                                                  const struct tide_queue_consume *how,
                                                  tide_queue_deliver_cb *cb, void *arg, struct tide_err *err)
{
    struct broker *broker = (struct broker *)base;
    struct consumer *consumer = calloc(1, sizeof *consumer);
    char *queue = strdup(how->queue);

    if (consumer && queue)
        consumer->subscription = tide_amqp_subscribe(broker->receiver, queue, how->prefetch,
                                                     &tide_amqp_consumer_subscriber, consumer);
    if (!consumer || !consumer->subscription) {
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
    consumer->waiting_end = &consumer->waiting;
    consumer->next = broker->consumers;
    broker->consumers = consumer;
    return &consumer->base;
}

static void driver_stop(struct tide_queue_consumer *base)
{
    struct consumer *consumer = (struct consumer *)base;

    if (consumer->stopped)
        return;
    consumer->stopped = true;
    tide_amqp_unsubscribe(consumer->subscription);
    tide_amqp_deliver_waiting(consumer);
}

static void driver_end(struct tide_delivery *delivery, const struct tide_queue_ending *ending)
{
    tide_amqp_delivery_end(delivery, ending);
}

/* ---- open and close ---- */

static bool driver_ready(struct tide_queue_broker *base, struct tide_err *err)
{
    struct broker *broker = (struct broker *)base;

    return tide_amqp_link_ready(tide_amqp_publisher_link(broker->publisher), 0, err) &&
           tide_amqp_link_ready(tide_amqp_receiver_link(broker->receiver), 0, err);
}

static void tick(struct broker *broker)
{
    tide_amqp_publisher_tick(broker->publisher);
    tide_amqp_receiver_tick(broker->receiver);
    tide_amqp_settling_tick(broker);
}

static void on_tick(uv_timer_t *timer)
{
    tick(timer->data);
}

static bool start_timer(struct broker *broker)
{
    broker->timer = calloc(1, sizeof *broker->timer);
    if (!broker->timer)
        return false;
    uv_timer_init(broker->loop, broker->timer);
    broker->timer->data = broker;
    uv_timer_start(broker->timer, on_tick, TICK_MS, TICK_MS);
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void broker_free(struct broker *broker)
{
    if (broker->timer)
        uv_close((uv_handle_t *)broker->timer, on_closed);
    if (broker->mailbox.async)
        tide_amqp_mailbox_close(&broker->mailbox);
    tide_amqp_known_free(broker->known);
    tide_amqp_url_release(&broker->url);
    free(broker);
}

static bool open_all(struct broker *broker, const char *url, struct tide_err *err)
{
    if (!tide_amqp_url_parse(&broker->url, url, err))
        return false;
    broker->known = tide_amqp_known_new();
    if (!broker->known || !tide_amqp_mailbox_open(&broker->mailbox, broker->loop) || !start_timer(broker))
        return tide_err_errno(err, ENOMEM, "queue");
    broker->publisher =
        tide_amqp_publisher_open(&broker->url, broker->known, broker->base.log, &broker->mailbox, err);
    if (!broker->publisher)
        return false;
    broker->receiver =
        tide_amqp_receiver_open(&broker->url, broker->known, broker->base.log, &broker->mailbox, err);
    return broker->receiver != NULL;
}

static bool driver_check(const char *text, struct tide_err *err)
{
    struct tide_amqp_url url;
    bool ok = tide_amqp_url_parse(&url, text, err);

    tide_amqp_url_release(&url);
    return ok;
}

static struct tide_queue_broker *driver_open(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                             struct tide_err *err)
{
    struct broker *broker = calloc(1, sizeof *broker);

    if (!broker) {
        tide_err_errno(err, ENOMEM, "queue");
        return NULL;
    }
    broker->base = (struct tide_queue_broker){.driver = &TIDE_MODULE_DRIVER, .log = log};
    broker->loop = loop;
    tide_id_series_init(&broker->ids);
    if (open_all(broker, url, err))
        return &broker->base;
    tide_amqp_publisher_close(broker->publisher);
    broker_free(broker);
    return NULL;
}

static bool is_cut_off(struct broker *broker)
{
    struct tide_err err;

    return !tide_amqp_link_ready(tide_amqp_receiver_link(broker->receiver), 0, &err);
}

/* Of what consumers hold nothing is ours when they are cut off. */
static bool is_quiet(struct broker *broker)
{
    const struct consumer *consumer = broker->consumers;

    while (consumer && consumer->canceled)
        consumer = consumer->next;
    return !consumer || is_cut_off(broker);
}

/* Consumers are freed when all that came to them is settled. */
static bool is_finished(struct broker *broker)
{
    size_t bytes;

    return tide_amqp_publisher_awaited(broker->publisher, &bytes) == 0 &&
           (!broker->consumers || is_cut_off(broker));
}

/* Here the loop does wait. */
static void wait_until(struct broker *broker, bool (*is_so)(struct broker *broker), int64_t ms)
{
    int64_t end = tide_clock_monotonic_ms() + ms;

    while (!is_so(broker) && tide_clock_monotonic_ms() < end) {
        tide_amqp_mailbox_wait(&broker->mailbox, TICK_MS);
        tide_amqp_mailbox_take(&broker->mailbox);
        tick(broker);
    }
}

/* What consumers hold is handed back when nothing comes to them any more: it would come to them again. */
static void driver_close(struct tide_queue_broker *base)
{
    struct broker *broker = (struct broker *)base;
    struct consumer *consumer;

    broker->closing = true;
    for (consumer = broker->consumers; consumer; consumer = consumer->next)
        driver_stop(&consumer->base);
    wait_until(broker, is_quiet, QUIET_MS);
    for (consumer = broker->consumers; consumer; consumer = consumer->next)
        tide_amqp_consumer_release_all(consumer);
    wait_until(broker, is_finished, CLOSE_MS);
    broker->closed = true;
    tide_amqp_publisher_close(broker->publisher);
    tide_amqp_receiver_close(broker->receiver);
    tide_amqp_settling_free_all(broker);
    while (broker->consumers)
        tide_amqp_consumer_free(broker->consumers);
    broker_free(broker);
}

/* ---- look in and mend ---- */

static int driver_stats(struct tide_queue_broker *base, struct tide_queue_stat *stats, int named, int max,
                        struct tide_err *err)
{
    return tide_amqp_stats((struct broker *)base, stats, named, max, err);
}

static int driver_list(struct tide_queue_broker *base, const char *queue, const char *state, int max,
                       struct tide_queue_dead **list, struct tide_err *err)
{
    return tide_amqp_list((struct broker *)base, queue, state, max, list, err);
}

static int64_t driver_dead_retry(struct tide_queue_broker *base, const char *queue, int64_t id,
                                 struct tide_err *err)
{
    return tide_amqp_dead_retry((struct broker *)base, queue, id, err);
}

static int64_t driver_purge(struct tide_queue_broker *base, const char *queue, const char *state,
                            struct tide_err *err)
{
    return tide_amqp_purge((struct broker *)base, queue, state, err);
}

const struct tide_queue_driver TIDE_MODULE_DRIVER = {
    .check = driver_check,
    .open = driver_open,
    .close = driver_close,
    .ready = driver_ready,
    .publish = driver_publish,
    .cancel = driver_cancel,
    .consume = driver_consume,
    .stop = driver_stop,
    .end = driver_end,
    .end_now = tide_amqp_delivery_end_now,
    .stats = driver_stats,
    .list = driver_list,
    .dead_retry = driver_dead_retry,
    .purge = driver_purge,
};
