#include "queue/amqp/consume.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "queue/amqp/subscription.h"

struct tide_amqp_command {
    struct tide_amqp_command *next;
    enum { SUBSCRIBE, UNSUBSCRIBE, LEAVE, ACK, ASK } what;
    struct tide_amqp_subscription *subscription;
    unsigned epoch;
    uint64_t tag;
};

/* ---- on the loop ---- */

static void give(struct tide_amqp_subscription *subscription, struct tide_amqp_command command)
{
    struct tide_amqp_receiver *receiver = subscription->receiver;
    struct tide_amqp_command *copy = tide_amqp_allocate(sizeof *copy);
    bool first;

    *copy = command;
    copy->subscription = subscription;
    pthread_mutex_lock(&receiver->link.lock);
    first = !receiver->given;
    *receiver->given_end = copy;
    receiver->given_end = &copy->next;
    pthread_mutex_unlock(&receiver->link.lock);
    if (first)
        tide_amqp_link_wake(&receiver->link);
}

struct tide_amqp_subscription *tide_amqp_subscribe(struct tide_amqp_receiver *receiver, const char *queue,
                                                   unsigned prefetch,
                                                   const struct tide_amqp_subscriber *subscriber, void *arg)
{
    struct tide_amqp_subscription *subscription =
        tide_amqp_subscription_new(receiver, queue, prefetch, subscriber, arg);

    if (subscription)
        give(subscription, (struct tide_amqp_command){.what = SUBSCRIBE});
    return subscription;
}

void tide_amqp_unsubscribe(struct tide_amqp_subscription *subscription)
{
    give(subscription, (struct tide_amqp_command){.what = UNSUBSCRIBE});
}

void tide_amqp_leave(struct tide_amqp_subscription *subscription)
{
    give(subscription, (struct tide_amqp_command){.what = LEAVE});
}

void tide_amqp_ack(struct tide_amqp_subscription *subscription, unsigned epoch, uint64_t tag)
{
    give(subscription, (struct tide_amqp_command){.what = ACK, .epoch = epoch, .tag = tag});
}

int64_t tide_amqp_arriving(struct tide_amqp_subscription *subscription)
{
    struct timespec until;

    while (sem_trywait(&subscription->asked) == 0)
        ; /* an answer that came too late */
    give(subscription, (struct tide_amqp_command){.what = ASK});
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    sem_clockwait(&subscription->asked, CLOCK_MONOTONIC, &until);
    return tide_amqp_mailbox_count(subscription->receiver->mailbox, tide_amqp_arrival_is_of, subscription);
}

void tide_amqp_receiver_tick(struct tide_amqp_receiver *receiver)
{
    tide_amqp_link_watch(&receiver->link);
}

struct tide_amqp_link *tide_amqp_receiver_link(struct tide_amqp_receiver *receiver)
{
    return &receiver->link;
}

/* ---- on the thread ---- */

static struct tide_amqp_receiver *of(struct tide_amqp_link *link)
{
    return (struct tide_amqp_receiver *)link;
}

static void receiver_lost(struct tide_amqp_link *link)
{
    struct tide_amqp_subscription *at;

    for (at = of(link)->subscriptions; at; at = at->next) {
        tide_amqp_subscription_lost(at);
        at->retry_ms = 0;
    }
}

static bool receiver_start(struct tide_amqp_link *link, struct tide_err *err)
{
    (void)link;
    (void)err;
    return true;
}

static struct tide_amqp_subscription *on_channel(struct tide_amqp_receiver *receiver, amqp_channel_t channel)
{
    struct tide_amqp_subscription *at = receiver->subscriptions;

    while (at && at->channel != channel)
        at = at->next;
    return at;
}

static bool set_up_all(struct tide_amqp_receiver *receiver, struct tide_err *err)
{
    int64_t now = tide_clock_monotonic_ms();
    struct tide_amqp_subscription *at;

    for (at = receiver->subscriptions; at; at = at->next)
        if (at->state == AWAY && at->retry_ms <= now && !tide_amqp_subscription_set_up(at, err))
            return false;
    return true;
}

/* ---- commands ---- */

/* All that is over so far: what comes after it may close channels. */
static bool acknowledge(struct tide_amqp_receiver *receiver, struct tide_err *err)
{
    struct tide_amqp_subscription *at;
    bool ok = true;

    for (at = receiver->subscriptions; ok && at; at = at->next)
        ok = tide_amqp_subscription_acknowledge(at, err);
    return ok;
}

static bool obey(struct tide_amqp_receiver *receiver, const struct tide_amqp_command *command,
                 struct tide_err *err)
{
    struct tide_amqp_subscription *subscription = command->subscription;

    switch (command->what) {
    case SUBSCRIBE:
        subscription->next = receiver->subscriptions;
        receiver->subscriptions = subscription;
        return true;
    case UNSUBSCRIBE:
        return tide_amqp_subscription_cancel(subscription, err);
    case LEAVE:
        return tide_amqp_subscription_leave(subscription, err);
    case ASK:
        return tide_amqp_subscription_ask(subscription, err);
    default:
        if (command->epoch == subscription->epoch)
            tide_amqp_acks_end(&subscription->acks, command->tag);
        return true;
    }
}

static struct tide_amqp_command *take_given(struct tide_amqp_receiver *receiver)
{
    struct tide_amqp_command *list;

    pthread_mutex_lock(&receiver->link.lock);
    list = receiver->given;
    receiver->given = NULL;
    receiver->given_end = &receiver->given;
    pthread_mutex_unlock(&receiver->link.lock);
    return list;
}

/* After a failure the others are obeyed too: what they need of the broker comes to nothing. */
static bool receiver_work(struct tide_amqp_link *link, struct tide_err *err)
{
    struct tide_amqp_receiver *receiver = of(link);
    struct tide_amqp_command *list = take_given(receiver);
    struct tide_err further;
    bool ok = true;

    while (list) {
        struct tide_amqp_command *command = list;

        list = command->next;
        if (command->what != ACK)
            ok = ok && acknowledge(receiver, err);
        ok = obey(receiver, command, ok ? err : &further) && ok;
        free(command);
    }
    return ok && acknowledge(receiver, err) && set_up_all(receiver, err);
}

static int64_t receiver_next_ms(struct tide_amqp_link *link)
{
    const struct tide_amqp_subscription *at;
    int64_t next = INT64_MAX;

    for (at = of(link)->subscriptions; at; at = at->next)
        if (at->state == AWAY && at->retry_ms < next)
            next = at->retry_ms;
    return next;
}

static bool receiver_is_idle(struct tide_amqp_link *link)
{
    bool idle;

    pthread_mutex_lock(&link->lock);
    idle = !of(link)->given;
    pthread_mutex_unlock(&link->lock);
    return idle;
}

/* ---- frames ---- */

static bool method_frame(struct tide_amqp_subscription *subscription, const amqp_method_t *method,
                         struct tide_err *err)
{
    switch (method->id) {
    case AMQP_BASIC_DELIVER_METHOD:
        tide_amqp_arrival_begin(subscription, method->decoded);
        return true;
    case AMQP_BASIC_QOS_OK_METHOD:
        tide_amqp_subscription_answered(subscription);
        return true;
    case AMQP_BASIC_CANCEL_OK_METHOD:
        return tide_amqp_subscription_canceled(subscription, err);
    case AMQP_BASIC_CANCEL_METHOD:
    case AMQP_CHANNEL_CLOSE_METHOD:
        return tide_amqp_subscription_ended(subscription, method, err);
    default:
        return tide_amqp_closed(method, err);
    }
}

static bool receiver_frame(struct tide_amqp_link *link, const amqp_frame_t *frame, struct tide_err *err)
{
    struct tide_amqp_subscription *subscription = on_channel(of(link), frame->channel);

    if (!subscription)
        return true; /* of a channel that was just closed */
    if (frame->frame_type == AMQP_FRAME_METHOD)
        return method_frame(subscription, &frame->payload.method, err);
    return tide_amqp_arrival_frame(subscription, frame, err);
}

static const struct tide_amqp_link_type receiver_type = {.role = "consume",
                                                         .start = receiver_start,
                                                         .work = receiver_work,
                                                         .frame = receiver_frame,
                                                         .lost = receiver_lost,
                                                         .is_idle = receiver_is_idle,
                                                         .next_ms = receiver_next_ms};

/* ---- open and close ---- */

struct tide_amqp_receiver *tide_amqp_receiver_open(const struct tide_amqp_url *url,
                                                   struct tide_amqp_known *known, const struct tide_log *log,
                                                   struct tide_amqp_mailbox *mailbox, struct tide_err *err)
{
    struct tide_amqp_receiver *receiver = calloc(1, sizeof *receiver);

    if (!receiver) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: not enough memory");
        return NULL;
    }
    receiver->mailbox = mailbox;
    receiver->given_end = &receiver->given;
    if (tide_amqp_link_open(&receiver->link, &receiver_type, url, known, log, err))
        return receiver;
    free(receiver);
    return NULL;
}

static void free_commands(struct tide_amqp_command *list)
{
    while (list) {
        struct tide_amqp_command *command = list;

        list = command->next;
        if (command->what == SUBSCRIBE)
            tide_amqp_subscription_free(command->subscription);
        free(command);
    }
}

void tide_amqp_receiver_close(struct tide_amqp_receiver *receiver)
{
    struct tide_amqp_subscription *subscription;

    if (!receiver)
        return;
    tide_amqp_link_stop(&receiver->link, 3000);
    tide_amqp_mailbox_take(receiver->mailbox);
    while ((subscription = receiver->subscriptions)) {
        receiver->subscriptions = subscription->next;
        tide_amqp_subscription_free(subscription);
    }
    free_commands(receiver->given);
    tide_amqp_link_release(&receiver->link);
    free(receiver);
}
