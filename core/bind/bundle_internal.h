/* What the files of a bundle share: bundle.c, declare.c, exchange.c, serve.c, consumer.c, timer.c. */
#ifndef TIDE_BIND_BUNDLE_INTERNAL_H
#define TIDE_BIND_BUNDLE_INTERNAL_H

#include "base/metrics.h"
#include "bind/bundle.h"
#include "bind/native.h"
#include "http/proxies.h"
#include "http/router.h"

struct route {
    char *spec;         /* "GET /jobs/{id}" */
    int64_t body_limit; /* bytes; -1: the listener's default */
    struct tide_task_limits limits;
    struct tide_metric *duration; /* made at the first request */
    struct {
        int status;
        struct tide_metric *count;
    } requests[8]; /* the statuses seen first; others share the last slot's lookup */
};

struct consumer {
    struct tide_bundle *bundle;
    int index;
    char *queue;
    struct tide_queue_consume how;
    struct tide_task_limits limits;
    bool has_on_dead;
    char *label; /* "consume video" */
    struct tide_queue_consumer *running;
    struct tide_metric *duration;
};

struct timer {
    struct tide_bundle *bundle;
    int index;
    int64_t interval_ms;
    struct tide_task_limits limits;
    char *label;        /* "every 1h" */
    uv_timer_t *handle; /* NULL until started */
    bool busy;
};

struct tide_bundle {
    struct tide_bundle_config config; /* strings are our own copies */
    struct tide_state *state;
    char generation[TIDE_GENERATION_LEN];
    struct tide_router *router;
    struct tide_http_proxies *proxies; /* NULL: none */
    struct route **routes;
    size_t route_count;
    struct consumer **consumers;
    size_t consumer_count;
    struct timer **timers;
    size_t timer_count;
    struct tide_declaration *declarations;
    size_t declaration_count;
    int entry_request, entry_failure, entry_message, entry_dead, entry_timer,
        entry_call;              /* registry references */
    struct exchange **exchanges; /* requests in flight, by slot; exchange.c */
    size_t exchange_slots;
    uint64_t exchange_sequence;
    size_t requests, messages, ticks; /* in flight */
    bool started;
};

bool tide_bundle_start_consumers(struct tide_bundle *bundle, struct tide_err *err);
void tide_bundle_stop_consumers(struct tide_bundle *bundle);
void tide_bundle_start_timers(struct tide_bundle *bundle);
void tide_bundle_stop_timers(struct tide_bundle *bundle);

/* Why a task did not end well. */
struct failure {
    char code[40]; /* the engine's or the script's own */
    bool retryable;
    bool primitive; /* not made by the script: the message may tell of a backend */
    char message[1024];
};

/* Turns the error value on top of L (of a task that raised) into a failure by the Lua function entry.failure;
 * logs it with the task's traceback. */
void tide_bundle_failure(struct tide_bundle *bundle, struct tide_task *task, lua_State *L,
                         struct failure *failure);

#endif
