/* Deliveries, from the arrival of a message until its holder ends it. How that is settled: settle.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "queue/amqp/broker.h"

#define EARLY_MS 1000 /* a delay of several rounds may end so much too early */

struct delivery {
    struct tide_delivery base;
    struct consumer *consumer;
    struct tide_amqp_incoming *incoming;
    struct delivery *next, *prev;
};

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
    struct delivery *delivery = tide_amqp_allocate(sizeof *delivery);
    const struct tide_amqp_message *message = &incoming->message;
    bool returned = incoming->returned != 0;

    delivery->consumer = consumer;
    delivery->incoming = incoming;
    delivery->base = (struct tide_delivery){.broker = consumer->base.broker,
                                            .payload = message->payload,
                                            .len = message->len,
                                            .queue = consumer->how.queue,
                                            .failed = message->attempts,
                                            .lost = message->lost + incoming->returned,
                                            .attempts = consumer->how.attempts,
                                            .published_ms = message->published_ms,
                                            .last_code = returned        ? "lease_expired"
                                                         : message->code ? message->code
                                                                         : "",
                                            .last_reason = returned          ? TIDE_AMQP_LOST
                                                           : message->reason ? message->reason
                                                                             : ""};
    link_delivery(delivery);
    consumer->cb(consumer->arg, &delivery->base);
}

/* Messages that no handler gets to see, or not yet: one whose holders die waits longer each time, apart from
 * those that were only held beside it. True when it was one. */
static bool divert(struct consumer *consumer, struct tide_amqp_incoming *incoming)
{
    const struct tide_amqp_message *message = &incoming->message;
    unsigned lost = message->lost + incoming->returned;
    unsigned used_up = tide_queue_used_up(message->attempts, lost, consumer->how.attempts);
    int64_t left_ms = message->due_ms ? message->due_ms - tide_clock_now_ms() : 0;

    if (consumer->stopped)
        tide_amqp_put_back(consumer, incoming, 0);
    else if (left_ms > EARLY_MS)
        tide_amqp_put_back(consumer, incoming, left_ms);
    else if (message->len > TIDE_QUEUE_MAX_PAYLOAD)
        tide_amqp_bury(consumer, incoming, message->attempts, TIDE_ERR_TOO_LARGE,
                       "the message is larger than 1 MiB", NULL);
    else if (used_up >= consumer->how.attempts + TIDE_QUEUE_EXTRA)
        tide_amqp_bury(consumer, incoming, consumer->how.attempts,
                       incoming->returned ? "lease_expired" : message->code,
                       incoming->returned ? TIDE_AMQP_LOST : message->reason, NULL);
    else if (incoming->returned && (lost > 1 || !incoming->counted))
        tide_amqp_put_back(consumer, incoming, lost > 1 ? tide_queue_backoff(&consumer->how, lost - 2) : 0);
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

        if (tide_amqp_is_lost(consumer, incoming))
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

    while (delivery && !(tide_amqp_is_lost(consumer, delivery->incoming) &&
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

    if (tide_amqp_broker_of(consumer)->closed) {
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

static struct tide_amqp_message failed_as(const struct tide_amqp_incoming *incoming,
                                          const struct tide_delivery *base,
                                          const struct tide_queue_ending *ending)
{
    struct tide_amqp_message as = tide_amqp_as_it_is(incoming);

    as.attempts = tide_queue_failed_after(base, ending);
    as.code = tide_amqp_copy(ending->code, TIDE_QUEUE_CODE_LEN);
    as.reason = tide_amqp_copy(ending->reason, TIDE_QUEUE_REASON_LEN);
    return as;
}

/* What the message becomes in the words of the broker. */
static void end_as(struct consumer *consumer, struct tide_amqp_incoming *incoming,
                   const struct tide_delivery *base, const struct tide_queue_ending *ending)
{
    switch (ending->how) {
    case TIDE_QUEUE_ACK:
        tide_amqp_ack(consumer->subscription, incoming->epoch, incoming->tag);
        tide_amqp_incoming_free(incoming);
        break;
    case TIDE_QUEUE_RELEASE:
        tide_amqp_put_back(consumer, incoming, 0);
        break;
    case TIDE_QUEUE_RETRY:
        tide_amqp_settle(consumer, incoming, TIDE_AMQP_QUEUE,
                         tide_queue_delay_after(base, ending, &consumer->how),
                         failed_as(incoming, base, ending));
        break;
    default:
        tide_amqp_bury(consumer, incoming, tide_queue_failed_after(base, ending), ending->code,
                       ending->reason, ending->detail);
    }
}

void tide_amqp_delivery_end(struct tide_delivery *base, const struct tide_queue_ending *ending)
{
    struct delivery *delivery = (struct delivery *)base;
    struct consumer *consumer = delivery->consumer;

    unlink_delivery(delivery);
    if (tide_amqp_is_lost(consumer, delivery->incoming)) {
        tide_amqp_log_lost(consumer, delivery->incoming);
        tide_amqp_incoming_free(delivery->incoming);
    } else {
        end_as(consumer, delivery->incoming, base, ending);
    }
    free(delivery);
    tide_amqp_deliver_waiting(consumer);
}

/* Nothing comes to this process any more. */
static void cancel_now(struct consumer *consumer)
{
    if (!consumer->stopped)
        tide_amqp_unsubscribe(consumer->subscription);
    consumer->stopped = true;
    tide_amqp_arriving(consumer->subscription);
}

/* The copy must not come here again, where it would lose its holder. A delay's queue may be a new one, which
 * nothing may go into for two seconds: who gets the message next puts it there (divert). */
bool tide_amqp_delivery_end_now(struct tide_delivery *base, const struct tide_queue_ending *ending,
                                struct tide_err *err)
{
    struct delivery *delivery = (struct delivery *)base;
    struct consumer *consumer = delivery->consumer;
    struct tide_amqp_message as;

    if (tide_amqp_is_lost(consumer, delivery->incoming))
        return tide_err_set(err, TIDE_ERR_CONFLICT, false, "it was lost with its connection");
    cancel_now(consumer);
    if (ending->how == TIDE_QUEUE_RETRY) {
        as = failed_as(delivery->incoming, base, ending);
        as.due_ms = tide_clock_now_ms() + tide_queue_delay_after(base, ending, &consumer->how);
        tide_amqp_settle(consumer, delivery->incoming, TIDE_AMQP_QUEUE, 0, as);
    } else {
        end_as(consumer, delivery->incoming, base, ending);
    }
    return tide_amqp_settled_now(tide_amqp_broker_of(consumer), err);
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
    struct consumer **at = &tide_amqp_broker_of(consumer)->consumers;

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
