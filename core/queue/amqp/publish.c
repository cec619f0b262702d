#include "queue/amqp/publish.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define CHANNEL 2
#define WINDOW 256                     /* messages sent and not confirmed, */
#define WINDOW_BYTES (8 * 1024 * 1024) /* and their payload */
#define TRIES 3                        /* for a queue that isn't there although it was declared */

struct list {
    struct tide_amqp_outgoing *first, **end;
    size_t count, bytes;
};

struct tide_amqp_publisher {
    struct tide_amqp_link link; /* first */
    struct tide_amqp_mailbox *mailbox;
    /* the loop's: in the order of their deadlines */
    struct tide_amqp_outgoing *awaited, **awaited_end;
    size_t awaited_count, awaited_bytes;
    struct list given; /* under the link's lock: new ones */
    /* the thread's */
    struct list waiting, flying; /* flying: in the order of their tags */
    uint64_t last_tag;
    char ensured[TIDE_AMQP_NAME]; /* the queue that was last seen to be there */
    struct {
        bool expected;
        uint64_t left; /* bytes of its body to come */
    } returned;        /* the message that comes back */
};

/* ---- lists ---- */

static void list_init(struct list *list)
{
    *list = (struct list){.end = &list->first};
}

static void push(struct list *list, struct tide_amqp_outgoing *outgoing)
{
    outgoing->next = NULL;
    *list->end = outgoing;
    list->end = &outgoing->next;
    list->count++;
    list->bytes += outgoing->message.len;
}

static void push_front(struct list *list, struct tide_amqp_outgoing *outgoing)
{
    outgoing->next = list->first;
    list->first = outgoing;
    if (!outgoing->next)
        list->end = &outgoing->next;
    list->count++;
    list->bytes += outgoing->message.len;
}

/* The one that *at points to. */
static struct tide_amqp_outgoing *take(struct list *list, struct tide_amqp_outgoing **at)
{
    struct tide_amqp_outgoing *outgoing = *at;

    *at = outgoing->next;
    if (!*at)
        list->end = at;
    list->count--;
    list->bytes -= outgoing->message.len;
    return outgoing;
}

/* All of `from` in front of `to`. */
static void prepend(struct list *to, struct list *from)
{
    if (!from->first)
        return;
    *from->end = to->first;
    if (!to->first)
        to->end = from->end;
    to->first = from->first;
    to->count += from->count;
    to->bytes += from->bytes;
    list_init(from);
}

/* ---- on the loop ---- */

static void forget_awaited(struct tide_amqp_outgoing *outgoing)
{
    struct tide_amqp_publisher *publisher = outgoing->publisher;

    *outgoing->prev_awaited = outgoing->next_awaited;
    if (outgoing->next_awaited)
        outgoing->next_awaited->prev_awaited = outgoing->prev_awaited;
    else
        publisher->awaited_end = outgoing->prev_awaited;
    outgoing->prev_awaited = NULL;
    publisher->awaited_count--;
    publisher->awaited_bytes -= outgoing->message.len;
}

static void answer(struct tide_amqp_outgoing *outgoing, const struct tide_err *err)
{
    if (!outgoing->prev_awaited)
        return; /* it was told before that its time is over */
    forget_awaited(outgoing);
    outgoing->done(outgoing, err);
}

static void outgoing_free(struct tide_amqp_outgoing *outgoing)
{
    tide_amqp_message_release(&outgoing->message);
    free(outgoing);
}

static void take_result(struct tide_amqp_mail *mail)
{
    struct tide_amqp_outgoing *outgoing = (struct tide_amqp_outgoing *)mail;

    answer(outgoing, outgoing->failed ? &outgoing->err : NULL);
    outgoing_free(outgoing);
}

void tide_amqp_publisher_send(struct tide_amqp_publisher *publisher, struct tide_amqp_outgoing *outgoing)
{
    bool first;

    outgoing->mail.take = take_result;
    outgoing->publisher = publisher;
    outgoing->deadline_ms = tide_clock_monotonic_ms() + TIDE_AMQP_CONFIRM_MS;
    tide_amqp_name(publisher->link.url, outgoing->queue, outgoing->place, outgoing->delay_ms, outgoing->name);
    outgoing->prev_awaited = publisher->awaited_end;
    *publisher->awaited_end = outgoing;
    publisher->awaited_end = &outgoing->next_awaited;
    publisher->awaited_count++;
    publisher->awaited_bytes += outgoing->message.len;
    pthread_mutex_lock(&publisher->link.lock);
    first = !publisher->given.first;
    push(&publisher->given, outgoing);
    pthread_mutex_unlock(&publisher->link.lock);
    if (first)
        tide_amqp_link_wake(&publisher->link);
}

size_t tide_amqp_publisher_awaited(const struct tide_amqp_publisher *publisher, size_t *bytes)
{
    *bytes = publisher->awaited_bytes;
    return publisher->awaited_count;
}

static void give_up(struct tide_amqp_publisher *publisher, struct tide_amqp_outgoing *outgoing)
{
    struct tide_err err, why;

    if (tide_amqp_link_ready(&publisher->link, 0, &why))
        tide_err_set(&why, TIDE_ERR_UNAVAILABLE, true, "queue: %s: not confirmed",
                     publisher->link.url->shown);
    tide_err_set(&err, TIDE_ERR_UNAVAILABLE, true, "%.250s (for %d s)", why.message,
                 TIDE_AMQP_CONFIRM_MS / 1000);
    atomic_store(&outgoing->abandoned, true);
    answer(outgoing, &err);
}

void tide_amqp_publisher_tick(struct tide_amqp_publisher *publisher)
{
    int64_t now = tide_clock_monotonic_ms();

    tide_amqp_link_watch(&publisher->link);
    while (publisher->awaited && publisher->awaited->deadline_ms <= now)
        give_up(publisher, publisher->awaited);
}

struct tide_amqp_link *tide_amqp_publisher_link(struct tide_amqp_publisher *publisher)
{
    return &publisher->link;
}

/* ---- on the thread ---- */

static struct tide_amqp_publisher *of(struct tide_amqp_link *link)
{
    return (struct tide_amqp_publisher *)link;
}

static void finish(struct tide_amqp_publisher *publisher, struct tide_amqp_outgoing *outgoing,
                   const struct tide_err *err)
{
    outgoing->failed = err != NULL;
    if (err)
        outgoing->err = *err;
    tide_amqp_mailbox_post(publisher->mailbox, &outgoing->mail);
}

static bool publisher_start(struct tide_amqp_link *link, struct tide_err *err)
{
    struct tide_amqp_publisher *publisher = of(link);

    publisher->last_tag = 0;
    publisher->returned.expected = false;
    if (!tide_amqp_open_channel(link->conn, CHANNEL, err))
        return false;
    amqp_confirm_select(link->conn, CHANNEL);
    return tide_amqp_outcome(link->conn, CHANNEL, "confirm.select", err) == TIDE_AMQP_DONE;
}

static void publisher_lost(struct tide_amqp_link *link)
{
    prepend(&of(link)->waiting, &of(link)->flying);
}

/* True when messages may be sent now. */
static bool take_given(struct tide_amqp_publisher *publisher)
{
    struct list given;
    bool blocked;

    list_init(&given);
    pthread_mutex_lock(&publisher->link.lock);
    prepend(&given, &publisher->given);
    blocked = publisher->link.blocked;
    pthread_mutex_unlock(&publisher->link.lock);
    while (given.first)
        push(&publisher->waiting, take(&given, &given.first));
    return !blocked;
}

/* Nobody waits for them any more. */
static void drop_abandoned(struct tide_amqp_publisher *publisher)
{
    struct tide_amqp_outgoing **at = &publisher->waiting.first;

    while (*at && atomic_load(&(*at)->abandoned))
        finish(publisher, take(&publisher->waiting, at), NULL);
}

static int64_t fresh_ms(const struct tide_amqp_publisher *publisher,
                        const struct tide_amqp_outgoing *outgoing)
{
    return tide_amqp_fresh_ms(publisher->link.url, publisher->link.known, outgoing->queue, outgoing->place,
                              outgoing->delay_ms);
}

/* The first that may go out: a delay's new queue has to wait a little. NULL there: none. */
static struct tide_amqp_outgoing **next_to_send(struct tide_amqp_publisher *publisher)
{
    struct tide_amqp_outgoing **at = &publisher->waiting.first;

    while (*at && fresh_ms(publisher, *at) > 0)
        at = &(*at)->next;
    return at;
}

/* Makes sure that its queue is there, and gathers what is sent unless that needs an answer. A queue is looked
 * up once for the messages that are sent in a row. */
static enum tide_amqp_outcome ensure(struct tide_amqp_publisher *publisher,
                                     const struct tide_amqp_outgoing *outgoing, struct tide_err *err)
{
    struct tide_amqp_link *link = &publisher->link;
    enum tide_amqp_outcome outcome;
    bool ensured = strcmp(publisher->ensured, outgoing->name) == 0;

    tide_amqp_link_gather(link, ensured || tide_amqp_is_known(link->url, link->known, outgoing->queue,
                                                              outgoing->place, outgoing->delay_ms));
    if (ensured)
        return TIDE_AMQP_DONE;
    outcome = tide_amqp_ensure(link->conn, link->url, link->known, outgoing->queue, outgoing->place,
                               outgoing->delay_ms, err);
    if (outcome == TIDE_AMQP_DONE)
        memcpy(publisher->ensured, outgoing->name, sizeof outgoing->name);
    return outcome;
}

/* False with err: the connection is of no use. */
static bool send_one(struct tide_amqp_publisher *publisher, struct tide_amqp_outgoing **at,
                     struct tide_err *err)
{
    struct tide_amqp_link *link = &publisher->link;
    struct tide_amqp_outgoing *outgoing = *at;
    enum tide_amqp_outcome outcome = ensure(publisher, outgoing, err);
    int status;

    if (outcome == TIDE_AMQP_BROKEN)
        return false;
    if (outcome == TIDE_AMQP_DONE && fresh_ms(publisher, outgoing) > 0)
        return true;
    take(&publisher->waiting, at);
    if (outcome == TIDE_AMQP_REFUSED) {
        tide_err_prefix(err, "queue: %s", link->url->shown);
        finish(publisher, outgoing, err);
        return true;
    }
    outgoing->tag = ++publisher->last_tag;
    outgoing->returned = false;
    outgoing->sent++;
    push(&publisher->flying, outgoing);
    status = tide_amqp_message_publish(link->conn, CHANNEL, outgoing->name, &outgoing->message);
    return status == AMQP_STATUS_OK || tide_amqp_status(status, "publish", err);
}

static bool send_waiting(struct tide_amqp_publisher *publisher, struct tide_err *err)
{
    for (;;) {
        struct tide_amqp_outgoing **at;

        drop_abandoned(publisher);
        at = next_to_send(publisher);
        if (!*at || publisher->flying.count >= WINDOW || publisher->flying.bytes >= WINDOW_BYTES)
            return true;
        if (!send_one(publisher, at, err))
            return false;
    }
}

static bool publisher_work(struct tide_amqp_link *link, struct tide_err *err)
{
    struct tide_amqp_publisher *publisher = of(link);
    bool ok;

    if (!take_given(publisher)) {
        drop_abandoned(publisher);
        return true;
    }
    publisher->ensured[0] = '\0';
    ok = send_waiting(publisher, err);
    tide_amqp_link_gather(link, false);
    return ok;
}

static int64_t publisher_next_ms(struct tide_amqp_link *link)
{
    int64_t next = INT64_MAX, now = tide_clock_monotonic_ms();

    for (struct tide_amqp_outgoing *at = of(link)->waiting.first; at; at = at->next) {
        int64_t left = fresh_ms(of(link), at);

        if (left > 0 && now + left < next)
            next = now + left;
    }
    return next;
}

static bool publisher_is_idle(struct tide_amqp_link *link)
{
    return !of(link)->waiting.first && !of(link)->flying.first;
}

/* ---- the broker's answers ---- */

/* Its queue is gone: that is made again, and the message sent again, some times. */
static void settle_returned(struct tide_amqp_publisher *publisher, struct tide_amqp_outgoing *outgoing)
{
    struct tide_err err;

    tide_amqp_known_forget(publisher->link.known);
    if (outgoing->sent < TRIES) {
        push_front(&publisher->waiting, outgoing);
        return;
    }
    tide_err_set(&err, TIDE_ERR_UNAVAILABLE, true, "queue: %s: the broker has no queue '%s'",
                 publisher->link.url->shown, outgoing->name);
    finish(publisher, outgoing, &err);
}

static void settle(struct tide_amqp_publisher *publisher, struct tide_amqp_outgoing *outgoing, bool good)
{
    struct tide_err err;

    if (good && outgoing->returned) {
        settle_returned(publisher, outgoing);
        return;
    }
    if (!good)
        tide_err_set(&err, TIDE_ERR_UNAVAILABLE, true, "queue: %s: the broker refused the message",
                     publisher->link.url->shown);
    finish(publisher, outgoing, good ? NULL : &err);
}

static void confirm(struct tide_amqp_publisher *publisher, uint64_t tag, bool multiple, bool good)
{
    struct list *flying = &publisher->flying;
    struct tide_amqp_outgoing **at = &flying->first;

    while (multiple && *at && (*at)->tag <= tag)
        settle(publisher, take(flying, at), good);
    while (!multiple && *at && (*at)->tag < tag)
        at = &(*at)->next;
    if (!multiple && *at && (*at)->tag == tag)
        settle(publisher, take(flying, at), good);
}

static void mark_returned(struct tide_amqp_publisher *publisher, const amqp_basic_properties_t *properties)
{
    struct tide_amqp_outgoing *at;
    amqp_bytes_t id = properties->message_id;

    for (at = publisher->flying.first; at; at = at->next)
        if (strlen(at->message.id) == id.len && memcmp(at->message.id, id.bytes, id.len) == 0)
            at->returned = true;
}

static bool method_frame(struct tide_amqp_publisher *publisher, const amqp_method_t *method,
                         struct tide_err *err)
{
    if (method->id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *ack = method->decoded;

        confirm(publisher, ack->delivery_tag, ack->multiple, true);
    } else if (method->id == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *nack = method->decoded;

        confirm(publisher, nack->delivery_tag, nack->multiple, false);
    } else if (method->id == AMQP_BASIC_RETURN_METHOD) {
        publisher->returned.expected = true;
    } else {
        return tide_amqp_closed(method, err);
    }
    return true;
}

static bool publisher_frame(struct tide_amqp_link *link, const amqp_frame_t *frame, struct tide_err *err)
{
    struct tide_amqp_publisher *publisher = of(link);

    if (frame->frame_type == AMQP_FRAME_METHOD)
        return method_frame(publisher, &frame->payload.method, err);
    if (frame->frame_type == AMQP_FRAME_HEADER && publisher->returned.expected) {
        publisher->returned.expected = false;
        mark_returned(publisher, frame->payload.properties.decoded);
    }
    return true;
}

static const struct tide_amqp_link_type publisher_type = {.role = "publish",
                                                          .start = publisher_start,
                                                          .work = publisher_work,
                                                          .frame = publisher_frame,
                                                          .lost = publisher_lost,
                                                          .is_idle = publisher_is_idle,
                                                          .next_ms = publisher_next_ms};

/* ---- open and close ---- */

struct tide_amqp_publisher *tide_amqp_publisher_open(const struct tide_amqp_url *url,
                                                     struct tide_amqp_known *known,
                                                     const struct tide_log *log,
                                                     struct tide_amqp_mailbox *mailbox, struct tide_err *err)
{
    struct tide_amqp_publisher *publisher = calloc(1, sizeof *publisher);

    if (!publisher) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: not enough memory");
        return NULL;
    }
    publisher->mailbox = mailbox;
    publisher->awaited_end = &publisher->awaited;
    list_init(&publisher->given);
    list_init(&publisher->waiting);
    list_init(&publisher->flying);
    if (tide_amqp_link_open(&publisher->link, &publisher_type, url, known, log, err))
        return publisher;
    free(publisher);
    return NULL;
}

static void free_all(struct list *list)
{
    while (list->first)
        outgoing_free(take(list, &list->first));
}

void tide_amqp_publisher_close(struct tide_amqp_publisher *publisher)
{
    if (!publisher)
        return;
    tide_amqp_link_stop(&publisher->link, 3000);
    tide_amqp_mailbox_take(publisher->mailbox);
    while (publisher->awaited)
        give_up(publisher, publisher->awaited);
    free_all(&publisher->given);
    free_all(&publisher->waiting);
    free_all(&publisher->flying);
    tide_amqp_link_release(&publisher->link);
    free(publisher);
}
