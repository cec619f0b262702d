/*
 * How a delivery is settled. Only an acknowledgement is one word to the broker. Whatever else becomes of a
 * message, a copy that says so is published and confirmed first, and then the message is acknowledged: there
 * may be two of it for a moment, but never none. That holds for what is handed back too, because the broker
 * would count it as a delivery that came to nothing (before RabbitMQ 4.3).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/amqp/broker.h"

#define AGAIN_MS 1000 /* before a copy that was not confirmed is published again */
#define NOW_MS 1000   /* for the broker's confirm, when the process ends */

/* A copy is being published; then `incoming` is acknowledged. */
struct settling {
    struct consumer *consumer;
    struct tide_amqp_incoming *incoming;
    enum tide_amqp_place place;
    int64_t delay_ms;
    int64_t delayed_until_ms;              /* of TIDE_AMQP_DELAY, monotonic */
    struct tide_amqp_message as;           /* without payload */
    int64_t again_ms;                      /* 0: it is under way */
    const struct tide_amqp_outgoing *copy; /* then: itself, until on_copied */
    struct settling *next, **prev;
};

struct broker *tide_amqp_broker_of(const struct consumer *consumer)
{
    return (struct broker *)consumer->base.broker;
}

static void settling_free(struct settling *settling)
{
    *settling->prev = settling->next;
    if (settling->next)
        settling->next->prev = settling->prev;
    settling->consumer->settling--;
    tide_amqp_incoming_free(settling->incoming);
    tide_amqp_message_release(&settling->as);
    free(settling);
}

bool tide_amqp_is_lost(const struct consumer *consumer, const struct tide_amqp_incoming *incoming)
{
    return incoming->epoch < consumer->epoch;
}

void tide_amqp_log_lost(const struct consumer *consumer, const struct tide_amqp_incoming *incoming)
{
    tide_log_event(consumer->base.broker->log, TIDE_LOG_WARN,
                   "queue: a delivery was lost with its connection, its message is somebody else's",
                   tide_log_str("queue", consumer->how.queue), tide_log_str("message", incoming->message.id));
}

static void on_copied(struct tide_amqp_outgoing *outgoing, const struct tide_err *err)
{
    struct settling *settling = outgoing->arg;
    struct consumer *consumer = settling->consumer;
    struct tide_amqp_incoming *incoming = settling->incoming;

    if (err && !tide_amqp_is_lost(consumer, incoming) && !tide_amqp_broker_of(consumer)->closing) {
        tide_log_event(consumer->base.broker->log, TIDE_LOG_WARN,
                       "queue: a message could not be put back yet",
                       tide_log_str("queue", consumer->how.queue), tide_log_str("message", err->message));
        settling->again_ms = tide_clock_monotonic_ms() + AGAIN_MS;
        return;
    }
    if (!err)
        tide_amqp_ack(consumer->subscription, incoming->epoch, incoming->tag);
    settling_free(settling);
    tide_amqp_consumer_check(consumer);
}

static struct tide_amqp_message copy_message(const struct tide_amqp_message *from, const char *payload,
                                             size_t len)
{
    struct tide_amqp_message to = *from;

    to.payload = malloc(len + 1);
    if (!to.payload)
        abort(); /* a message's fate must not be guessed */
    memcpy(to.payload, payload, len + 1);
    to.len = len;
    to.code = tide_amqp_copy(from->code, TIDE_QUEUE_CODE_LEN);
    to.reason = tide_amqp_copy(from->reason, TIDE_QUEUE_REASON_LEN);
    to.detail = tide_amqp_copy(from->detail, TIDE_QUEUE_DETAIL_LEN);
    return to;
}

/* A delay that its queue could not take, as we may not make that, has passed here by and by. */
static void end_delay(struct settling *settling)
{
    if (settling->place != TIDE_AMQP_DELAY || tide_clock_monotonic_ms() < settling->delayed_until_ms)
        return;
    settling->place = TIDE_AMQP_QUEUE;
    settling->delay_ms = 0;
}

static void publish_copy(struct settling *settling)
{
    const struct tide_amqp_message *original = &settling->incoming->message;
    struct tide_amqp_outgoing *outgoing = tide_amqp_allocate(sizeof *outgoing);

    end_delay(settling);
    snprintf(outgoing->queue, sizeof outgoing->queue, "%s", settling->consumer->how.queue);
    outgoing->place = settling->place;
    outgoing->delay_ms = settling->delay_ms;
    outgoing->message = copy_message(&settling->as, original->payload, original->len);
    outgoing->done = on_copied;
    outgoing->arg = settling;
    settling->again_ms = 0;
    settling->copy = outgoing;
    tide_amqp_publisher_send(tide_amqp_broker_of(settling->consumer)->publisher, outgoing);
}

struct tide_amqp_message tide_amqp_as_it_is(const struct tide_amqp_incoming *incoming)
{
    struct tide_amqp_message as = {.published_ms = incoming->message.published_ms,
                                   .attempts = incoming->message.attempts,
                                   .lost = incoming->message.lost + incoming->returned};
    const char *id = incoming->message.id;

    snprintf(as.id, sizeof as.id, "%s", *id ? id : tide_id_new().hex);
    return as;
}

void tide_amqp_settle(struct consumer *consumer, struct tide_amqp_incoming *incoming,
                      enum tide_amqp_place place, int64_t delay_ms, struct tide_amqp_message as)
{
    struct broker *broker = tide_amqp_broker_of(consumer);
    struct settling *settling = tide_amqp_allocate(sizeof *settling);

    if (place == TIDE_AMQP_QUEUE && delay_ms > 0) {
        place = TIDE_AMQP_DELAY;
        as.due_ms = delay_ms > TIDE_AMQP_MAX_ROUND_MS ? tide_clock_now_ms() + delay_ms : 0;
        delay_ms = tide_amqp_round_delay(delay_ms);
    }
    *settling = (struct settling){.consumer = consumer,
                                  .incoming = incoming,
                                  .place = place,
                                  .delay_ms = delay_ms,
                                  .delayed_until_ms = tide_clock_monotonic_ms() + delay_ms,
                                  .as = as,
                                  .next = broker->settling,
                                  .prev = &broker->settling};
    if (settling->next)
        settling->next->prev = &settling->next;
    broker->settling = settling;
    consumer->settling++;
    publish_copy(settling);
}

void tide_amqp_bury(struct consumer *consumer, struct tide_amqp_incoming *incoming, unsigned attempts,
                    const char *code, const char *reason, const char *detail)
{
    struct tide_amqp_message as = tide_amqp_as_it_is(incoming);

    as.attempts = attempts;
    as.died_ms = tide_clock_now_ms();
    as.code = tide_amqp_copy(code, TIDE_QUEUE_CODE_LEN);
    as.reason = tide_amqp_copy(reason, TIDE_QUEUE_REASON_LEN);
    as.detail = tide_amqp_copy(detail, TIDE_QUEUE_DETAIL_LEN);
    tide_amqp_settle(consumer, incoming, TIDE_AMQP_DEAD, 0, as);
}

void tide_amqp_put_back(struct consumer *consumer, struct tide_amqp_incoming *incoming, int64_t delay_ms)
{
    struct tide_amqp_message as = tide_amqp_as_it_is(incoming);

    if (incoming->returned) {
        as.code = tide_amqp_copy("lease_expired", TIDE_QUEUE_CODE_LEN);
        as.reason = tide_amqp_copy(TIDE_AMQP_LOST, TIDE_QUEUE_REASON_LEN);
    } else {
        as.code = tide_amqp_copy(incoming->message.code, TIDE_QUEUE_CODE_LEN);
        as.reason = tide_amqp_copy(incoming->message.reason, TIDE_QUEUE_REASON_LEN);
    }
    tide_amqp_settle(consumer, incoming, TIDE_AMQP_QUEUE, delay_ms, as);
}

static bool is_confirmed(const struct tide_amqp_mail *mail, const void *copy)
{
    return mail == copy && !((const struct tide_amqp_outgoing *)copy)->failed;
}

/* What the publisher tells stays in the mailbox: others' callbacks must not run. */
bool tide_amqp_settled_now(struct broker *broker, struct tide_err *err)
{
    const struct settling *settling = broker->settling;
    const struct tide_amqp_incoming *incoming = settling->incoming;
    int64_t end = tide_clock_monotonic_ms() + NOW_MS;

    while (tide_amqp_mailbox_count(&broker->mailbox, is_confirmed, settling->copy) == 0) {
        if (tide_clock_monotonic_ms() > end)
            return tide_err_set(err, TIDE_ERR_TIMEOUT, true, "not confirmed within %d ms", NOW_MS);
        usleep(1000);
    }
    tide_amqp_ack(settling->consumer->subscription, incoming->epoch, incoming->tag);
    tide_amqp_arriving(settling->consumer->subscription); /* its answer is behind the acknowledgement */
    return true;
}

void tide_amqp_settling_tick(struct broker *broker)
{
    int64_t now = tide_clock_monotonic_ms();
    struct settling *settling = broker->settling;

    while (settling) {
        struct settling *next = settling->next;
        struct consumer *consumer = settling->consumer;

        if (settling->again_ms && tide_amqp_is_lost(consumer, settling->incoming)) {
            tide_amqp_log_lost(consumer, settling->incoming);
            settling_free(settling);
            tide_amqp_consumer_check(consumer);
        } else if (settling->again_ms && settling->again_ms <= now) {
            publish_copy(settling);
        }
        settling = next;
    }
}

void tide_amqp_settling_free_all(struct broker *broker)
{
    while (broker->settling)
        settling_free(broker->settling);
}
