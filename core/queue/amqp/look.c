/*
 * What the command line asks of the broker; each call connects for itself, and blocks. AMQP can't list
 * queues, nor look at a message without taking it: it is taken and given back. Messages that are ready are
 * given back as copies, because the broker would count the look as an attempt that failed (before
 * RabbitMQ 4.3).
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "queue/amqp/broker.h"

#define CHANNEL TIDE_AMQP_TOPOLOGY
#define MAX_DELAYS 1000
#define GIVE_BACK_MS 1000

struct look {
    const struct tide_amqp_url *url;
    amqp_connection_state_t conn;
    bool taken;        /* something that is to be given back */
    unsigned returned; /* how often a holder lost the one that was taken last */
};

static bool look_open(struct look *look, const struct broker *broker, struct tide_err *err)
{
    *look = (struct look){.url = &broker->url};
    look->conn = tide_amqp_connect(look->url, "look", err);
    if (!look->conn)
        return false;
    if (tide_amqp_open_channel(look->conn, CHANNEL, err)) {
        amqp_confirm_select(look->conn, CHANNEL);
        if (tide_amqp_outcome(look->conn, CHANNEL, "confirm.select", err) == TIDE_AMQP_DONE)
            return true;
    }
    tide_err_prefix(err, "queue: %s", look->url->shown);
    amqp_destroy_connection(look->conn);
    return false;
}

static void look_close(struct look *look)
{
    tide_amqp_disconnect(look->conn);
}

/* ---- counting ---- */

/* 0 for a queue that isn't there. False with err. */
static bool count_messages(struct look *look, const char *name, int64_t *count, struct tide_err *err)
{
    amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(look->conn, CHANNEL, amqp_cstring_bytes(name), 1, 0, 0, 0, amqp_empty_table);
    int code = 0;

    *count = ok ? ok->message_count : 0;
    return ok || (tide_amqp_outcome_code(look->conn, CHANNEL, name, &code, err) == TIDE_AMQP_REFUSED &&
                  code == AMQP_NOT_FOUND);
}

/* ---- taking ---- */

enum taken { NONE, ONE, FAILED };

/* The next of that queue. */
static enum taken take(struct look *look, const char *name, struct tide_amqp_message *message, uint64_t *tag,
                       struct tide_err *err)
{
    amqp_rpc_reply_t reply = amqp_basic_get(look->conn, CHANNEL, amqp_cstring_bytes(name), 0);
    amqp_message_t read;
    bool redelivered;

    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        int code = 0;

        if (tide_amqp_outcome_code(look->conn, CHANNEL, name, &code, err) == TIDE_AMQP_REFUSED &&
            code == AMQP_NOT_FOUND)
            return NONE;
        return FAILED;
    }
    if (reply.reply.id != AMQP_BASIC_GET_OK_METHOD)
        return NONE;
    look->taken = true;
    *tag = ((amqp_basic_get_ok_t *)reply.reply.decoded)->delivery_tag;
    redelivered = ((amqp_basic_get_ok_t *)reply.reply.decoded)->redelivered != 0;
    reply = amqp_read_message(look->conn, CHANNEL, &read, 0);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        tide_amqp_status(reply.library_error, name, err);
        return FAILED;
    }
    tide_amqp_message_read(message, &read.properties, redelivered, &look->returned);
    message->payload = calloc(1, read.body.len + 1);
    message->len = read.body.len;
    if (message->payload && read.body.len)
        memcpy(message->payload, read.body.bytes, read.body.len);
    tide_amqp_message_read_death(message, &read.properties);
    amqp_destroy_message(&read);
    amqp_maybe_release_buffers_on_channel(look->conn, CHANNEL);
    if (message->payload)
        return ONE;
    tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: not enough memory");
    return FAILED;
}

static bool acknowledge(struct look *look, uint64_t tag, struct tide_err *err)
{
    int status = amqp_basic_ack(look->conn, CHANNEL, tag, 0);

    return status == AMQP_STATUS_OK || tide_amqp_status(status, "basic.ack", err);
}

/* What was taken and not acknowledged, and waits until at least `expected` are in the queue again: it takes a
 * quorum queue a moment, and the next look shouldn't miss them. */
static bool give_back(struct look *look, const char *name, int64_t expected, struct tide_err *err)
{
    int64_t end = tide_clock_monotonic_ms() + GIVE_BACK_MS, there = 0;
    struct timespec nap = {.tv_nsec = 5000000L};
    bool ok;

    if (!look->taken)
        return true;
    amqp_basic_nack(look->conn, CHANNEL, 0, 1, 1); /* all */
    look->taken = false;
    while ((ok = count_messages(look, name, &there, err)) && there < expected &&
           tide_clock_monotonic_ms() < end)
        nanosleep(&nap, NULL);
    return ok;
}

/* ---- publishing ---- */

static bool await_confirm(struct look *look, struct tide_err *err)
{
    struct timeval patience = {.tv_sec = TIDE_AMQP_WAIT_S};
    bool returned = false;

    for (;;) {
        amqp_frame_t frame;
        int status = amqp_simple_wait_frame_noblock(look->conn, &frame, &patience);

        if (status != AMQP_STATUS_OK)
            return tide_amqp_status(status, "not confirmed", err);
        if (frame.frame_type != AMQP_FRAME_METHOD)
            continue;
        if (frame.payload.method.id == AMQP_BASIC_RETURN_METHOD)
            returned = true;
        else if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD)
            return !returned || tide_err_set(err, TIDE_ERR_NOT_FOUND, false, "queue: there is no such queue");
        else if (frame.channel == CHANNEL)
            return tide_amqp_closed(&frame.payload.method, err);
    }
}

static bool publish(struct look *look, const char *name, const struct tide_amqp_message *message,
                    struct tide_err *err)
{
    int status = tide_amqp_message_publish(look->conn, CHANNEL, name, message);

    if (status != AMQP_STATUS_OK)
        return tide_amqp_status(status, name, err);
    return await_confirm(look, err);
}

/* Behind the others, as it was; the broker's count becomes ours. */
static bool put_back(struct look *look, const char *name, struct tide_amqp_message *message, uint64_t tag,
                     struct tide_err *err)
{
    message->lost += look->returned;
    return publish(look, name, message, err) && acknowledge(look, tag, err);
}

/* ---- delays ---- */

struct delays {
    char *names[MAX_DELAYS];
    int count;
};

static void delays_free(struct delays *delays)
{
    for (int i = 0; i < delays->count; i++)
        free(delays->names[i]);
    delays->count = 0;
}

/* Takes the name. */
static void add_delay(struct delays *delays, char *name)
{
    for (int i = 0; i < delays->count; i++) {
        if (strcmp(delays->names[i], name) == 0) {
            free(name);
            return;
        }
    }
    if (delays->count < MAX_DELAYS)
        delays->names[delays->count++] = name;
    else
        free(name);
}

/* The notes of who declared them. */
static bool find_delays(struct look *look, const char *queue, struct delays *delays, struct tide_err *err)
{
    char name[TIDE_AMQP_NAME];
    enum taken taken;
    uint64_t tag;

    delays->count = 0;
    tide_amqp_name(look->url, queue, TIDE_AMQP_DELAYS, 0, name);
    do {
        struct tide_amqp_message note = {0};

        taken = take(look, name, &note, &tag, err);
        if (taken == ONE) {
            add_delay(delays, note.payload);
            note.payload = NULL;
        }
        tide_amqp_message_release(&note);
    } while (taken == ONE);
    if (taken != FAILED && give_back(look, name, 0, err))
        return true;
    delays_free(delays);
    return false;
}

/* ---- stats ---- */

/* What this process holds, or is about to. -1 when it doesn't consume. */
static int64_t count_held(const struct broker *broker, const char *queue)
{
    const struct consumer *consumer;
    const struct tide_amqp_incoming *waiting;
    int64_t count = -1;

    for (consumer = broker->consumers; consumer; consumer = consumer->next) {
        if (strcmp(consumer->how.queue, queue) != 0)
            continue;
        count = (count < 0 ? 0 : count) + consumer->count + consumer->settling;
        if (!consumer->leaving)
            count += tide_amqp_arriving(consumer->subscription);
        for (waiting = consumer->waiting; waiting; waiting = (const void *)waiting->mail.next)
            count++;
    }
    return count;
}

static bool fill(struct look *look, struct tide_queue_stat *stat, struct tide_err *err)
{
    char name[TIDE_AMQP_NAME];
    struct delays delays;
    int64_t count;
    bool ok;

    tide_amqp_name(look->url, stat->queue, TIDE_AMQP_QUEUE, 0, name);
    if (!count_messages(look, name, &stat->ready, err))
        return false;
    tide_amqp_name(look->url, stat->queue, TIDE_AMQP_DEAD, 0, name);
    if (!count_messages(look, name, &stat->dead, err) || !find_delays(look, stat->queue, &delays, err))
        return false;
    stat->delayed = 0;
    ok = true;
    for (int i = 0; ok && i < delays.count; i++) {
        ok = count_messages(look, delays.names[i], &count, err);
        stat->delayed += ok ? count : 0;
    }
    delays_free(&delays);
    return ok;
}

int tide_amqp_stats(struct broker *broker, struct tide_queue_stat *stats, int named, int max,
                    struct tide_err *err)
{
    struct look look;
    bool ok = true;

    (void)max;
    if (!look_open(&look, broker, err))
        return -1;
    for (int i = 0; ok && i < named; i++) {
        ok = fill(&look, &stats[i], err);
        stats[i].leased = count_held(broker, stats[i].queue);
    }
    look_close(&look);
    return ok ? named : -1;
}

/* ---- list ---- */

struct listing {
    struct tide_queue_dead *list;
    int count, max;
};

static int64_t time_of(const struct tide_queue_dead *message)
{
    return message->died_ms ? message->died_ms : message->published_ms;
}

/* In its place by time: what was given back is not always where it was. Most come in order. */
static void add(struct listing *listing, struct tide_amqp_message *message)
{
    struct tide_queue_dead entry = {.id = tide_amqp_message_number(message),
                                    .payload = message->payload,
                                    .len = message->len,
                                    .attempts = message->attempts,
                                    .published_ms = message->published_ms,
                                    .died_ms = message->died_ms,
                                    .code = message->code,
                                    .reason = message->reason,
                                    .detail = message->detail};
    int at = listing->count++;

    for (; at > 0 && time_of(&listing->list[at - 1]) > time_of(&entry); at--)
        listing->list[at] = listing->list[at - 1];
    listing->list[at] = entry;
    *message = (struct tide_amqp_message){0};
}

/* Those that are there now: copies that were given back are not met again. */
static bool list_queue(struct look *look, const char *name, bool copy, struct listing *listing,
                       struct tide_err *err)
{
    int64_t there, before;
    bool ok = count_messages(look, name, &there, err);

    before = there;
    for (; ok && there > 0 && listing->count < listing->max; there--) {
        struct tide_amqp_message message = {0};
        uint64_t tag;
        enum taken taken = take(look, name, &message, &tag, err);

        ok = taken != FAILED && (taken == NONE || !copy || put_back(look, name, &message, tag, err));
        if (ok && taken == ONE)
            add(listing, &message);
        tide_amqp_message_release(&message);
        if (taken == NONE)
            break;
    }
    return ok && (copy || give_back(look, name, before, err));
}

static bool list_delayed(struct look *look, const char *queue, struct listing *listing, struct tide_err *err)
{
    struct delays delays;
    bool ok = find_delays(look, queue, &delays, err);

    for (int i = 0; ok && i < delays.count; i++)
        ok = list_queue(look, delays.names[i], false, listing, err);
    delays_free(&delays);
    return ok;
}

static bool list_state(struct look *look, const char *queue, const char *state, struct listing *listing,
                       struct tide_err *err)
{
    char name[TIDE_AMQP_NAME];

    if (strcmp(state, "delayed") == 0)
        return list_delayed(look, queue, listing, err);
    if (strcmp(state, "leased") == 0)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "queue: over AMQP nobody sees what a consumer holds");
    if (strcmp(state, "dead") == 0) {
        tide_amqp_name(look->url, queue, TIDE_AMQP_DEAD, 0, name);
        return list_queue(look, name, false, listing, err);
    }
    tide_amqp_name(look->url, queue, TIDE_AMQP_QUEUE, 0, name);
    return list_queue(look, name, true, listing, err);
}

int tide_amqp_list(struct broker *broker, const char *queue, const char *state, int max,
                   struct tide_queue_dead **list, struct tide_err *err)
{
    struct listing listing = {.max = max, .list = calloc((size_t)max + 1, sizeof *listing.list)};
    struct look look;
    bool ok;

    if (!listing.list) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: not enough memory");
        return -1;
    }
    ok = look_open(&look, broker, err);
    if (ok) {
        ok = list_state(&look, queue, state, &listing, err);
        look_close(&look);
    }
    if (ok) {
        *list = listing.list;
        return listing.count;
    }
    tide_queue_dead_free(listing.list, listing.count);
    return -1;
}

/* ---- mend ---- */

/* From 0, as if it had never been tried. */
static bool revive(struct look *look, const char *queue, struct tide_amqp_message *message, uint64_t tag,
                   struct tide_err *err)
{
    struct tide_amqp_message fresh = {
        .payload = message->payload, .len = message->len, .published_ms = message->published_ms};

    memcpy(fresh.id, message->id, sizeof fresh.id);
    return publish(look, queue, &fresh, err) && acknowledge(look, tag, err);
}

static int64_t retry_all(struct look *look, const char *queue, int64_t id, struct tide_err *err)
{
    char dead[TIDE_AMQP_NAME], name[TIDE_AMQP_NAME];
    int64_t there, before, count = 0;
    bool ok;

    tide_amqp_name(look->url, queue, TIDE_AMQP_DEAD, 0, dead);
    tide_amqp_name(look->url, queue, TIDE_AMQP_QUEUE, 0, name);
    ok = count_messages(look, dead, &there, err);
    before = there;
    for (; ok && there > 0 && (id == 0 || count == 0); there--) {
        struct tide_amqp_message message = {0};
        uint64_t tag;
        enum taken taken = take(look, dead, &message, &tag, err);

        ok = taken != FAILED;
        if (taken == ONE && (id == 0 || tide_amqp_message_number(&message) == id)) {
            ok = revive(look, name, &message, tag, err);
            count += ok;
        }
        tide_amqp_message_release(&message);
        if (taken == NONE)
            break;
    }
    ok = ok && give_back(look, dead, before - count, err);
    return ok ? count : -1;
}

int64_t tide_amqp_dead_retry(struct broker *broker, const char *queue, int64_t id, struct tide_err *err)
{
    struct tide_amqp_known *known = tide_amqp_known_new();
    struct look look;
    int64_t count = -1;

    if (!known) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: not enough memory");
        return -1;
    }
    if (look_open(&look, broker, err)) {
        if (tide_amqp_ensure(look.conn, look.url, known, queue, TIDE_AMQP_QUEUE, 0, err) == TIDE_AMQP_DONE)
            count = retry_all(&look, queue, id, err);
        look_close(&look);
    }
    tide_amqp_known_free(known);
    return count;
}

/* What is there now, one by one where a purge could not tell how many it took. */
static bool purge_queue(struct look *look, const char *name, int64_t *count, struct tide_err *err)
{
    amqp_queue_purge_ok_t *ok = amqp_queue_purge(look->conn, CHANNEL, amqp_cstring_bytes(name));
    int code = 0;

    *count += ok ? ok->message_count : 0;
    return ok || (tide_amqp_outcome_code(look->conn, CHANNEL, name, &code, err) == TIDE_AMQP_REFUSED &&
                  code == AMQP_NOT_FOUND);
}

static bool purge_delayed(struct look *look, const char *queue, int64_t *count, struct tide_err *err)
{
    struct delays delays;
    bool ok = find_delays(look, queue, &delays, err);

    for (int i = 0; ok && i < delays.count; i++)
        ok = purge_queue(look, delays.names[i], count, err);
    delays_free(&delays);
    return ok;
}

int64_t tide_amqp_purge(struct broker *broker, const char *queue, const char *state, struct tide_err *err)
{
    char name[TIDE_AMQP_NAME];
    bool dead = strcmp(state, "dead") == 0, ok;
    struct look look;
    int64_t count = 0;

    if (!look_open(&look, broker, err))
        return -1;
    tide_amqp_name(look.url, queue, dead ? TIDE_AMQP_DEAD : TIDE_AMQP_QUEUE, 0, name);
    if (strcmp(state, "delayed") == 0)
        ok = purge_delayed(&look, queue, &count, err);
    else
        ok = purge_queue(&look, name, &count, err);
    look_close(&look);
    return ok ? count : -1;
}
