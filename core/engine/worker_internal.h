/* For the worker*.c files alone. */
#ifndef TIDE_ENGINE_WORKER_INTERNAL_H
#define TIDE_ENGINE_WORKER_INTERNAL_H

#include <uv.h>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/control.h"
#include "engine/health.h"
#include "engine/services.h"
#include "http/server.h"

/* A bundle as this worker runs it. */
struct hosted {
    struct worker *worker;
    const struct tide_settings_bundle *settings;
    struct tide_bundle *bundle;
    struct tide_http_server *server;
    int listen_fd; /* -1: none */
    bool upstream; /* a bundle of this engine calls it */
};

struct worker {
    unsigned index;
    struct tide_settings settings;
    struct tide_log log;
    struct tide_metrics *metrics;
    uv_loop_t loop;
    struct tide_control control;
    struct tide_services services;
    struct tide_health *health;
    struct hosted *hosted;
    size_t hosted_count;
    uv_signal_t term, interrupt;
    uv_timer_t grace, poll, beat;
    uv_prepare_t flush;
    bool draining, finishing, closing;
    bool alone; /* drains by itself: nobody will tell it when the others have finished */
    bool told_idle;
    size_t servers_open;
};

/*
 * worker_drain.c: the end, in three steps, so that a request that was accepted still reaches whatever it
 * calls. Draining: no new messages and timers, and the doors (listeners that no bundle of this engine calls)
 * are closed; upstreams serve on. When nothing is in flight the worker says "idle". Finishing, once all
 * workers have said so: the upstreams are closed too. Then everything. What is in flight after the grace is
 * cut off, its messages are handed back.
 */
void tide_worker_drain(struct worker *worker);
void tide_worker_drain_alone(struct worker *worker);
void tide_worker_finish(struct worker *worker);

#endif
