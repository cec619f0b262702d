/* What the loop's side of the AMQP driver shares: amqp.c, delivery.c, settle.c, look.c. Loop thread. */
#ifndef TIDE_QUEUE_AMQP_BROKER_H
#define TIDE_QUEUE_AMQP_BROKER_H

#include "queue/amqp/consume.h"
#include "queue/amqp/publish.h"
#include "queue/driver.h"

#define TIDE_AMQP_LOST "its holder died or lost the broker" /* the reason of lease_expired */

struct delivery;
struct settling;

struct consumer {
    struct tide_queue_consumer base;
    struct tide_queue_consume how; /* queue: a copy */
    tide_queue_deliver_cb *cb;
    void *arg;
    struct tide_amqp_subscription *subscription;
    unsigned epoch;               /* deliveries of an earlier one are lost */
    struct delivery *held, *last; /* the oldest first */
    unsigned count;
    struct tide_amqp_incoming *waiting, **waiting_end; /* no room for them yet */
    unsigned settling;                                 /* endings that are under way */
    bool stopped, canceled, leaving, giving;
    struct consumer *next;
};

struct broker {
    struct tide_queue_broker base;
    uv_loop_t *loop;
    struct tide_amqp_url url;
    struct tide_amqp_known *known;
    struct tide_id_series ids; /* of messages */
    struct tide_amqp_mailbox mailbox;
    struct tide_amqp_publisher *publisher;
    struct tide_amqp_receiver *receiver;
    struct consumer *consumers;
    struct settling *settling;
    uv_timer_t *timer;    /* ticks; data: this */
    bool closing, closed; /* closed: nothing can be published any more */
};

/* ---- settle.c: what becomes of a delivery's message ---- */

struct broker *tide_amqp_broker_of(const struct consumer *consumer);
/* Its channel is gone: the message is somebody else's. */
bool tide_amqp_is_lost(const struct consumer *consumer, const struct tide_amqp_incoming *incoming);
void tide_amqp_log_lost(const struct consumer *consumer, const struct tide_amqp_incoming *incoming);

/* What a copy says of the message as it is now: not later, not dead. */
struct tide_amqp_message tide_amqp_as_it_is(const struct tide_amqp_incoming *incoming);
/* A copy takes the place of the message, after `delay_ms`. Takes incoming and the texts of `as`. */
void tide_amqp_settle(struct consumer *consumer, struct tide_amqp_incoming *incoming,
                      enum tide_amqp_place place, int64_t delay_ms, struct tide_amqp_message as);
/* To the dead letters. Takes incoming. */
void tide_amqp_bury(struct consumer *consumer, struct tide_amqp_incoming *incoming, unsigned attempts,
                    const char *code, const char *reason, const char *detail);
/* Back to its queue, with the reason for which it failed last. Takes incoming. */
void tide_amqp_put_back(struct consumer *consumer, struct tide_amqp_incoming *incoming, int64_t delay_ms);
/* Blocks until the last of them is confirmed and the broker knows that its message is acknowledged, for two
 * seconds at most; no callback runs. */
TIDE_WARN_UNUSED bool tide_amqp_settled_now(struct broker *broker, struct tide_err *err);
/* Tries again what failed a while ago. */
void tide_amqp_settling_tick(struct broker *broker);
void tide_amqp_settling_free_all(struct broker *broker);

/* ---- delivery.c: from its arrival to its ending ---- */

extern const struct tide_amqp_subscriber tide_amqp_consumer_subscriber; /* its arg: a consumer */

void tide_amqp_deliver_waiting(struct consumer *consumer);
void tide_amqp_delivery_end(struct tide_delivery *delivery, const struct tide_queue_ending *ending);
/* As in queue/driver.h. */
bool tide_amqp_delivery_end_now(struct tide_delivery *delivery, const struct tide_queue_ending *ending,
                                struct tide_err *err);
/* Hands back what it holds, in order. */
void tide_amqp_consumer_release_all(struct consumer *consumer);
/* Leaves, once nothing is left to be done. */
void tide_amqp_consumer_check(struct consumer *consumer);
void tide_amqp_consumer_free(struct consumer *consumer);

/* ---- look.c: on a connection of their own; as in queue/driver.h ---- */

int tide_amqp_stats(struct broker *broker, struct tide_queue_stat *stats, int named, int max,
                    struct tide_err *err);
int tide_amqp_list(struct broker *broker, const char *queue, const char *state, int max,
                   struct tide_queue_dead **list, struct tide_err *err);
int64_t tide_amqp_dead_retry(struct broker *broker, const char *queue, int64_t id, struct tide_err *err);
int64_t tide_amqp_purge(struct broker *broker, const char *queue, const char *state, struct tide_err *err);

#endif
