#include "queue/amqp/subscription.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

#define FIRST_CHANNEL 2
#define LAST_CHANNEL 2047
#define TAG 256            /* bytes of a consumer's tag */
#define FIRST_PAUSE_MS 100 /* before subscribing again; doubles */
#define LONGEST_PAUSE_MS 3000

struct notice {
    struct tide_amqp_mail mail;
    struct tide_amqp_subscription *subscription;
    enum { LOST, CANCELED, LEFT } what;
    unsigned epoch;
};

struct tide_amqp_subscription *tide_amqp_subscription_new(struct tide_amqp_receiver *receiver,
                                                          const char *queue, unsigned prefetch,
                                                          const struct tide_amqp_subscriber *subscriber,
                                                          void *arg)
{
    struct tide_amqp_subscription *subscription = calloc(1, sizeof *subscription);

    if (!subscription)
        return NULL;
    subscription->receiver = receiver;
    snprintf(subscription->queue, sizeof subscription->queue, "%s", queue);
    subscription->prefetch = prefetch;
    subscription->subscriber = subscriber;
    subscription->arg = arg;
    sem_init(&subscription->asked, 0, 0);
    return subscription;
}

void tide_amqp_subscription_free(struct tide_amqp_subscription *subscription)
{
    sem_destroy(&subscription->asked);
    tide_amqp_incoming_free(subscription->partial);
    tide_amqp_acks_release(&subscription->acks);
    free(subscription);
}

/* ---- what the loop is told ---- */

static void take_notice(struct tide_amqp_mail *mail)
{
    struct notice *notice = (struct notice *)mail;
    struct tide_amqp_subscription *subscription = notice->subscription;

    if (notice->what == LOST) {
        subscription->subscriber->lost(subscription->arg, notice->epoch);
    } else if (notice->what == CANCELED) {
        subscription->subscriber->canceled(subscription->arg);
    } else {
        subscription->subscriber->left(subscription->arg);
        tide_amqp_subscription_free(subscription);
    }
    free(notice);
}

static void tell(struct tide_amqp_subscription *subscription, struct notice notice)
{
    struct notice *copy = tide_amqp_allocate(sizeof *copy);

    *copy = notice;
    copy->subscription = subscription;
    copy->epoch = subscription->epoch;
    copy->mail.take = take_notice;
    tide_amqp_mailbox_post(subscription->receiver->mailbox, &copy->mail);
}

void tide_amqp_subscription_lost(struct tide_amqp_subscription *subscription)
{
    bool was_canceled = subscription->state == QUIET;

    if (subscription->channel == 0)
        return;
    subscription->channel = 0;
    tide_amqp_incoming_free(subscription->partial);
    subscription->partial = NULL;
    tide_amqp_acks_release(&subscription->acks);
    tell(subscription, (struct notice){.what = LOST});
    subscription->epoch++;
    subscription->state = subscription->unwanted ? QUIET : AWAY;
    subscription->retry_ms = tide_clock_monotonic_ms() + subscription->pause_ms;
    if (subscription->unwanted && !was_canceled)
        tell(subscription, (struct notice){.what = CANCELED});
}

/* ---- setting up ---- */

static amqp_channel_t free_channel(const struct tide_amqp_receiver *receiver)
{
    const struct tide_amqp_subscription *at;
    amqp_channel_t channel = FIRST_CHANNEL;

    for (at = receiver->subscriptions; at;) {
        if (at->channel == channel && channel < LAST_CHANNEL) {
            channel++;
            at = receiver->subscriptions;
        } else {
            at = at->next;
        }
    }
    return channel;
}

/* For the management UI. */
static void consumer_tag(const struct tide_amqp_subscription *subscription, char tag[TAG])
{
    char host[65] = "";

    gethostname(host, sizeof host - 1);
    snprintf(tag, TAG, "%s %s %d@%s/%d", subscription->receiver->link.url->name, subscription->queue,
             (int)getpid(), host, subscription->channel);
}

static enum tide_amqp_outcome start_consuming(struct tide_amqp_subscription *subscription,
                                              struct tide_err *err)
{
    struct tide_amqp_link *link = &subscription->receiver->link;
    char name[TIDE_AMQP_NAME], tag[TAG];
    amqp_channel_t channel = subscription->channel;

    tide_amqp_name(link->url, subscription->queue, TIDE_AMQP_QUEUE, 0, name);
    consumer_tag(subscription, tag);
    amqp_basic_qos(link->conn, channel, 0, (uint16_t)subscription->prefetch, 0);
    if (tide_amqp_outcome(link->conn, channel, "basic.qos", err) != TIDE_AMQP_DONE)
        return TIDE_AMQP_BROKEN;
    amqp_basic_consume(link->conn, channel, amqp_cstring_bytes(name), amqp_cstring_bytes(tag), 0, 0, 0,
                       amqp_empty_table);
    return tide_amqp_outcome(link->conn, channel, name, err);
}

/* Later again, and longer each time. */
static void set_up_later(struct tide_amqp_subscription *subscription, const struct tide_err *err)
{
    struct tide_amqp_link *link = &subscription->receiver->link;
    int64_t pause = subscription->pause_ms * 2;

    tide_amqp_known_forget(link->known);
    subscription->pause_ms = pause < FIRST_PAUSE_MS     ? FIRST_PAUSE_MS
                             : pause > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS
                                                        : pause;
    subscription->retry_ms = tide_clock_monotonic_ms() + subscription->pause_ms;
    tide_log_event(link->log, TIDE_LOG_WARN, "queue: can't consume", tide_log_str("broker", link->url->shown),
                   tide_log_str("queue", subscription->queue), tide_log_str("message", err->message));
}

bool tide_amqp_subscription_set_up(struct tide_amqp_subscription *subscription, struct tide_err *err)
{
    struct tide_amqp_link *link = &subscription->receiver->link;
    enum tide_amqp_outcome outcome =
        tide_amqp_ensure(link->conn, link->url, link->known, subscription->queue, TIDE_AMQP_QUEUE, 0, err);

    if (outcome == TIDE_AMQP_DONE) {
        amqp_channel_t channel = free_channel(subscription->receiver);

        if (!tide_amqp_open_channel(link->conn, channel, err))
            return false;
        subscription->channel = channel;
        outcome = start_consuming(subscription, err);
    }
    if (outcome == TIDE_AMQP_BROKEN)
        return false;
    if (outcome == TIDE_AMQP_REFUSED) {
        if (subscription->channel)
            amqp_channel_close(link->conn, subscription->channel, AMQP_REPLY_SUCCESS);
        subscription->channel = 0;
        set_up_later(subscription, err);
        return true;
    }
    subscription->state = CONSUMING;
    return true;
}

/* The broker ended it, because its queue was deleted for example. */
bool tide_amqp_subscription_ended(struct tide_amqp_subscription *subscription, const amqp_method_t *method,
                                  struct tide_err *err)
{
    struct tide_amqp_link *link = &subscription->receiver->link;
    amqp_channel_t channel = subscription->channel;
    amqp_channel_close_ok_t ok = {0};
    int status;

    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        tide_amqp_closed(method, err);
        status = amqp_send_method(link->conn, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
        if (status != AMQP_STATUS_OK)
            return false;
    } else {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "the broker canceled the consumer");
        if (amqp_channel_close(link->conn, channel, AMQP_REPLY_SUCCESS).reply_type != AMQP_RESPONSE_NORMAL)
            return false;
    }
    set_up_later(subscription, err);
    tide_amqp_subscription_lost(subscription);
    return true;
}

/* ---- acknowledgements ---- */

bool tide_amqp_subscription_acknowledge(struct tide_amqp_subscription *subscription, struct tide_err *err)
{
    struct tide_amqp_link *link = &subscription->receiver->link;
    uint64_t tag;
    bool multiple;

    while (tide_amqp_acks_next(&subscription->acks, &tag, &multiple)) {
        int status = amqp_basic_ack(link->conn, subscription->channel, tag, multiple);

        if (status != AMQP_STATUS_OK)
            return tide_amqp_status(status, "basic.ack", err);
    }
    return true;
}

/* ---- the end ---- */

/* Its answer comes behind the deliveries that were on their way. */
bool tide_amqp_subscription_cancel(struct tide_amqp_subscription *subscription, struct tide_err *err)
{
    struct tide_amqp_link *link = &subscription->receiver->link;
    char tag[TAG];
    amqp_basic_cancel_t method = {0};
    int status;

    subscription->unwanted = true;
    if (subscription->state != CONSUMING) {
        subscription->state = QUIET;
        tell(subscription, (struct notice){.what = CANCELED});
        return true;
    }
    consumer_tag(subscription, tag);
    method.consumer_tag = amqp_cstring_bytes(tag);
    subscription->state = CANCELING;
    status = amqp_send_method(link->conn, subscription->channel, AMQP_BASIC_CANCEL_METHOD, &method);
    return status == AMQP_STATUS_OK || tide_amqp_status(status, "basic.cancel", err);
}

bool tide_amqp_subscription_leave(struct tide_amqp_subscription *subscription, struct tide_err *err)
{
    struct tide_amqp_link *link = &subscription->receiver->link;
    struct tide_amqp_subscription **at = &subscription->receiver->subscriptions;
    enum tide_amqp_outcome outcome = TIDE_AMQP_DONE;

    if (subscription->channel) {
        amqp_rpc_reply_t reply = amqp_channel_close(link->conn, subscription->channel, AMQP_REPLY_SUCCESS);

        if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
            outcome = TIDE_AMQP_BROKEN;
            tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "channel.close was not answered");
        }
    }
    subscription->channel = 0;
    while (*at != subscription)
        at = &(*at)->next;
    *at = subscription->next;
    tell(subscription, (struct notice){.what = LEFT});
    return outcome == TIDE_AMQP_DONE;
}

/* Anything that the channel answers: its deliveries come before. */
bool tide_amqp_subscription_ask(struct tide_amqp_subscription *subscription, struct tide_err *err)
{
    amqp_basic_qos_t method = {.prefetch_count = (uint16_t)subscription->prefetch};
    int status;

    if (!subscription->channel) {
        sem_post(&subscription->asked);
        return true;
    }
    status = amqp_send_method(subscription->receiver->link.conn, subscription->channel, AMQP_BASIC_QOS_METHOD,
                              &method);
    return status == AMQP_STATUS_OK || tide_amqp_status(status, "basic.qos", err);
}

void tide_amqp_subscription_answered(struct tide_amqp_subscription *subscription)
{
    sem_post(&subscription->asked);
    if (subscription->state == ENDING) {
        subscription->state = QUIET;
        tell(subscription, (struct notice){.what = CANCELED});
    }
}

bool tide_amqp_subscription_canceled(struct tide_amqp_subscription *subscription, struct tide_err *err)
{
    subscription->state = ENDING;
    return tide_amqp_subscription_ask(subscription, err);
}
