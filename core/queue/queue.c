#include "queue/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/driver.h"
#include "base/fault.h"
#include "queue/driver.h"

static const struct tide_driver_choice drivers[] = {
    {"sqlite", "sqlite:FILE", &tide_queue_sqlite, NULL},
    {"amqp", "amqp://USER:PASSWORD@HOST/VHOST", NULL, "queue-amqp"},
    {"amqps", "amqps://USER:PASSWORD@HOST/VHOST", NULL, "queue-amqp"},
};

static const struct tide_queue_driver *find_driver(const char *url, struct tide_err *err)
{
    return tide_driver_find("queue", drivers, sizeof drivers / sizeof *drivers, url, err);
}

bool tide_queue_broker_check(const char *url, struct tide_err *err)
{
    const struct tide_queue_driver *driver = find_driver(url, err);

    return driver && driver->check(url, err);
}

struct tide_queue_broker *tide_queue_broker_open(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                                 struct tide_err *err)
{
    const struct tide_queue_driver *driver = find_driver(url, err);

    return driver ? driver->open(loop, log, url, err) : NULL;
}

void tide_queue_broker_close(struct tide_queue_broker *broker)
{
    if (broker)
        broker->driver->close(broker);
}

void tide_queue_broker_dies(struct tide_queue_broker *broker)
{
    broker->dies = true;
}

bool tide_queue_broker_ready(struct tide_queue_broker *broker, struct tide_err *err)
{
    return broker->driver->ready(broker, err);
}

static bool check_name(const char *queue, struct tide_err *err)
{
    size_t len = strlen(queue);

    if (len >= 1 && len <= TIDE_QUEUE_NAME_LEN &&
        strspn(queue, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == len)
        return true;
    return tide_err_set(err, TIDE_ERR_INVALID, false,
                        "queue: the name '%.80s' is not 1 to %d characters of a-z, 0-9, '_', '.', '-'", queue,
                        TIDE_QUEUE_NAME_LEN);
}

/* ---- publish ---- */

struct tide_queue_call *tide_queue_publish(struct tide_queue_broker *broker,
                                           const struct tide_queue_message *message,
                                           tide_queue_publish_cb *cb, void *arg, struct tide_err *err)
{
    assert(cb && (message->payload || message->len == 0));
    if (!check_name(message->queue, err))
        return NULL;
    if (message->len > TIDE_QUEUE_MAX_PAYLOAD) {
        tide_err_set(err, TIDE_ERR_TOO_LARGE, false, "queue: a message of %zu bytes, %d are allowed",
                     message->len, TIDE_QUEUE_MAX_PAYLOAD);
        return NULL;
    }
    if (message->delay_ms < 0 || message->delay_ms > TIDE_QUEUE_MAX_DELAY_MS) {
        tide_err_set(err, TIDE_ERR_INVALID, false, "queue: a delay of %lld ms is not in 0..366 days",
                     (long long)message->delay_ms);
        return NULL;
    }
    return broker->driver->publish(broker, message, cb, arg, err);
}

void tide_queue_call_cancel(struct tide_queue_call *call)
{
    if (call)
        call->broker->driver->cancel(call);
}

/* ---- consume ---- */

static bool check_consume(const struct tide_queue_consume *how, struct tide_err *err)
{
    if (!check_name(how->queue, err))
        return false;
    if (how->prefetch < 1 || how->prefetch > 1000)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "queue: prefetch %u is not in 1..1000",
                            how->prefetch);
    if (how->attempts < 1 || how->attempts > 100)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "queue: attempts %u is not in 1..100",
                            how->attempts);
    if (how->lease_ms < 100 || how->lease_ms > TIDE_QUEUE_MAX_DELAY_MS)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "queue: a lease of %lld ms is not in 100 ms..366 days", (long long)how->lease_ms);
    if (how->backoff_ms < 0 || how->backoff_max_ms < how->backoff_ms ||
        how->backoff_max_ms > TIDE_QUEUE_MAX_DELAY_MS)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "queue: the backoff is negative, over its maximum or over 366 days");
    return true;
}

struct tide_queue_consumer *tide_queue_consume(struct tide_queue_broker *broker,
                                               const struct tide_queue_consume *how,
                                               tide_queue_deliver_cb *cb, void *arg, struct tide_err *err)
{
    assert(cb);
    return check_consume(how, err) ? broker->driver->consume(broker, how, cb, arg, err) : NULL;
}

void tide_queue_consumer_stop(struct tide_queue_consumer *consumer)
{
    if (consumer)
        consumer->broker->driver->stop(consumer);
}

const char *tide_delivery_payload(const struct tide_delivery *delivery, size_t *len)
{
    if (len)
        *len = delivery->len;
    return delivery->payload;
}

static unsigned used_up(const struct tide_delivery *delivery)
{
    return tide_queue_used_up(delivery->failed, delivery->lost, delivery->attempts);
}

unsigned tide_delivery_attempt(const struct tide_delivery *delivery)
{
    return delivery->failed + delivery->lost + 1;
}

bool tide_delivery_is_last(const struct tide_delivery *delivery)
{
    return used_up(delivery) + 1 >= delivery->attempts;
}

bool tide_delivery_is_expired(const struct tide_delivery *delivery)
{
    return used_up(delivery) >= delivery->attempts;
}

int64_t tide_delivery_published_ms(const struct tide_delivery *delivery)
{
    return delivery->published_ms;
}

const char *tide_delivery_queue(const struct tide_delivery *delivery)
{
    return delivery->queue;
}

const char *tide_delivery_last_code(const struct tide_delivery *delivery)
{
    return delivery->last_code;
}

const char *tide_delivery_last_reason(const struct tide_delivery *delivery)
{
    return delivery->last_reason;
}

static void end_now(struct tide_delivery *delivery, const struct tide_queue_ending *ending)
{
    struct tide_err err;

    if (!delivery->broker->driver->end_now(delivery, ending, &err))
        tide_log_event(
            delivery->broker->log, TIDE_LOG_ERROR,
            "queue: what became of a message could not be stored: it counts as one that lost its holder",
            tide_log_str("queue", delivery->queue), tide_log_str("message", err.message));
}

static void end(struct tide_delivery *delivery, const struct tide_queue_ending *ending)
{
    if (delivery->broker->dies)
        end_now(delivery, ending);
    else
        delivery->broker->driver->end(delivery, ending);
}

void tide_delivery_ack(struct tide_delivery *delivery)
{
    tide_fault("queue.handled", delivery->queue);
    end(delivery, &(struct tide_queue_ending){.how = TIDE_QUEUE_ACK});
}

void tide_delivery_release(struct tide_delivery *delivery)
{
    end(delivery, &(struct tide_queue_ending){.how = TIDE_QUEUE_RELEASE});
}

void tide_delivery_retry(struct tide_delivery *delivery, int64_t delay_ms, const char *code,
                         const char *reason)
{
    if (delay_ms > TIDE_QUEUE_MAX_DELAY_MS)
        delay_ms = TIDE_QUEUE_MAX_DELAY_MS;
    end(delivery, &(struct tide_queue_ending){.how = tide_delivery_is_last(delivery) ? TIDE_QUEUE_REJECT
                                                                                     : TIDE_QUEUE_RETRY,
                                              .delay_ms = delay_ms,
                                              .code = code,
                                              .reason = reason});
}

void tide_delivery_reject(struct tide_delivery *delivery, const char *code, const char *reason,
                          const char *detail)
{
    end(delivery, &(struct tide_queue_ending){
                      .how = TIDE_QUEUE_REJECT, .code = code, .reason = reason, .detail = detail});
}

void tide_delivery_postpone(struct tide_delivery *delivery, const char *code, const char *reason)
{
    bool last = used_up(delivery) + 1 >= delivery->attempts + TIDE_QUEUE_EXTRA;

    end(delivery, &(struct tide_queue_ending){.how = last ? TIDE_QUEUE_REJECT : TIDE_QUEUE_RETRY,
                                              .delay_ms = -1,
                                              .expired = true,
                                              .code = code,
                                              .reason = reason});
}

/* ---- look in and mend ---- */

static bool check_state(const char *state, bool leased_too, struct tide_err *err)
{
    if (strcmp(state, "dead") == 0 || strcmp(state, "ready") == 0 || strcmp(state, "delayed") == 0)
        return true;
    if (leased_too && strcmp(state, "leased") == 0)
        return true;
    return tide_err_set(err, TIDE_ERR_INVALID, false,
                        "queue: the state '%.40s' is not one of dead, ready, delayed%s", state,
                        leased_too ? ", leased" : "");
}

int tide_queue_stats(struct tide_queue_broker *broker, struct tide_queue_stat *stats, int named, int max,
                     struct tide_err *err)
{
    for (int i = 0; i < named; i++)
        if (!check_name(stats[i].queue, err))
            return -1;
    return broker->driver->stats(broker, stats, named, max, err);
}

int tide_queue_list(struct tide_queue_broker *broker, const char *queue, const char *state, int max,
                    struct tide_queue_dead **list, struct tide_err *err)
{
    if (!check_name(queue, err) || !check_state(state, true, err))
        return -1;
    return broker->driver->list(broker, queue, state, max, list, err);
}

void tide_queue_dead_free(struct tide_queue_dead *list, int count)
{
    for (int i = 0; i < count; i++) {
        free(list[i].payload);
        free(list[i].code);
        free(list[i].reason);
        free(list[i].detail);
    }
    free(list);
}

int64_t tide_queue_dead_retry(struct tide_queue_broker *broker, const char *queue, int64_t id,
                              struct tide_err *err)
{
    return check_name(queue, err) ? broker->driver->dead_retry(broker, queue, id, err) : -1;
}

int64_t tide_queue_purge(struct tide_queue_broker *broker, const char *queue, const char *state,
                         struct tide_err *err)
{
    if (!check_name(queue, err) || !check_state(state, false, err))
        return -1;
    return broker->driver->purge(broker, queue, state, err);
}
