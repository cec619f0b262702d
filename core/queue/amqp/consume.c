#include "queue/amqp/consume.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define FIRST_CHANNEL 2
#define LAST_CHANNEL 2047
#define MAX_BODY                                                                                             \
    (16 * 1024 * 1024)     /* bytes of a peer's message; one that is larger is given back as dead            \
                            */
#define FIRST_PAUSE_MS 100 /* before subscribing again; doubles */
#define LONGEST_PAUSE_MS 3000

struct notice {
    struct tide_amqp_mail mail;
    struct tide_amqp_subscription *subscription;
    enum { LOST, CANCELED, LEFT } what;
    unsigned epoch;
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
    struct tide_amqp_incoming *partial; /* what is arriving */
    uint64_t partial_left;              /* bytes to come */
    bool skip;                          /* it is too large: its body is not kept */
};

struct command {
    struct command *next;
    enum { SUBSCRIBE, UNSUBSCRIBE, LEAVE, ACK, ASK } what;
    struct tide_amqp_subscription *subscription;
    unsigned epoch;
    uint64_t tag;
};

struct tide_amqp_receiver {
    struct tide_amqp_link link; /* first */
    struct tide_amqp_mailbox *mailbox;
    struct command *given, **given_end; /* under the link's lock */
    struct tide_amqp_subscription *subscriptions;
};

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        abort(); /* a few bytes; a message's fate must not be guessed */
    return memory;
}

void tide_amqp_incoming_free(struct tide_amqp_incoming *incoming)
{
    if (incoming)
        tide_amqp_message_release(&incoming->message);
    free(incoming);
}

/* ---- on the loop ---- */

static void give(struct tide_amqp_subscription *subscription, struct command command)
{
    struct tide_amqp_receiver *receiver = subscription->receiver;
    struct command *copy = allocate(sizeof *copy);
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
    struct tide_amqp_subscription *subscription = calloc(1, sizeof *subscription);

    if (!subscription)
        return NULL;
    subscription->receiver = receiver;
    snprintf(subscription->queue, sizeof subscription->queue, "%s", queue);
    subscription->prefetch = prefetch;
    subscription->subscriber = subscriber;
    subscription->arg = arg;
    sem_init(&subscription->asked, 0, 0);
    give(subscription, (struct command){.what = SUBSCRIBE});
    return subscription;
}

void tide_amqp_unsubscribe(struct tide_amqp_subscription *subscription)
{
    give(subscription, (struct command){.what = UNSUBSCRIBE});
}

void tide_amqp_leave(struct tide_amqp_subscription *subscription)
{
    give(subscription, (struct command){.what = LEAVE});
}

void tide_amqp_ack(struct tide_amqp_subscription *subscription, unsigned epoch, uint64_t tag)
{
    give(subscription, (struct command){.what = ACK, .epoch = epoch, .tag = tag});
}

static void subscription_free(struct tide_amqp_subscription *subscription)
{
    sem_destroy(&subscription->asked);
    tide_amqp_incoming_free(subscription->partial);
    free(subscription);
}

static void take_incoming(struct tide_amqp_mail *mail)
{
    struct tide_amqp_incoming *incoming = (struct tide_amqp_incoming *)mail;
    struct tide_amqp_subscription *subscription = incoming->subscription;

    subscription->subscriber->arrived(subscription->arg, incoming);
}

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
        subscription_free(subscription);
    }
    free(notice);
}

static bool is_for(const struct tide_amqp_mail *mail, const void *subscription)
{
    return mail->take == take_incoming &&
           ((const struct tide_amqp_incoming *)mail)->subscription == subscription;
}

int64_t tide_amqp_arriving(struct tide_amqp_subscription *subscription)
{
    struct timespec until;

    while (sem_trywait(&subscription->asked) == 0)
        ; /* an answer that came too late */
    give(subscription, (struct command){.what = ASK});
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    sem_timedwait(&subscription->asked, &until);
    return tide_amqp_mailbox_count(subscription->receiver->mailbox, is_for, subscription);
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

static void tell(struct tide_amqp_subscription *subscription, struct notice notice)
{
    struct notice *copy = allocate(sizeof *copy);

    *copy = notice;
    copy->subscription = subscription;
    copy->epoch = subscription->epoch;
    copy->mail.take = take_notice;
    tide_amqp_mailbox_post(subscription->receiver->mailbox, &copy->mail);
}

/* Its channel is gone. One that nobody wants is not set up again. */
static void subscription_lost(struct tide_amqp_subscription *subscription)
{
    bool was_canceled = subscription->state == QUIET;

    if (subscription->channel == 0)
        return;
    subscription->channel = 0;
    tide_amqp_incoming_free(subscription->partial);
    subscription->partial = NULL;
    tell(subscription, (struct notice){.what = LOST});
    subscription->epoch++;
    subscription->state = subscription->unwanted ? QUIET : AWAY;
    subscription->retry_ms = tide_clock_monotonic_ms() + subscription->pause_ms;
    if (subscription->unwanted && !was_canceled)
        tell(subscription, (struct notice){.what = CANCELED});
}

static void receiver_lost(struct tide_amqp_link *link)
{
    struct tide_amqp_subscription *at;

    for (at = of(link)->subscriptions; at; at = at->next) {
        subscription_lost(at);
        at->retry_ms = 0;
    }
}

static bool receiver_start(struct tide_amqp_link *link, struct tide_err *err)
{
    (void)link;
    (void)err;
    return true;
}

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

static struct tide_amqp_subscription *on_channel(struct tide_amqp_receiver *receiver, amqp_channel_t channel)
{
    struct tide_amqp_subscription *at = receiver->subscriptions;

    while (at && at->channel != channel)
        at = at->next;
    return at;
}

/* ---- setting up ---- */

static enum tide_amqp_outcome start_consuming(struct tide_amqp_subscription *subscription,
                                              struct tide_err *err)
{
    struct tide_amqp_link *link = &subscription->receiver->link;
    char name[TIDE_AMQP_NAME], host[65] = "", tag[256];
    amqp_channel_t channel = subscription->channel;

    tide_amqp_name(link->url, subscription->queue, TIDE_AMQP_QUEUE, 0, name);
    gethostname(host, sizeof host - 1);
    snprintf(tag, sizeof tag, "%s %s %d@%s/%d", link->url->name, subscription->queue, (int)getpid(), host,
             channel);
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

static bool set_up(struct tide_amqp_subscription *subscription, struct tide_err *err)
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

static bool set_up_all(struct tide_amqp_receiver *receiver, struct tide_err *err)
{
    int64_t now = tide_clock_monotonic_ms();
    struct tide_amqp_subscription *at;

    for (at = receiver->subscriptions; at; at = at->next)
        if (at->state == AWAY && at->retry_ms <= now && !set_up(at, err))
            return false;
    return true;
}

/* ---- commands ---- */

/* Its answer comes behind the deliveries that were on their way. */
static bool cancel(struct tide_amqp_subscription *subscription, struct tide_err *err)
{
    struct tide_amqp_link *link = &subscription->receiver->link;
    char host[65] = "", tag[256];
    amqp_basic_cancel_t method = {0};
    int status;

    subscription->unwanted = true;
    if (subscription->state != CONSUMING) {
        subscription->state = QUIET;
        tell(subscription, (struct notice){.what = CANCELED});
        return true;
    }
    gethostname(host, sizeof host - 1);
    snprintf(tag, sizeof tag, "%s %s %d@%s/%d", link->url->name, subscription->queue, (int)getpid(), host,
             subscription->channel);
    method.consumer_tag = amqp_cstring_bytes(tag);
    subscription->state = CANCELING;
    status = amqp_send_method(link->conn, subscription->channel, AMQP_BASIC_CANCEL_METHOD, &method);
    return status == AMQP_STATUS_OK || tide_amqp_status(status, "basic.cancel", err);
}

static bool leave(struct tide_amqp_subscription *subscription, struct tide_err *err)
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

static bool ack(struct tide_amqp_subscription *subscription, const struct command *command,
                struct tide_err *err)
{
    int status;

    if (!subscription->channel || command->epoch != subscription->epoch)
        return true;
    status = amqp_basic_ack(subscription->receiver->link.conn, subscription->channel, command->tag, 0);
    return status == AMQP_STATUS_OK || tide_amqp_status(status, "basic.ack", err);
}

/* Anything that the channel answers: its deliveries come before. */
static bool ask(struct tide_amqp_subscription *subscription, struct tide_err *err)
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

static bool obey(struct tide_amqp_receiver *receiver, const struct command *command, struct tide_err *err)
{
    struct tide_amqp_subscription *subscription = command->subscription;

    switch (command->what) {
    case SUBSCRIBE:
        subscription->next = receiver->subscriptions;
        receiver->subscriptions = subscription;
        return true;
    case UNSUBSCRIBE:
        return cancel(subscription, err);
    case LEAVE:
        return leave(subscription, err);
    case ASK:
        return ask(subscription, err);
    default:
        return ack(subscription, command, err);
    }
}

static struct command *take_given(struct tide_amqp_receiver *receiver)
{
    struct command *list;

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
    struct command *list = take_given(receiver);
    struct tide_err further;
    bool ok = true;

    while (list) {
        struct command *command = list;

        list = command->next;
        tide_amqp_link_gather(link, command->what == ACK);
        ok = obey(receiver, command, ok ? err : &further) && ok;
        free(command);
    }
    tide_amqp_link_gather(link, false);
    return ok && set_up_all(receiver, err);
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

/* ---- what arrives ---- */

static void start_incoming(struct tide_amqp_subscription *subscription, const amqp_basic_deliver_t *deliver)
{
    struct tide_amqp_incoming *incoming = allocate(sizeof *incoming);

    tide_amqp_incoming_free(subscription->partial);
    incoming->subscription = subscription;
    incoming->epoch = subscription->epoch;
    incoming->tag = deliver->delivery_tag;
    incoming->returned = deliver->redelivered ? 1 : 0;
    incoming->mail.take = take_incoming;
    subscription->partial = incoming;
    subscription->partial_left = 0;
    subscription->skip = false;
}

/* To the dead letters if the queue has any; else it is lost, which the log tells. */
static bool refuse_large(struct tide_amqp_subscription *subscription, struct tide_err *err)
{
    struct tide_amqp_link *link = &subscription->receiver->link;
    int status = amqp_basic_reject(link->conn, subscription->channel, subscription->partial->tag, 0);

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

    tide_amqp_message_read(&incoming->message, frame->payload.properties.decoded, incoming->returned != 0,
                           &incoming->returned);
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

/* The broker ended it, because its queue was deleted for example. */
static bool end_channel(struct tide_amqp_subscription *subscription, const amqp_method_t *method,
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
    subscription_lost(subscription);
    return true;
}

static void answered(struct tide_amqp_subscription *subscription)
{
    sem_post(&subscription->asked);
    if (subscription->state == ENDING) {
        subscription->state = QUIET;
        tell(subscription, (struct notice){.what = CANCELED});
    }
}

static bool method_frame(struct tide_amqp_subscription *subscription, const amqp_method_t *method,
                         struct tide_err *err)
{
    switch (method->id) {
    case AMQP_BASIC_DELIVER_METHOD:
        start_incoming(subscription, method->decoded);
        return true;
    case AMQP_BASIC_QOS_OK_METHOD:
        answered(subscription);
        return true;
    case AMQP_BASIC_CANCEL_OK_METHOD:
        subscription->state = ENDING;
        return ask(subscription, err); /* deliveries may still be behind it */
    case AMQP_BASIC_CANCEL_METHOD:
    case AMQP_CHANNEL_CLOSE_METHOD:
        return end_channel(subscription, method, err);
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
    if (!subscription->partial)
        return true;
    if (frame->frame_type == AMQP_FRAME_HEADER)
        return take_header(subscription, frame, err);
    return take_body(subscription, frame->payload.body_fragment, err);
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

static void free_commands(struct command *list)
{
    while (list) {
        struct command *command = list;

        list = command->next;
        if (command->what == SUBSCRIBE)
            subscription_free(command->subscription);
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
        subscription_free(subscription);
    }
    free_commands(receiver->given);
    tide_amqp_link_release(&receiver->link);
    free(receiver);
}
