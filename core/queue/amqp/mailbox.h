/*
 * What the links tell the loop, in the order in which they told it. Posting: any thread; the rest: the
 * loop's.
 */
#ifndef TIDE_QUEUE_AMQP_MAILBOX_H
#define TIDE_QUEUE_AMQP_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* First in the struct that is sent. */
struct tide_amqp_mail {
    struct tide_amqp_mail *next;
    void (*take)(struct tide_amqp_mail *mail); /* on the loop; owns it from here */
};

struct tide_amqp_mailbox {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct tide_amqp_mail *first, **end;
    struct tide_amqp_mail *taking; /* the loop's: out of the box, and not yet taken */
    uv_async_t *async;
};

/* False without memory. */
bool tide_amqp_mailbox_open(struct tide_amqp_mailbox *box, uv_loop_t *loop);
/* Nobody posts any more; what is in it is taken first. */
void tide_amqp_mailbox_close(struct tide_amqp_mailbox *box);

void tide_amqp_mailbox_post(struct tide_amqp_mailbox *box, struct tide_amqp_mail *mail);
/* How many there are of which that is true. */
int64_t tide_amqp_mailbox_count(struct tide_amqp_mailbox *box,
                                bool (*is_so)(const struct tide_amqp_mail *mail, const void *arg),
                                const void *arg);
/* Takes what is there. */
void tide_amqp_mailbox_take(struct tide_amqp_mailbox *box);
/* Blocks until something is there, for `ms` at most. */
void tide_amqp_mailbox_wait(struct tide_amqp_mailbox *box, int64_t ms);

#endif
