/*
 * Durable queues with the words of a broker: publish with confirm, consume with prefetch, ack, retry, reject
 * to dead letters. Everything on the loop thread. A driver is chosen by the URL's scheme; sqlite:FILE is one
 * file shared by the worker processes of a machine (queue/sqlite.c).
 *
 * A message that was confirmed is delivered until it is acknowledged or dead, over the death of any process:
 * a delivery is a lease which its holder renews. A holder that dies loses it: that is no failure of the
 * message's, but the tenth uses up its attempts, as it may be the message that kills them. (A holder that
 * knows which one it is says so: tide_queue_broker_dies.) A holder that lost its lease (it was stopped for
 * longer) may still end the delivery: that is logged and ignored. Order: first in, first out by the time a
 * message became ready; a retry or another holder breaks it.
 */
#ifndef TIDE_QUEUE_QUEUE_H
#define TIDE_QUEUE_QUEUE_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/log.h"

struct tide_queue_broker; /* one connection to a driver */
struct tide_queue_consumer;
struct tide_delivery;

#define TIDE_QUEUE_MAX_PAYLOAD (1024 * 1024)                      /* bytes */
#define TIDE_QUEUE_MAX_DELAY_MS (INT64_C(366) * 24 * 3600 * 1000) /* of a publish or a retry */

/* Whether the URL is right: what tide_queue_broker_open would say of it. Reaches and makes nothing. Any
 * thread. */
TIDE_WARN_UNUSED bool tide_queue_broker_check(const char *url, struct tide_err *err);
struct tide_queue_broker *tide_queue_broker_open(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                                 struct tide_err *err);
/* Blocks until what was begun is stored; publishes still waiting are done or answered, and new ones refused.
 * Consumers are stopped, leases still held are handed back and their deliveries freed. Not from a callback of
 * the broker's. */
void tide_queue_broker_close(struct tide_queue_broker *broker);
/* The process ends, in the middle of whatever it does: a retry, reject or postpone from now on is stored when
 * it returns, or, after three seconds, not at all: then the message has lost its holder. No callback is
 * called, and nothing else may be. For the handler of a signal on the loop's thread. */
void tide_queue_broker_dies(struct tide_queue_broker *broker);
/* Whether its store can be used. Blocks for a few milliseconds; any thread, one at a time. */
bool tide_queue_broker_ready(struct tide_queue_broker *broker, struct tide_err *err);

/* ---- publish ---- */

struct tide_queue_message {
    const char *queue; /* [a-z0-9_.-]{1,64} */
    const void *payload;
    size_t len;
    int64_t delay_ms; /* not delivered before; 0..TIDE_QUEUE_MAX_DELAY_MS */
};

/* err NULL: confirmed, the message is durable. Never inside the call. */
typedef void tide_queue_publish_cb(void *arg, const struct tide_err *err);
struct tide_queue_call; /* only to cancel; gone once its callback ran */
struct tide_queue_call *tide_queue_publish(struct tide_queue_broker *broker,
                                           const struct tide_queue_message *message,
                                           tide_queue_publish_cb *cb, void *arg, struct tide_err *err);
/* The callback will not run; the message may be published all the same. */
void tide_queue_call_cancel(struct tide_queue_call *call);

/* ---- consume ---- */

struct tide_queue_consume {
    const char *queue;
    unsigned prefetch;  /* deliveries held at a time by this consumer, 1..1000 */
    int64_t lease_ms;   /* 100 at least; renewed by the driver at a third of it while the delivery is held */
    unsigned attempts;  /* so many may fail; 1..100 */
    int64_t backoff_ms; /* a failed attempt n waits backoff * 2^(n-1), at most backoff_max, +-20% */
    int64_t backoff_max_ms;
};

/* Gives one message; the callee must end it with exactly one of the five calls below, at any later time. */
typedef void tide_queue_deliver_cb(void *arg, struct tide_delivery *delivery);
struct tide_queue_consumer *tide_queue_consume(struct tide_queue_broker *broker,
                                               const struct tide_queue_consume *how,
                                               tide_queue_deliver_cb *cb, void *arg, struct tide_err *err);
/* No further deliveries; those held stay valid until they are ended, and the consumer is freed after the
 * last. */
void tide_queue_consumer_stop(struct tide_queue_consumer *consumer);

const char *tide_delivery_payload(const struct tide_delivery *delivery, size_t *len); /* NUL-terminated */
/* 1 for the first; counts those too whose holder died. */
unsigned tide_delivery_attempt(const struct tide_delivery *delivery);
bool tide_delivery_is_last(const struct tide_delivery *delivery); /* no attempt is left */
/* The attempts are used up: too many holders died, or the message was postponed. It comes once more
 * (three times at most, then it is dead without asking), so that somebody can reject it in the words of its
 * queue; its work must not be tried. is_last is true too; only reject, postpone, ack and release make sense
 * (retry is a reject). */
bool tide_delivery_is_expired(const struct tide_delivery *delivery);
int64_t tide_delivery_published_ms(const struct tide_delivery *delivery);
const char *tide_delivery_queue(const struct tide_delivery *delivery);
/* Why the attempt before failed ("" for the first); "lease_expired" as code when its holder died. */
const char *tide_delivery_last_code(const struct tide_delivery *delivery);
const char *tide_delivery_last_reason(const struct tide_delivery *delivery);

/* Each ends the delivery and frees it. A driver that can't reach its store retries by itself until the lease
 * is gone. */
void tide_delivery_ack(struct tide_delivery *delivery);
/* Not now: back to the queue without counting an attempt (drain, shutdown). */
void tide_delivery_release(struct tide_delivery *delivery);
/* This attempt failed: again after delay_ms (-1: the consumer's backoff; at most TIDE_QUEUE_MAX_DELAY_MS);
 * dead when no attempt is left. */
void tide_delivery_retry(struct tide_delivery *delivery, int64_t delay_ms, const char *code,
                         const char *reason);
/* Never again: to the dead letters. `detail`: a traceback or NULL. */
void tide_delivery_reject(struct tide_delivery *delivery, const char *code, const char *reason,
                          const char *detail);
/* Never again, but no dead letter yet: what belongs to that failed for now. After the backoff the message
 * comes expired, with this code and reason as its last ones. When it has come so three times: a reject. So
 * what is done before a reject is done at least once, unless it fails four times, and perhaps twice. */
void tide_delivery_postpone(struct tide_delivery *delivery, const char *code, const char *reason);

/* ---- look in and mend (command line, specs); these block ---- */

struct tide_queue_stat {
    char queue[65];
    int64_t ready, delayed, dead;
    int64_t leased; /* -1: the driver can't tell */
};
/* The first `named` of stats come with their queue's name, each another one, and are filled. Other queues
 * that have messages are added behind them, up to `max` in all, by a driver that can list queues (AMQP
 * can't). Returns how many there are, -1 with err. */
int tide_queue_stats(struct tide_queue_broker *broker, struct tide_queue_stat *stats, int named, int max,
                     struct tide_err *err);

struct tide_queue_dead {
    int64_t id;
    char *payload;
    size_t len;
    unsigned attempts;
    int64_t published_ms, died_ms;
    char *code, *reason, *detail; /* detail may be NULL */
};
/* Oldest first. `state`: "dead", "ready", "delayed" or "leased". The array is freed by tide_queue_dead_free.
 * -1 with err. */
int tide_queue_list(struct tide_queue_broker *broker, const char *queue, const char *state, int max,
                    struct tide_queue_dead **list, struct tide_err *err);
void tide_queue_dead_free(struct tide_queue_dead *list, int count);
/* Dead letters back to their queue with attempts from 0; id 0: all of them. Returns how many, -1 with err. */
int64_t tide_queue_dead_retry(struct tide_queue_broker *broker, const char *queue, int64_t id,
                              struct tide_err *err);
/* Deletes messages of that state ("dead", "ready", "delayed"); leased ones are never purged. */
int64_t tide_queue_purge(struct tide_queue_broker *broker, const char *queue, const char *state,
                         struct tide_err *err);

#endif
