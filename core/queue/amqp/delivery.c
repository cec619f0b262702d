/*
 * A delivery, from its arrival to its ending. Only an acknowledgement is one word to the broker. Whatever
 * else becomes of a message, a copy that says so is published and confirmed first, and then the message is
 * acknowledged: there may be two of it for a moment, but never none. That holds for what is handed back too,
 * because the broker would count it as a delivery that came to nothing (before RabbitMQ 4.3).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "queue/amqp/broker.h"

#define AGAIN_MS 1000    /* before a copy that was not confirmed is published again */
#define MOST_RETURNED 10 /* of the 20 lost deliveries after which RabbitMQ 4 gives a message up */
#define EARLY_MS 1000    /* a delay of several rounds may end so much too early */

struct delivery {
    struct tide_delivery base;
    struct consumer *consumer;
    struct tide_amqp_incoming *incoming;
    struct delivery *next, *prev;
};

/* A copy is being published; then `incoming` is acknowledged. */
struct settling {
    struct consumer *consumer;
    struct tide_amqp_incoming *incoming;
    enum tide_amqp_place place;
    int64_t delay_ms;
    struct tide_amqp_message as; /* without payload */
    int64_t again_ms;            /* 0: it is under way */
    struct settling *next, **prev;
};

static struct broker *broker_of(const struct consumer *consumer)
{
    return (struct broker *)consumer->base.broker;
}

/* ---- settling ---- */

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

static bool is_lost(const struct consumer *consumer, const struct tide_amqp_incoming *incoming)
{
    return incoming->epoch < consumer->epoch;
}

static void log_lost(const struct consumer *consumer, const struct tide_amqp_incoming *incoming)
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

    if (err && !is_lost(consumer, incoming) && !broker_of(consumer)->closing) {
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

static void publish_copy(struct settling *settling)
{
    const struct tide_amqp_message *original = &settling->incoming->message;
    struct tide_amqp_outgoing *outgoing = calloc(1, sizeof *outgoing);

    if (!outgoing)
        abort();
    snprintf(outgoing->queue, sizeof outgoing->queue, "%s", settling->consumer->how.queue);
    outgoing->place = settling->place;
    outgoing->delay_ms = settling->delay_ms;
    outgoing->message = copy_message(&settling->as, original->payload, original->len);
    outgoing->done = on_copied;
    outgoing->arg = settling;
    settling->again_ms = 0;
    tide_amqp_publisher_send(broker_of(settling->consumer)->publisher, outgoing);
}

/* The message as it is now: not later, not dead. */
static struct tide_amqp_message as_it_is(const struct tide_amqp_incoming *incoming)
{
    struct tide_amqp_message as = {.published_ms = incoming->message.published_ms,
                                   .attempts = incoming->message.attempts + incoming->returned};
    const char *id = incoming->message.id;

    snprintf(as.id, sizeof as.id, "%s", *id ? id : tide_id_new().hex);
    return as;
}

/* Takes incoming and the texts of `as`. */
static void settle(struct consumer *consumer, struct tide_amqp_incoming *incoming, enum tide_amqp_place place,
                   int64_t delay_ms, struct tide_amqp_message as)
{
    struct broker *broker = broker_of(consumer);
    struct settling *settling = calloc(1, sizeof *settling);

    if (!settling)
        abort();
    if (place == TIDE_AMQP_QUEUE && delay_ms > 0) {
        place = TIDE_AMQP_DELAY;
        as.due_ms = delay_ms > TIDE_AMQP_MAX_ROUND_MS ? tide_clock_now_ms() + delay_ms : 0;
        delay_ms = tide_amqp_round_delay(delay_ms);
    }
    *settling = (struct settling){.consumer = consumer,
                                  .incoming = incoming,
                                  .place = place,
                                  .delay_ms = delay_ms,
                                  .as = as,
                                  .next = broker->settling,
                                  .prev = &broker->settling};
    if (settling->next)
        settling->next->prev = &settling->next;
    broker->settling = settling;
    consumer->settling++;
    publish_copy(settling);
}

static void bury(struct consumer *consumer, struct tide_amqp_incoming *incoming, unsigned attempts,
                 const char *code, const char *reason, const char *detail)
{
    struct tide_amqp_message as = as_it_is(incoming);

    as.attempts = attempts;
    as.died_ms = tide_clock_now_ms();
    as.code = tide_amqp_copy(code, TIDE_QUEUE_CODE_LEN);
    as.reason = tide_amqp_copy(reason, TIDE_QUEUE_REASON_LEN);
    as.detail = tide_amqp_copy(detail, TIDE_QUEUE_DETAIL_LEN);
    settle(consumer, incoming, TIDE_AMQP_DEAD, 0, as);
}

/* With the reason for which it failed last. */
static void put_back(struct consumer *consumer, struct tide_amqp_incoming *incoming, int64_t delay_ms)
{
    struct tide_amqp_message as = as_it_is(incoming);

    if (incoming->returned) {
        as.code = tide_amqp_copy("lease_expired", TIDE_QUEUE_CODE_LEN);
    } else {
        as.code = tide_amqp_copy(incoming->message.code, TIDE_QUEUE_CODE_LEN);
        as.reason = tide_amqp_copy(incoming->message.reason, TIDE_QUEUE_REASON_LEN);
    }
    settle(consumer, incoming, TIDE_AMQP_QUEUE, delay_ms, as);
}

void tide_amqp_settling_tick(struct broker *broker)
{
    int64_t now = tide_clock_monotonic_ms();
    struct settling *settling = broker->settling;

    while (settling) {
        struct settling *next = settling->next;
        struct consumer *consumer = settling->consumer;

        if (settling->again_ms && is_lost(consumer, settling->incoming)) {
            log_lost(consumer, settling->incoming);
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

/* ---- deliveries ---- */

static void link_delivery(struct delivery *delivery)
{
    struct consumer *consumer = delivery->consumer;

    delivery->prev = consumer->last;
    if (consumer->last)
        consumer->last->next = delivery;
    else
        consumer->held = delivery;
    consumer->last = delivery;
    consumer->count++;
}

static void unlink_delivery(struct delivery *delivery)
{
    struct consumer *consumer = delivery->consumer;

    if (delivery->prev)
        delivery->prev->next = delivery->next;
    else
        consumer->held = delivery->next;
    if (delivery->next)
        delivery->next->prev = delivery->prev;
    else
        consumer->last = delivery->prev;
    consumer->count--;
}

static void deliver(struct consumer *consumer, struct tide_amqp_incoming *incoming)
{
    struct delivery *delivery = calloc(1, sizeof *delivery);
    const struct tide_amqp_message *message = &incoming->message;
    bool returned = incoming->returned != 0;

    if (!delivery)
        abort();
    delivery->consumer = consumer;
    delivery->incoming = incoming;
    delivery->base = (struct tide_delivery){.broker = consumer->base.broker,
                                            .payload = message->payload,
                                            .len = message->len,
                                            .queue = consumer->how.queue,
                                            .attempt = message->attempts + incoming->returned + 1,
                                            .attempts = consumer->how.attempts,
                                            .published_ms = message->published_ms,
                                            .last_code = returned        ? "lease_expired"
                                                         : message->code ? message->code
                                                                         : "",
                                            .last_reason = returned ? "its holder died or lost the broker"
                                                           : message->reason ? message->reason
                                                                             : ""};
    link_delivery(delivery);
    consumer->cb(consumer->arg, &delivery->base);
}

/* Messages that no handler gets to see. True when it was one. */
static bool divert(struct consumer *consumer, struct tide_amqp_incoming *incoming)
{
    const struct tide_amqp_message *message = &incoming->message;
    unsigned failed = message->attempts + incoming->returned;
    int64_t left_ms = message->due_ms ? message->due_ms - tide_clock_now_ms() : 0;

    if (consumer->stopped)
        put_back(consumer, incoming, 0);
    else if (left_ms > EARLY_MS)
        put_back(consumer, incoming, left_ms);
    else if (message->len > TIDE_QUEUE_MAX_PAYLOAD)
        bury(consumer, incoming, failed, TIDE_ERR_TOO_LARGE, "the message is larger than 1 MiB", NULL);
    else if (failed >= consumer->how.attempts + TIDE_QUEUE_EXTRA)
        bury(consumer, incoming, consumer->how.attempts, incoming->returned ? "lease_expired" : message->code,
             incoming->returned ? "its holder died or lost the broker" : message->reason, NULL);
    else if (incoming->returned >= MOST_RETURNED)
        put_back(consumer, incoming, 0);
    else
        return false;
    return true;
}

static struct tide_amqp_incoming *next_waiting(struct consumer *consumer)
{
    struct tide_amqp_incoming *incoming = consumer->waiting;

    consumer->waiting = (struct tide_amqp_incoming *)incoming->mail.next;
    if (!consumer->waiting)
        consumer->waiting_end = &consumer->waiting;
    return incoming;
}

/* Deliveries that were lost count as well while their handlers run. */
static bool has_room(const struct consumer *consumer)
{
    return consumer->stopped ? consumer->canceled : consumer->count < consumer->how.prefetch;
}

/* What came too late for a consumer that was stopped is put back when nothing more will come: it would come
 * to it again. */
void tide_amqp_deliver_waiting(struct consumer *consumer)
{
    if (consumer->giving)
        return;
    consumer->giving = true;
    while (consumer->waiting && has_room(consumer)) {
        struct tide_amqp_incoming *incoming = next_waiting(consumer);

        if (is_lost(consumer, incoming))
            tide_amqp_incoming_free(incoming);
        else if (!divert(consumer, incoming))
            deliver(consumer, incoming);
    }
    consumer->giving = false;
    tide_amqp_consumer_check(consumer);
}

/* A message comes again because its connection was lost, while its handler still runs: that one goes on with
 * the new delivery, and nothing is done twice. True when there was one. */
static bool adopt(struct consumer *consumer, struct tide_amqp_incoming *incoming)
{
    struct delivery *delivery = consumer->held;

    while (delivery && !(is_lost(consumer, delivery->incoming) &&
                         strcmp(delivery->incoming->message.id, incoming->message.id) == 0))
        delivery = delivery->next;
    if (!delivery || !incoming->returned || !*incoming->message.id)
        return false;
    delivery->incoming->epoch = incoming->epoch;
    delivery->incoming->tag = incoming->tag;
    tide_amqp_incoming_free(incoming);
    return true;
}

static void on_arrived(void *arg, struct tide_amqp_incoming *incoming)
{
    struct consumer *consumer = arg;

    if (broker_of(consumer)->closed) {
        tide_amqp_incoming_free(incoming);
        return;
    }
    if (adopt(consumer, incoming))
        return;
    if (!incoming->message.published_ms)
        incoming->message.published_ms = tide_clock_now_ms();
    incoming->mail.next = NULL;
    *consumer->waiting_end = incoming;
    consumer->waiting_end = (struct tide_amqp_incoming **)&incoming->mail.next;
    tide_amqp_deliver_waiting(consumer);
}

static void on_lost(void *arg, unsigned epoch)
{
    ((struct consumer *)arg)->epoch = epoch + 1;
}

/* ---- endings ---- */

/* What the message becomes in the words of the broker. */
static void end_as(struct consumer *consumer, struct tide_amqp_incoming *incoming,
                   const struct tide_delivery *base, const struct tide_queue_ending *ending)
{
    struct tide_amqp_message as;

    switch (ending->how) {
    case TIDE_QUEUE_ACK:
        tide_amqp_ack(consumer->subscription, incoming->epoch, incoming->tag);
        tide_amqp_incoming_free(incoming);
        break;
    case TIDE_QUEUE_RELEASE:
        put_back(consumer, incoming, 0);
        break;
    case TIDE_QUEUE_RETRY:
        as = as_it_is(incoming);
        as.attempts = tide_queue_failed_after(base, ending);
        as.code = tide_amqp_copy(ending->code, TIDE_QUEUE_CODE_LEN);
        as.reason = tide_amqp_copy(ending->reason, TIDE_QUEUE_REASON_LEN);
        settle(consumer, incoming, TIDE_AMQP_QUEUE, tide_queue_delay_after(base, ending, &consumer->how), as);
        break;
    default:
        bury(consumer, incoming, tide_queue_failed_after(base, ending), ending->code, ending->reason,
             ending->detail);
    }
}

void tide_amqp_delivery_end(struct tide_delivery *base, const struct tide_queue_ending *ending)
{
    struct delivery *delivery = (struct delivery *)base;
    struct consumer *consumer = delivery->consumer;

    unlink_delivery(delivery);
    if (is_lost(consumer, delivery->incoming)) {
        log_lost(consumer, delivery->incoming);
        tide_amqp_incoming_free(delivery->incoming);
    } else {
        end_as(consumer, delivery->incoming, base, ending);
    }
    free(delivery);
    tide_amqp_deliver_waiting(consumer);
}

void tide_amqp_consumer_release_all(struct consumer *consumer)
{
    consumer->giving = true; /* nothing else is given out */
    while (consumer->held)
        tide_amqp_delivery_end(&consumer->held->base, &(struct tide_queue_ending){.how = TIDE_QUEUE_RELEASE});
    consumer->giving = false;
}

/* ---- the end of a consumer ---- */

void tide_amqp_consumer_check(struct consumer *consumer)
{
    if (!consumer->canceled || consumer->leaving || consumer->giving || consumer->held || consumer->waiting ||
        consumer->settling)
        return;
    consumer->leaving = true;
    tide_amqp_leave(consumer->subscription);
}

static void on_canceled(void *arg)
{
    struct consumer *consumer = arg;

    consumer->canceled = true;
    tide_amqp_deliver_waiting(consumer);
}

void tide_amqp_consumer_free(struct consumer *consumer)
{
    struct consumer **at = &broker_of(consumer)->consumers;

    while (*at != consumer)
        at = &(*at)->next;
    *at = consumer->next;
    while (consumer->waiting)
        tide_amqp_incoming_free(next_waiting(consumer));
    free((char *)consumer->how.queue);
    free(consumer);
}

static void on_left(void *arg)
{
    tide_amqp_consumer_free(arg);
}

const struct tide_amqp_subscriber tide_amqp_consumer_subscriber = {
    .arrived = on_arrived, .lost = on_lost, .canceled = on_canceled, .left = on_left};
