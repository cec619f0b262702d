/*
 * What consuming is made of on the link's thread: a subscription is a consumer at the broker with a channel
 * of its own (subscription.c: its life; arrival.c: the frames that make a delivery). Used by consume.c alone,
 * which passes the loop's commands on. All of it runs on the thread, but for what says otherwise. False with
 * err: the connection is of no use and is given up.
 */
#ifndef TIDE_QUEUE_AMQP_SUBSCRIPTION_H
#define TIDE_QUEUE_AMQP_SUBSCRIPTION_H

#include <semaphore.h>

#include "queue/amqp/acks.h"
#include "queue/amqp/consume.h"

struct tide_amqp_command; /* consume.c's */

struct tide_amqp_receiver {
    struct tide_amqp_link link; /* first */
    struct tide_amqp_mailbox *mailbox;
    struct tide_amqp_command *given, **given_end; /* under the link's lock */
    struct tide_amqp_subscription *subscriptions;
};

struct tide_amqp_subscription {
    struct tide_amqp_receiver *receiver;
    char queue[TIDE_QUEUE_NAME_LEN + 1];
    unsigned prefetch;
    const struct tide_amqp_subscriber *subscriber;
    void *arg;
    sem_t asked; /* posted when the broker has answered an ASK */
    /* the thread's */
    struct tide_amqp_subscription *next;
    amqp_channel_t channel; /* 0: none */
    /* AWAY: to be set up at retry_ms; ENDING: canceled, but for what the channel had in hand; QUIET: over */
    enum { AWAY, CONSUMING, CANCELING, ENDING, QUIET } state;
    bool unwanted; /* unsubscribe was called */
    unsigned epoch;
    int64_t retry_ms, pause_ms;
    struct tide_amqp_acks acks;
    struct tide_amqp_incoming *partial; /* what is arriving */
    uint64_t partial_left;              /* bytes to come */
    bool skip;                          /* it is too large: its body is not kept */
};

/* ---- subscription.c ---- */

/* To begin with, AWAY. NULL without memory. Any thread. */
struct tide_amqp_subscription *tide_amqp_subscription_new(struct tide_amqp_receiver *receiver,
                                                          const char *queue, unsigned prefetch,
                                                          const struct tide_amqp_subscriber *subscriber,
                                                          void *arg);
void tide_amqp_subscription_free(struct tide_amqp_subscription *subscription); /* any thread */

/* The queue is there, and its messages come on a channel; or that is tried again at retry_ms. */
TIDE_WARN_UNUSED bool tide_amqp_subscription_set_up(struct tide_amqp_subscription *subscription,
                                                    struct tide_err *err);
/* Its channel is gone. One that nobody wants is not set up again. */
void tide_amqp_subscription_lost(struct tide_amqp_subscription *subscription);
/* The broker closed the channel or canceled the consumer, because the queue was deleted for example. */
TIDE_WARN_UNUSED bool tide_amqp_subscription_ended(struct tide_amqp_subscription *subscription,
                                                   const amqp_method_t *method, struct tide_err *err);

/* Nothing shall come any more. The broker's answer comes behind the deliveries that were on their way. */
TIDE_WARN_UNUSED bool tide_amqp_subscription_cancel(struct tide_amqp_subscription *subscription,
                                                    struct tide_err *err);
/* The broker's answer to that: what the channel had in hand may still be behind it. */
TIDE_WARN_UNUSED bool tide_amqp_subscription_canceled(struct tide_amqp_subscription *subscription,
                                                      struct tide_err *err);
/* Tells the broker what is over. */
TIDE_WARN_UNUSED bool tide_amqp_subscription_acknowledge(struct tide_amqp_subscription *subscription,
                                                         struct tide_err *err);
/* Closes the channel, and is the receiver's no more. */
TIDE_WARN_UNUSED bool tide_amqp_subscription_leave(struct tide_amqp_subscription *subscription,
                                                   struct tide_err *err);
/* Asks for an answer, behind which nothing comes that was sent before; and what is done when that is there.
 */
TIDE_WARN_UNUSED bool tide_amqp_subscription_ask(struct tide_amqp_subscription *subscription,
                                                 struct tide_err *err);
void tide_amqp_subscription_answered(struct tide_amqp_subscription *subscription);

/* ---- arrival.c ---- */

void tide_amqp_arrival_begin(struct tide_amqp_subscription *subscription,
                             const amqp_basic_deliver_t *deliver);
/* A header, or a part of the body. */
TIDE_WARN_UNUSED bool tide_amqp_arrival_frame(struct tide_amqp_subscription *subscription,
                                              const amqp_frame_t *frame, struct tide_err *err);
/* Whether it is a delivery of this subscription's. Loop thread. */
bool tide_amqp_arrival_is_of(const struct tide_amqp_mail *mail, const void *subscription);

#endif
