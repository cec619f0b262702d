/*
 * Consuming: a link with a channel for each consumer, so that each has its own prefetch and what the broker
 * does to one leaves the others alone. When a channel, the queue or the connection is lost, it is set up
 * again; its deliveries are somebody else's from then on, which the epoch tells. Loop thread, but for what
 * the link does on its own.
 */
#ifndef TIDE_QUEUE_AMQP_CONSUME_H
#define TIDE_QUEUE_AMQP_CONSUME_H

#include "queue/amqp/link.h"
#include "queue/amqp/mailbox.h"
#include "queue/amqp/message.h"

struct tide_amqp_receiver;
struct tide_amqp_subscription;

/* A delivery. Owned by who was told of it. */
struct tide_amqp_incoming {
    struct tide_amqp_mail mail;
    struct tide_amqp_subscription *subscription;
    unsigned epoch;
    uint64_t tag;
    struct tide_amqp_message message;
    unsigned returned; /* how often a holder lost it since it was published */
    bool counted;      /* the broker will tell the next time, too */
};

/* Told on the loop. */
struct tide_amqp_subscriber {
    void (*arrived)(void *arg, struct tide_amqp_incoming *incoming);
    void (*lost)(void *arg, unsigned epoch); /* deliveries of this epoch and before are lost */
    void (*canceled)(void *arg);             /* after unsubscribe: nothing arrives any more */
    void (*left)(void *arg);                 /* after leave: it is freed */
};

struct tide_amqp_receiver *tide_amqp_receiver_open(const struct tide_amqp_url *url,
                                                   struct tide_amqp_known *known, const struct tide_log *log,
                                                   struct tide_amqp_mailbox *mailbox, struct tide_err *err);
/* What was settled before is done, if the broker is there. Subscriptions that are left are freed. */
void tide_amqp_receiver_close(struct tide_amqp_receiver *receiver);
void tide_amqp_receiver_tick(struct tide_amqp_receiver *receiver);
struct tide_amqp_link *tide_amqp_receiver_link(struct tide_amqp_receiver *receiver);

/* `subscriber` is static. NULL without memory. */
struct tide_amqp_subscription *tide_amqp_subscribe(struct tide_amqp_receiver *receiver, const char *queue,
                                                   unsigned prefetch,
                                                   const struct tide_amqp_subscriber *subscriber, void *arg);
void tide_amqp_unsubscribe(struct tide_amqp_subscription *subscription);
/* Only when it is canceled, and nothing is to be acknowledged. */
void tide_amqp_leave(struct tide_amqp_subscription *subscription);
/* Of an epoch that is over: does nothing. */
void tide_amqp_ack(struct tide_amqp_subscription *subscription, unsigned epoch, uint64_t tag);

/* How many deliveries the broker has sent and nobody was told of yet. Blocks until it answers, for a second
 * at most. For looking: nothing is taken. */
int64_t tide_amqp_arriving(struct tide_amqp_subscription *subscription);

void tide_amqp_incoming_free(struct tide_amqp_incoming *incoming);

#endif
