#include "queue/amqp/topology.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define EXCHANGE "dead-letters"
#define MIN_DELAY_MS 100
#define AGAIN_MS (5 * 60 * 1000)     /* a delay's queue is declared anew then, which keeps it */
#define UNUSED_MS (15 * 60 * 1000)   /* and lives so much longer than its messages */
#define FRESH_MS 2000                /* until the broker has written down where a new one's log is */
#define MAX_DELAYS 1000              /* entries in Q.delays */
#define NO_DELIVERY_LIMIT 1000000000 /* RabbitMQ 4 alone knows -1 */
#define MAX_KNOWN 4096

/* ---- names ---- */

int64_t tide_amqp_round_delay(int64_t ms)
{
    int64_t unit = 1;

    if (ms > TIDE_AMQP_MAX_ROUND_MS)
        return TIDE_AMQP_MAX_ROUND_MS;
    if (ms < MIN_DELAY_MS)
        return MIN_DELAY_MS;
    while (ms / unit >= 100)
        unit *= 10;
    return (ms + unit - 1) / unit * unit;
}

void tide_amqp_name(const struct tide_amqp_url *url, const char *queue, enum tide_amqp_place place,
                    int64_t delay_ms, char out[TIDE_AMQP_NAME])
{
    int len = snprintf(out, TIDE_AMQP_NAME, "%s%s", url->prefix, queue);

    if (place == TIDE_AMQP_DEAD)
        snprintf(out + len, TIDE_AMQP_NAME - (size_t)len, ".dead");
    else if (place == TIDE_AMQP_DELAYS)
        snprintf(out + len, TIDE_AMQP_NAME - (size_t)len, ".delays");
    else if (place == TIDE_AMQP_DELAY)
        snprintf(out + len, TIDE_AMQP_NAME - (size_t)len, ".delay.%lld", (long long)delay_ms);
}

/* ---- what is known to be there ---- */

struct tide_amqp_known {
    pthread_mutex_t declaring; /* held by who declares */
    pthread_mutex_t lock;      /* of the entries */
    struct entry {
        char name[TIDE_AMQP_NAME];
        int64_t until_ms; /* it is declared again then */
        int64_t fresh_until_ms;
    } * entries;
    size_t count, cap;
};

struct tide_amqp_known *tide_amqp_known_new(void)
{
    struct tide_amqp_known *known = calloc(1, sizeof *known);

    if (known) {
        pthread_mutex_init(&known->declaring, NULL);
        pthread_mutex_init(&known->lock, NULL);
    }
    return known;
}

void tide_amqp_known_forget(struct tide_amqp_known *known)
{
    pthread_mutex_lock(&known->lock);
    known->count = 0;
    pthread_mutex_unlock(&known->lock);
}

void tide_amqp_known_free(struct tide_amqp_known *known)
{
    if (!known)
        return;
    pthread_mutex_destroy(&known->declaring);
    pthread_mutex_destroy(&known->lock);
    free(known->entries);
    free(known);
}

static struct entry *find(struct tide_amqp_known *known, const char *name)
{
    for (size_t i = 0; i < known->count; i++)
        if (strcmp(known->entries[i].name, name) == 0)
            return &known->entries[i];
    return NULL;
}

static bool is_known(struct tide_amqp_known *known, const char *name)
{
    const struct entry *entry;
    bool is;

    pthread_mutex_lock(&known->lock);
    entry = find(known, name);
    is = entry && tide_clock_monotonic_ms() < entry->until_ms;
    pthread_mutex_unlock(&known->lock);
    return is;
}

/* Without memory it is declared more often. */
static struct entry *add(struct tide_amqp_known *known, const char *name)
{
    struct entry *entry;

    if (known->count == known->cap) {
        size_t cap = known->cap ? known->cap * 2 : 16;
        struct entry *more = cap <= MAX_KNOWN ? realloc(known->entries, cap * sizeof *more) : NULL;

        if (!more)
            return NULL;
        known->entries = more;
        known->cap = cap;
    }
    entry = &known->entries[known->count++];
    *entry = (struct entry){.until_ms = INT64_MIN / 2};
    snprintf(entry->name, sizeof entry->name, "%s", name);
    return entry;
}

static void remember(struct tide_amqp_known *known, const char *name, enum tide_amqp_place place)
{
    int64_t now = tide_clock_monotonic_ms();
    struct entry *entry;

    pthread_mutex_lock(&known->lock);
    entry = find(known, name);
    if (!entry)
        entry = add(known, name);
    if (entry && place == TIDE_AMQP_DELAY) {
        if (now - entry->until_ms > UNUSED_MS - AGAIN_MS) /* it may have been gone */
            entry->fresh_until_ms = now + FRESH_MS;
        entry->until_ms = now + AGAIN_MS;
    } else if (entry) {
        entry->until_ms = INT64_MAX;
    }
    pthread_mutex_unlock(&known->lock);
}

int64_t tide_amqp_fresh_ms(const struct tide_amqp_url *url, struct tide_amqp_known *known, const char *queue,
                           enum tide_amqp_place place, int64_t delay_ms)
{
    char name[TIDE_AMQP_NAME];
    const struct entry *entry;
    int64_t left = 0;

    if (place != TIDE_AMQP_DELAY || url->classic)
        return 0;
    tide_amqp_name(url, queue, place, delay_ms, name);
    pthread_mutex_lock(&known->lock);
    entry = find(known, name);
    if (entry)
        left = entry->fresh_until_ms - tide_clock_monotonic_ms();
    pthread_mutex_unlock(&known->lock);
    return left > 0 ? left : 0;
}

/* ---- arguments ---- */

struct arguments {
    amqp_table_entry_t entries[8];
    int count;
};

static void add_text(struct arguments *to, const char *name, const char *value)
{
    to->entries[to->count++] = (amqp_table_entry_t){
        amqp_cstring_bytes(name), {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static void add_number(struct arguments *to, const char *name, int64_t value)
{
    to->entries[to->count++] =
        (amqp_table_entry_t){amqp_cstring_bytes(name), {.kind = AMQP_FIELD_KIND_I64, .value.i64 = value}};
}

/* Attempts are counted here: RabbitMQ 4 would by itself drop a message that was given back 20 times, by looks
 * at it too. */
static struct arguments of_type(const struct tide_amqp_url *url)
{
    struct arguments arguments = {.count = 0};

    add_text(&arguments, "x-queue-type", url->classic ? "classic" : "quorum");
    if (!url->classic)
        add_number(&arguments, "x-delivery-limit", NO_DELIVERY_LIMIT);
    return arguments;
}

static void add_expires(struct arguments *to, int64_t ms)
{
    if (ms > 0)
        add_number(to, "x-expires", ms);
}

/* The broker keeps what it gives up until it arrived, which quorum queues alone can. */
static void add_dead_letters(struct arguments *to, const struct tide_amqp_url *url, const char *exchange,
                             const char *key)
{
    add_text(to, "x-dead-letter-exchange", exchange);
    add_text(to, "x-dead-letter-routing-key", key);
    if (url->classic)
        return;
    add_text(to, "x-dead-letter-strategy", "at-least-once");
    add_text(to, "x-overflow", "reject-publish");
}

/* ---- declaring ---- */

/* The outcome of a passive declaration after one that was refused with `code`; err says why. */
static enum tide_amqp_outcome found(amqp_connection_state_t conn, const char *name, int code,
                                    struct tide_err *err)
{
    struct tide_err missing;
    enum tide_amqp_outcome outcome = tide_amqp_outcome(conn, TIDE_AMQP_TOPOLOGY, name, &missing);

    if (outcome == TIDE_AMQP_REFUSED && code == AMQP_ACCESS_REFUSED)
        tide_err_prefix(err, "%s is not there: make it, or give the user the right to configure it", name);
    return outcome;
}

/* One that exists is good, whoever made it and how: also where we may not make any. */
static enum tide_amqp_outcome declare(amqp_connection_state_t conn, const char *name,
                                      struct arguments *arguments, struct tide_err *err)
{
    amqp_table_t table = {arguments->count, arguments->entries};
    enum tide_amqp_outcome outcome;
    int code = 0;

    amqp_queue_declare(conn, TIDE_AMQP_TOPOLOGY, amqp_cstring_bytes(name), 0, 1, 0, 0, table);
    outcome = tide_amqp_outcome_code(conn, TIDE_AMQP_TOPOLOGY, name, &code, err);
    if (outcome != TIDE_AMQP_REFUSED)
        return outcome;
    amqp_queue_declare(conn, TIDE_AMQP_TOPOLOGY, amqp_cstring_bytes(name), 1, 0, 0, 0, amqp_empty_table);
    return found(conn, name, code, err);
}

static enum tide_amqp_outcome declare_exchange(amqp_connection_state_t conn, const char *name,
                                               struct tide_err *err)
{
    const amqp_bytes_t exchange = amqp_cstring_bytes(name), type = amqp_cstring_bytes("direct");
    enum tide_amqp_outcome outcome;
    int code = 0;

    amqp_exchange_declare(conn, TIDE_AMQP_TOPOLOGY, exchange, type, 0, 1, 0, 0, amqp_empty_table);
    outcome = tide_amqp_outcome_code(conn, TIDE_AMQP_TOPOLOGY, name, &code, err);
    if (outcome != TIDE_AMQP_REFUSED)
        return outcome;
    amqp_exchange_declare(conn, TIDE_AMQP_TOPOLOGY, exchange, type, 1, 0, 0, 0, amqp_empty_table);
    return found(conn, name, code, err);
}

static enum tide_amqp_outcome declare_dead(amqp_connection_state_t conn, const struct tide_amqp_url *url,
                                           const char *queue, struct tide_err *err)
{
    char name[TIDE_AMQP_NAME], key[TIDE_AMQP_NAME], exchange[TIDE_AMQP_NAME];
    struct arguments arguments = of_type(url);
    enum tide_amqp_outcome outcome;

    tide_amqp_name(url, queue, TIDE_AMQP_QUEUE, 0, key);
    tide_amqp_name(url, queue, TIDE_AMQP_DEAD, 0, name);
    tide_amqp_name(url, EXCHANGE, TIDE_AMQP_QUEUE, 0, exchange);
    add_expires(&arguments, url->expires_ms);
    outcome = declare(conn, name, &arguments, err);
    if (outcome != TIDE_AMQP_DONE)
        return outcome;
    outcome = declare_exchange(conn, exchange, err);
    if (outcome != TIDE_AMQP_DONE)
        return outcome;
    amqp_queue_bind(conn, TIDE_AMQP_TOPOLOGY, amqp_cstring_bytes(name), amqp_cstring_bytes(exchange),
                    amqp_cstring_bytes(key), amqp_empty_table);
    return tide_amqp_outcome(conn, TIDE_AMQP_TOPOLOGY, name, err);
}

static enum tide_amqp_outcome declare_queue(amqp_connection_state_t conn, const struct tide_amqp_url *url,
                                            const char *queue, struct tide_err *err)
{
    char name[TIDE_AMQP_NAME], exchange[TIDE_AMQP_NAME];
    struct arguments arguments = of_type(url);
    enum tide_amqp_outcome outcome;

    tide_amqp_name(url, queue, TIDE_AMQP_QUEUE, 0, name);
    tide_amqp_name(url, EXCHANGE, TIDE_AMQP_QUEUE, 0, exchange);
    outcome = declare_dead(conn, url, queue, err);
    if (outcome != TIDE_AMQP_DONE)
        return outcome;
    add_dead_letters(&arguments, url, exchange, name);
    add_expires(&arguments, url->expires_ms);
    return declare(conn, name, &arguments, err);
}

/* A look for the delayed messages finds them by these notes, which live as long as what they name. */
static enum tide_amqp_outcome note_delay(amqp_connection_state_t conn, const struct tide_amqp_url *url,
                                         const char *queue, const char *delay, int64_t lifetime_ms,
                                         struct tide_err *err)
{
    char name[TIDE_AMQP_NAME], lifetime[24];
    struct arguments arguments = {.count = 0};
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_EXPIRATION_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    enum tide_amqp_outcome outcome;
    int status;

    tide_amqp_name(url, queue, TIDE_AMQP_DELAYS, 0, name);
    add_text(&arguments, "x-queue-type", "classic");
    add_number(&arguments, "x-max-length", MAX_DELAYS);
    add_expires(&arguments, url->expires_ms ? url->expires_ms : TIDE_AMQP_MAX_ROUND_MS + UNUSED_MS);
    outcome = declare(conn, name, &arguments, err);
    if (outcome != TIDE_AMQP_DONE)
        return outcome;
    snprintf(lifetime, sizeof lifetime, "%lld", (long long)lifetime_ms);
    properties.expiration = amqp_cstring_bytes(lifetime);
    status = amqp_basic_publish(conn, TIDE_AMQP_TOPOLOGY, amqp_empty_bytes, amqp_cstring_bytes(name), 0, 0,
                                &properties, amqp_cstring_bytes(delay));
    if (status == AMQP_STATUS_OK)
        return TIDE_AMQP_DONE;
    tide_amqp_status(status, name, err);
    return TIDE_AMQP_BROKEN;
}

/* The note first: when the queue is there, it can be found. */
static enum tide_amqp_outcome declare_delay(amqp_connection_state_t conn, const struct tide_amqp_url *url,
                                            const char *queue, int64_t delay_ms, struct tide_err *err)
{
    char name[TIDE_AMQP_NAME], target[TIDE_AMQP_NAME];
    struct arguments arguments = of_type(url);
    int64_t lifetime_ms = delay_ms + UNUSED_MS;
    enum tide_amqp_outcome outcome;

    tide_amqp_name(url, queue, TIDE_AMQP_QUEUE, 0, target);
    tide_amqp_name(url, queue, TIDE_AMQP_DELAY, delay_ms, name);
    outcome = note_delay(conn, url, queue, name, lifetime_ms, err);
    if (outcome != TIDE_AMQP_DONE)
        return outcome;
    add_dead_letters(&arguments, url, "", target);
    add_number(&arguments, "x-message-ttl", delay_ms);
    add_expires(&arguments, lifetime_ms);
    return declare(conn, name, &arguments, err);
}

bool tide_amqp_is_known(const struct tide_amqp_url *url, struct tide_amqp_known *known, const char *queue,
                        enum tide_amqp_place place, int64_t delay_ms)
{
    char name[TIDE_AMQP_NAME];

    tide_amqp_name(url, queue, TIDE_AMQP_QUEUE, 0, name);
    if (!is_known(known, name))
        return false;
    tide_amqp_name(url, queue, TIDE_AMQP_DELAY, delay_ms, name);
    return place != TIDE_AMQP_DELAY || is_known(known, name);
}

/* What another thread declared while this one waited is known by now. */
static enum tide_amqp_outcome declare_unknown(amqp_connection_state_t conn, const struct tide_amqp_url *url,
                                              struct tide_amqp_known *known, const char *queue,
                                              enum tide_amqp_place place, int64_t delay_ms,
                                              struct tide_err *err)
{
    char name[TIDE_AMQP_NAME];
    enum tide_amqp_outcome outcome;

    tide_amqp_name(url, queue, TIDE_AMQP_QUEUE, 0, name);
    if (!is_known(known, name)) {
        outcome = declare_queue(conn, url, queue, err);
        if (outcome != TIDE_AMQP_DONE)
            return outcome;
        remember(known, name, TIDE_AMQP_QUEUE);
    }
    if (place != TIDE_AMQP_DELAY)
        return TIDE_AMQP_DONE;
    tide_amqp_name(url, queue, TIDE_AMQP_DELAY, delay_ms, name);
    if (!is_known(known, name)) {
        outcome = declare_delay(conn, url, queue, delay_ms, err);
        if (outcome != TIDE_AMQP_DONE)
            return outcome;
        remember(known, name, TIDE_AMQP_DELAY);
    }
    return TIDE_AMQP_DONE;
}

enum tide_amqp_outcome tide_amqp_ensure(amqp_connection_state_t conn, const struct tide_amqp_url *url,
                                        struct tide_amqp_known *known, const char *queue,
                                        enum tide_amqp_place place, int64_t delay_ms, struct tide_err *err)
{
    enum tide_amqp_outcome outcome;

    if (tide_amqp_is_known(url, known, queue, place, delay_ms))
        return TIDE_AMQP_DONE;
    pthread_mutex_lock(&known->declaring);
    outcome = declare_unknown(conn, url, known, queue, place, delay_ms, err);
    pthread_mutex_unlock(&known->declaring);
    return outcome;
}
