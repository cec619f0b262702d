#include <stdlib.h>
#include <string.h>

#include "queue/amqp/subscription.h"

/* Bytes of a peer's message; one that is larger is given back as dead. */
#define MAX_BODY (16 * 1024 * 1024)

void tide_amqp_incoming_free(struct tide_amqp_incoming *incoming)
{
    if (incoming)
        tide_amqp_message_release(&incoming->message);
    free(incoming);
}

static void take_incoming(struct tide_amqp_mail *mail)
{
    struct tide_amqp_incoming *incoming = (struct tide_amqp_incoming *)mail;
    struct tide_amqp_subscription *subscription = incoming->subscription;

    subscription->subscriber->arrived(subscription->arg, incoming);
}

bool tide_amqp_arrival_is_of(const struct tide_amqp_mail *mail, const void *subscription)
{
    return mail->take == take_incoming &&
           ((const struct tide_amqp_incoming *)mail)->subscription == subscription;
}

void tide_amqp_arrival_begin(struct tide_amqp_subscription *subscription, const amqp_basic_deliver_t *deliver)
{
    struct tide_amqp_incoming *incoming = tide_amqp_allocate(sizeof *incoming);

    tide_amqp_incoming_free(subscription->partial);
    incoming->subscription = subscription;
    incoming->epoch = subscription->epoch;
    incoming->tag = deliver->delivery_tag;
    incoming->returned = deliver->redelivered ? 1 : 0;
    incoming->mail.take = take_incoming;
    tide_amqp_acks_hold(&subscription->acks, incoming->tag);
    subscription->partial = incoming;
    subscription->partial_left = 0;
    subscription->skip = false;
}

/* To the dead letters if the queue has any; else it is lost, which the log tells. */
static bool refuse_large(struct tide_amqp_subscription *subscription, struct tide_err *err)
{
    struct tide_amqp_link *link = &subscription->receiver->link;
    int status = amqp_basic_reject(link->conn, subscription->channel, subscription->partial->tag, 0);

    tide_amqp_acks_forget(&subscription->acks, subscription->partial->tag);
    tide_amqp_incoming_free(subscription->partial);
    subscription->partial = NULL;
    tide_log_event(link->log, TIDE_LOG_ERROR, "queue: a message over 16 MiB was rejected",
                   tide_log_str("queue", subscription->queue));
    return status == AMQP_STATUS_OK || tide_amqp_status(status, "basic.reject", err);
}

static bool finish_incoming(struct tide_amqp_subscription *subscription, struct tide_err *err)
{
    struct tide_amqp_incoming *incoming = subscription->partial;

    if (subscription->partial_left)
        return true;
    subscription->pause_ms = 0; /* it works */
    if (subscription->skip)
        return refuse_large(subscription, err);
    subscription->partial = NULL;
    tide_amqp_mailbox_post(subscription->receiver->mailbox, &incoming->mail);
    return true;
}

static bool take_header(struct tide_amqp_subscription *subscription, const amqp_frame_t *frame,
                        struct tide_err *err)
{
    struct tide_amqp_incoming *incoming = subscription->partial;
    uint64_t size = frame->payload.properties.body_size;

    incoming->counted = tide_amqp_message_read(&incoming->message, frame->payload.properties.decoded,
                                               incoming->returned != 0, &incoming->returned);
    subscription->partial_left = size;
    subscription->skip = size > MAX_BODY;
    incoming->message.payload = malloc(subscription->skip ? 1 : (size_t)size + 1);
    if (!incoming->message.payload)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "not enough memory for a message");
    incoming->message.payload[0] = '\0';
    return finish_incoming(subscription, err);
}

static bool take_body(struct tide_amqp_subscription *subscription, amqp_bytes_t part, struct tide_err *err)
{
    struct tide_amqp_message *message = &subscription->partial->message;

    if (part.len > subscription->partial_left)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "a message is longer than its header says");
    subscription->partial_left -= part.len;
    if (!subscription->skip) {
        memcpy(message->payload + message->len, part.bytes, part.len);
        message->len += part.len;
        message->payload[message->len] = '\0';
    }
    return finish_incoming(subscription, err);
}

bool tide_amqp_arrival_frame(struct tide_amqp_subscription *subscription, const amqp_frame_t *frame,
                             struct tide_err *err)
{
    if (!subscription->partial)
        return true;
    if (frame->frame_type == AMQP_FRAME_HEADER)
        return take_header(subscription, frame, err);
    return take_body(subscription, frame->payload.body_fragment, err);
}
