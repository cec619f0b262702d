/* For the files of this folder alone. */
#ifndef TIDE_WORKER_INTERNAL_H
#define TIDE_WORKER_INTERNAL_H

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
    struct tide_bundle *next; /* loaded, not swapped in yet; NULL: none */
    struct retired *retired;  /* generations before it that are still busy */
    struct tide_http_server *server;
    int content_fd; /* until it is loaded */
    int listen_fd;  /* -1: none */
    bool upstream;  /* a bundle of this engine calls it */
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
    uv_timer_t grace, poll, beat, retire;
    uv_prepare_t flush;
    bool draining, finishing, closing;
    bool alone; /* drains by itself: nobody will tell it when the others have finished */
    bool told_idle;
    size_t servers_open;
};

/* worker.c */
/* Loads a generation beside the one that runs, and opens the backends that it is the first to use. `content`
 * is taken over. NULL: report. */
struct tide_bundle *tide_worker_load(struct hosted *hosted, struct tide_content *content,
                                     struct tide_buf *report);
/* "WORD NAME GENERATION" of a bundle. */
void tide_worker_say(struct hosted *hosted, const char *word, const char *generation);
/* Sends it line by line. */
void tide_worker_report(struct worker *worker, const char *report);
/* Marks the bundles that this one calls, and tells the supervisor. */
void tide_worker_note_upstreams(struct worker *worker, const struct tide_bundle *caller);

/* reload.c: what the supervisor says of another generation. */
void tide_worker_prepare(struct worker *worker, const char *name, const char *generation);
void tide_worker_forget(struct worker *worker, const char *name);
void tide_worker_swap(struct worker *worker, const char *name, const char *generation);
size_t tide_worker_retired_in_flight(const struct hosted *hosted);
/* All generations of it. */
void tide_worker_free_bundles(struct hosted *hosted);

/*
 * drain.c: the end, in steps, so that a request that was accepted still reaches whatever it calls. Leaving,
 * when the settings ask for it: no new messages and timers, and each answer ends its connection, while new
 * ones are still taken. Draining: the same, and the doors (listeners that no bundle of this engine calls)
 * are closed; upstreams serve on. When nothing is in flight the worker says "idle". Finishing, once all
 * workers have said so: the upstreams are closed too. Then everything. What is in flight after the grace is
 * cut off, its messages are handed back.
 */
void tide_worker_leave(struct worker *worker);
void tide_worker_drain(struct worker *worker);
void tide_worker_drain_alone(struct worker *worker);
void tide_worker_finish(struct worker *worker);

#endif
