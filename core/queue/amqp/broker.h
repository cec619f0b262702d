/* What the loop's side of the AMQP driver shares: amqp.c, delivery.c, look.c. Loop thread. */
#ifndef TIDE_QUEUE_AMQP_BROKER_H
#define TIDE_QUEUE_AMQP_BROKER_H

#include "queue/amqp/consume.h"
#include "queue/amqp/publish.h"
#include "queue/driver.h"

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
    struct tide_amqp_mailbox mailbox;
    struct tide_amqp_publisher *publisher;
    struct tide_amqp_receiver *receiver;
    struct consumer *consumers;
    struct settling *settling;
    uv_timer_t *timer;    /* ticks; data: this */
    bool closing, closed; /* closed: nothing can be published any more */
};

/* ---- delivery.c: from its arrival to its ending ---- */

extern const struct tide_amqp_subscriber tide_amqp_consumer_subscriber; /* its arg: a consumer */

void tide_amqp_deliver_waiting(struct consumer *consumer);
void tide_amqp_delivery_end(struct tide_delivery *delivery, const struct tide_queue_ending *ending);
/* Hands back what it holds, in order. */
void tide_amqp_consumer_release_all(struct consumer *consumer);
/* Leaves, once nothing is left to be done. */
void tide_amqp_consumer_check(struct consumer *consumer);
void tide_amqp_consumer_free(struct consumer *consumer);
/* Tries again what failed a while ago. */
void tide_amqp_settling_tick(struct broker *broker);
void tide_amqp_settling_free_all(struct broker *broker);

/* ---- look.c: on a connection of their own; as in queue/driver.h ---- */

int tide_amqp_stats(struct broker *broker, struct tide_queue_stat *stats, int named, int max,
                    struct tide_err *err);
int tide_amqp_list(struct broker *broker, const char *queue, const char *state, int max,
                   struct tide_queue_dead **list, struct tide_err *err);
int64_t tide_amqp_dead_retry(struct broker *broker, const char *queue, int64_t id, struct tide_err *err);
int64_t tide_amqp_purge(struct broker *broker, const char *queue, const char *state, struct tide_err *err);

#endif
