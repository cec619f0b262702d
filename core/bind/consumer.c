/*
 * Consumers: one task a message. What the handler does becomes one of the broker's words: it returns -> ack;
 * tide.retry -> again later; tide.reject or a failure that can't be mended -> dead letters; any other error
 * -> again with backoff until the attempts are used up, then dead letters. Before a message goes to the dead
 * letters the bundle's on_dead runs. When that fails and may do better later, the message stays and on_dead
 * alone is tried again (queue/queue.h: tide_delivery_postpone); after its last try the message is a dead
 * letter all the same, and the log has an error. A worker that dies between on_dead and the reject makes it
 * run twice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bundle_internal.h"

/* One message in the hands of a bundle. */
struct message {
    struct consumer *consumer;
    struct tide_delivery *delivery;
    uint64_t start_ns;
    bool buried; /* on_dead runs */
    struct failure failure;
    char *traceback;
};

static const struct tide_services *services_of(const struct message *message)
{
    return message->consumer->bundle->config.services;
}

static void count_outcome(struct message *message, const char *outcome)
{
    struct consumer *consumer = message->consumer;
    struct tide_metrics *metrics = services_of(message)->metrics;
    struct tide_buf labels;

    if (!metrics)
        return;
    tide_buf_init(&labels, 512);
    tide_metrics_label(&labels, "queue", consumer->queue);
    if (!consumer->duration)
        consumer->duration =
            tide_metrics_get(metrics, TIDE_METRIC_HISTOGRAM, "tidemill_message_duration_seconds", labels.data,
                             "Time a handler took for a message.");
    tide_metrics_label(&labels, "outcome", outcome);
    tide_metric_add(tide_metrics_get(metrics, TIDE_METRIC_COUNTER, "tidemill_messages_total", labels.data,
                                     "Messages by what became of them."),
                    1);
    tide_metric_observe(consumer->duration, (double)(uv_hrtime() - message->start_ns) / 1e9);
    tide_buf_release(&labels);
}

static void log_outcome(struct message *message, const char *outcome)
{
    bool good = strcmp(outcome, "ack") == 0;

    tide_log_event(services_of(message)->log, good ? TIDE_LOG_INFO : TIDE_LOG_WARN, "message",
                   tide_log_str("bundle", message->consumer->bundle->config.name),
                   tide_log_str("generation", message->consumer->bundle->generation),
                   tide_log_str("queue", message->consumer->queue), tide_log_str("outcome", outcome),
                   tide_log_int("attempt", tide_delivery_attempt(message->delivery)),
                   tide_log_seconds("seconds", uv_hrtime() - message->start_ns),
                   tide_log_str("code", good ? NULL : message->failure.code),
                   tide_log_str("reason", good ? NULL : message->failure.message));
}

/* The delivery has been ended: forget the message. */
static void message_over(struct message *message)
{
    struct tide_bundle *bundle = message->consumer->bundle;

    free(message->traceback);
    free(message);
    bundle->messages--;
}

static void end_with_reject(struct message *message)
{
    log_outcome(message, "reject");
    count_outcome(message, "reject");
    tide_delivery_reject(message->delivery, message->failure.code, message->failure.message,
                         message->traceback);
    message_over(message);
}

static void end_with_retry(struct message *message, int64_t delay_ms)
{
    log_outcome(message, "retry");
    count_outcome(message, "retry");
    tide_delivery_retry(message->delivery, delay_ms, message->failure.code, message->failure.message);
    message_over(message);
}

static void end_with_postpone(struct message *message)
{
    log_outcome(message, "postpone");
    count_outcome(message, "postpone");
    tide_delivery_postpone(message->delivery, message->failure.code, message->failure.message);
    message_over(message);
}

static void end_with_release(struct message *message)
{
    count_outcome(message, "release");
    tide_delivery_release(message->delivery);
    message_over(message);
}

static void copy_failure(struct failure *failure, const char *code, const char *text)
{
    snprintf(failure->code, sizeof failure->code, "%s", code ? code : TIDE_ERR_INTERNAL);
    snprintf(failure->message, sizeof failure->message, "%s", text ? text : "");
}

static void log_on_dead_failed(struct message *message, const struct failure *failure)
{
    tide_log_event(services_of(message)->log, TIDE_LOG_ERROR, "on_dead failed",
                   tide_log_str("bundle", message->consumer->bundle->config.name),
                   tide_log_str("generation", message->consumer->bundle->generation),
                   tide_log_str("queue", message->consumer->queue),
                   tide_log_int("attempt", tide_delivery_attempt(message->delivery)),
                   tide_log_str("code", failure->code), tide_log_str("reason", failure->message));
}

/* ---- a handler that takes its process along ---- */

/* That is an attempt of this message's; what else the process holds loses its holder. on_dead can't run here
 * any more: it is left to who gets the message next. */
static void on_fatal(void *arg, const struct tide_err *why)
{
    struct message *message = arg;
    struct failure failure = {.retryable = true};
    bool last = tide_delivery_is_last(message->delivery);

    tide_queue_broker_dies(services_of(message)->queue);
    copy_failure(&failure, why->code, why->message);
    if (message->buried)
        log_on_dead_failed(message, &failure);
    else
        message->failure = failure;
    if (message->buried || (last && message->consumer->has_on_dead))
        end_with_postpone(message);
    else if (last)
        end_with_reject(message);
    else
        end_with_retry(message, -1);
}

/* Runs the function and its arguments on top of the bundle's main stack. */
static void run(struct message *message, int nargs, tide_task_end_cb *end)
{
    struct consumer *consumer = message->consumer;
    struct tide_task_limits limits = consumer->limits;

    limits.fatal = on_fatal;
    tide_task_start(consumer->bundle->state, nargs, consumer->label, limits, end, message);
}

/* ---- dead letters ---- */

static void on_dead_end(void *arg, struct tide_task *task, enum tide_task_end end, lua_State *L, int nresults,
                        const struct tide_err *err)
{
    struct message *message = arg;
    struct failure failure = {.retryable = true};

    (void)nresults;
    if (end == TIDE_TASK_RETURNED) {
        end_with_reject(message);
        return;
    }
    if (end == TIDE_TASK_ENDED && strcmp(err->code, TIDE_ERR_CANCELED) == 0) {
        end_with_release(message);
        return;
    }
    if (end == TIDE_TASK_RAISED)
        tide_bundle_failure(message->consumer->bundle, task, L, &failure);
    else
        copy_failure(&failure, err->code, err->message);
    log_on_dead_failed(message, &failure);
    if (failure.retryable)
        end_with_postpone(message);
    else
        end_with_reject(message);
}

static void bury(struct message *message)
{
    struct consumer *consumer = message->consumer;
    struct tide_bundle *bundle = consumer->bundle;
    lua_State *L = tide_state_main(bundle->state);
    size_t len;
    const char *payload = tide_delivery_payload(message->delivery, &len);

    if (!consumer->has_on_dead) {
        end_with_reject(message);
        return;
    }
    message->buried = true;
    lua_rawgeti(L, LUA_REGISTRYINDEX, bundle->entry_dead);
    lua_pushinteger(L, consumer->index);
    lua_pushlstring(L, payload, len);
    lua_pushstring(L, message->failure.code);
    lua_pushstring(L, message->failure.message);
    run(message, 4, on_dead_end);
}

static void fail(struct message *message, bool retryable, int64_t delay_ms)
{
    if (!retryable || tide_delivery_is_last(message->delivery))
        bury(message);
    else
        end_with_retry(message, delay_ms);
}

/* ---- handling ---- */

/* entry.message returned outcome, delay_ms, code, reason. */
static void take_outcome(struct message *message, lua_State *L)
{
    const char *outcome = lua_tostring(L, 1);

    if (!outcome || strcmp(outcome, "ack") == 0) {
        log_outcome(message, "ack");
        count_outcome(message, "ack");
        tide_delivery_ack(message->delivery);
        message_over(message);
        return;
    }
    copy_failure(&message->failure, lua_tostring(L, 3), lua_tostring(L, 4));
    fail(message, strcmp(outcome, "retry") == 0, lua_isnumber(L, 2) ? (int64_t)lua_tonumber(L, 2) : -1);
}

static void on_message_end(void *arg, struct tide_task *task, enum tide_task_end end, lua_State *L,
                           int nresults, const struct tide_err *err)
{
    struct message *message = arg;

    (void)nresults;
    if (end == TIDE_TASK_RETURNED) {
        take_outcome(message, L);
    } else if (end == TIDE_TASK_RAISED) {
        tide_bundle_failure(message->consumer->bundle, task, L, &message->failure);
        message->traceback = strdup(tide_task_traceback(task));
        fail(message, message->failure.retryable, -1);
    } else if (strcmp(err->code, TIDE_ERR_CANCELED) == 0) {
        end_with_release(message);
    } else {
        copy_failure(&message->failure, err->code, err->message);
        fail(message, err->retryable, -1);
    }
}

static void on_delivery(void *arg, struct tide_delivery *delivery)
{
    struct consumer *consumer = arg;
    struct tide_bundle *bundle = consumer->bundle;
    lua_State *L = tide_state_main(bundle->state);
    struct message *message = calloc(1, sizeof *message);
    const char *payload;
    size_t len;

    if (!message) {
        tide_delivery_release(delivery);
        return;
    }
    bundle->messages++;
    message->consumer = consumer;
    message->delivery = delivery;
    message->start_ns = uv_hrtime();
    if (tide_delivery_is_expired(delivery)) {
        copy_failure(&message->failure, tide_delivery_last_code(delivery),
                     tide_delivery_last_reason(delivery));
        bury(message);
        return;
    }
    payload = tide_delivery_payload(delivery, &len);
    lua_rawgeti(L, LUA_REGISTRYINDEX, bundle->entry_message);
    lua_pushinteger(L, consumer->index);
    lua_pushlstring(L, payload, len);
    lua_pushinteger(L, (lua_Integer)tide_delivery_attempt(delivery));
    run(message, 3, on_message_end);
}

bool tide_bundle_start_consumers(struct tide_bundle *bundle, struct tide_err *err)
{
    struct tide_queue_broker *broker = bundle->config.services->queue;
    size_t i;

    if (bundle->consumer_count && !broker)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "the bundle '%s' consumes queues: the setting 'queue' is needed",
                            bundle->config.name);
    for (i = 0; i < bundle->consumer_count; i++) {
        struct consumer *consumer = bundle->consumers[i];

        consumer->running = tide_queue_consume(broker, &consumer->how, on_delivery, consumer, err);
        if (!consumer->running)
            return false;
    }
    return true;
}

void tide_bundle_stop_consumers(struct tide_bundle *bundle)
{
    size_t i;

    for (i = 0; i < bundle->consumer_count; i++) {
        if (bundle->consumers[i]->running)
            tide_queue_consumer_stop(bundle->consumers[i]->running);
        bundle->consumers[i]->running = NULL;
    }
}
