/*
 * Publishing: a link that sends messages and waits for the broker's confirms, up to a window of them at a
 * time. A message that is not confirmed when its time is over fails; one that was sent when the connection
 * was lost is sent again while its time lasts, so it may be there twice. Loop thread, but for what the link
 * does on its own.
 */
#ifndef TIDE_QUEUE_AMQP_PUBLISH_H
#define TIDE_QUEUE_AMQP_PUBLISH_H

#include <stdatomic.h>

#include "queue/amqp/link.h"
#include "queue/amqp/mailbox.h"
#include "queue/amqp/message.h"

#define TIDE_AMQP_CONFIRM_MS 5000 /* after which a message has failed */

struct tide_amqp_publisher;

struct tide_amqp_outgoing {
    struct tide_amqp_mail mail;
    char queue[TIDE_QUEUE_NAME_LEN + 1];
    enum tide_amqp_place place;
    int64_t delay_ms; /* of TIDE_AMQP_DELAY, rounded */
    struct tide_amqp_message message;
    /* err NULL: confirmed. On the loop, never inside send; `outgoing` is freed afterwards. */
    void (*done)(struct tide_amqp_outgoing *outgoing, const struct tide_err *err);
    void *arg;
    /* publish.c's */
    struct tide_amqp_publisher *publisher;
    int64_t deadline_ms;
    struct tide_amqp_outgoing *next_awaited, **prev_awaited;
    struct tide_amqp_outgoing *next;
    atomic_bool abandoned; /* by the loop: nobody waits for it */
    char name[TIDE_AMQP_NAME];
    uint64_t tag;
    unsigned sent;
    bool returned, failed;
    struct tide_err err;
};

struct tide_amqp_publisher *tide_amqp_publisher_open(const struct tide_amqp_url *url,
                                                     struct tide_amqp_known *known,
                                                     const struct tide_log *log,
                                                     struct tide_amqp_mailbox *mailbox, struct tide_err *err);
/* What is not confirmed has failed; its callbacks run in here. */
void tide_amqp_publisher_close(struct tide_amqp_publisher *publisher);

/* Takes what came from calloc. */
void tide_amqp_publisher_send(struct tide_amqp_publisher *publisher, struct tide_amqp_outgoing *outgoing);
size_t tide_amqp_publisher_awaited(const struct tide_amqp_publisher *publisher, size_t *bytes);
/* Now and then: ends what took too long. */
void tide_amqp_publisher_tick(struct tide_amqp_publisher *publisher);
struct tide_amqp_link *tide_amqp_publisher_link(struct tide_amqp_publisher *publisher);

#endif
