/*
 * Which deliveries of a channel are held, and how those that are over are acknowledged in few words: one
 * basic.ack with `multiple` ends all deliveries up to its tag, so it may go as far as the first one that is
 * still held. Used by the link's thread, one for each channel. Aborts without memory: a message's fate must
 * not be guessed.
 */
#ifndef TIDE_QUEUE_AMQP_ACKS_H
#define TIDE_QUEUE_AMQP_ACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tide_amqp_tags {
    uint64_t *at; /* ascending */
    size_t count, cap;
};

/* Zeroed to begin with. */
struct tide_amqp_acks {
    struct tide_amqp_tags held, over;
};

void tide_amqp_acks_release(struct tide_amqp_acks *acks); /* empty again: the channel is gone */

void tide_amqp_acks_hold(struct tide_amqp_acks *acks, uint64_t tag); /* delivered; tags ascend */
void tide_amqp_acks_end(struct tide_amqp_acks *acks, uint64_t tag);  /* to be acknowledged */
/* The broker was told something else of it. */
void tide_amqp_acks_forget(struct tide_amqp_acks *acks, uint64_t tag);

/* The next acknowledgement to send; false when all are. */
bool tide_amqp_acks_next(struct tide_amqp_acks *acks, uint64_t *tag, bool *multiple);

#endif
