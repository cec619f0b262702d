/* Another generation of a bundle: loaded beside the one that runs, swapped in, and the old one let go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "bind/bundle.h"
#include "worker/internal.h"

#define MAX_REPORT 65536
#define RETIRE_POLL_MS 50

/* A generation whose requests and messages are still in flight. */
struct retired {
    struct tide_bundle *bundle;
    uint64_t until_ms; /* by uv_now */
    bool ended;        /* its tasks were told to end */
    struct retired *next;
};

static struct hosted *find(struct worker *worker, const char *name)
{
    const struct tide_settings_bundle *bundle = tide_settings_bundle(&worker->settings, name);

    return bundle ? &worker->hosted[bundle - worker->settings.bundles] : NULL;
}

static void forget(struct hosted *hosted)
{
    tide_bundle_free(hosted->next);
    hosted->next = NULL;
}

void tide_worker_prepare(struct worker *worker, const char *name, const char *generation)
{
    struct tide_err err;
    struct tide_content *content = tide_content_map(tide_control_take(&worker->control), &err);
    struct hosted *hosted = find(worker, name);
    struct tide_buf report;

    if (!hosted || worker->draining) {
        tide_content_free(content);
        return;
    }
    tide_buf_init(&report, MAX_REPORT);
    forget(hosted);
    if (content)
        hosted->next = tide_worker_load(hosted, content, &report);
    else
        tide_buf_printf(&report, "%s\n", err.message);
    if (!hosted->next)
        tide_worker_report(worker, report.data ? report.data : "out of memory\n");
    tide_worker_say(hosted, hosted->next ? "agrees" : "refuses", generation);
    if (hosted->next)
        tide_fault("reload.agreed", name);
    tide_buf_release(&report);
}

void tide_worker_forget(struct worker *worker, const char *name)
{
    struct hosted *hosted = find(worker, name);

    if (hosted)
        forget(hosted);
}

/* ---- the old one ---- */

static void log_lingering(const struct worker *worker, const struct tide_bundle *bundle)
{
    tide_log_event(&worker->log, TIDE_LOG_WARN, "an old generation is still busy: what it does is ended",
                   tide_log_str("bundle", tide_bundle_name(bundle)),
                   tide_log_str("generation", tide_bundle_generation(bundle)),
                   tide_log_int("in_flight", (int64_t)tide_bundle_in_flight(bundle)),
                   tide_log_int("drain_timeout_ms", worker->settings.drain_timeout_ms));
}

static void tell_retired(struct hosted *hosted)
{
    char count[16];
    unsigned busy = 0;

    for (const struct retired *one = hosted->retired; one; one = one->next)
        busy += tide_bundle_in_flight(one->bundle) > 0;
    snprintf(count, sizeof count, "%u", busy);
    tide_worker_say(hosted, "retired", count);
}

static void look_at(struct worker *worker, struct hosted *hosted)
{
    struct retired **link = &hosted->retired, *one;

    while ((one = *link)) {
        if (!one->ended && uv_now(&worker->loop) >= one->until_ms) {
            one->ended = true;
            log_lingering(worker, one->bundle);
            tide_bundle_end(one->bundle);
        }
        if (tide_bundle_in_flight(one->bundle) > 0) {
            link = &one->next;
            continue;
        }
        *link = one->next;
        tide_bundle_free(one->bundle);
        free(one);
        tell_retired(hosted);
    }
}

static void on_retire(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    bool left = false;

    for (size_t i = 0; i < worker->hosted_count; i++) {
        look_at(worker, &worker->hosted[i]);
        left = left || worker->hosted[i].retired;
    }
    if (!left)
        uv_timer_stop(timer);
}

static void retire(struct hosted *hosted, struct tide_bundle *bundle, struct retired *retired)
{
    struct worker *worker = hosted->worker;

    tide_bundle_drain(bundle);
    *retired =
        (struct retired){.bundle = bundle,
                         .until_ms = uv_now(&worker->loop) + (uint64_t)worker->settings.drain_timeout_ms,
                         .next = hosted->retired};
    hosted->retired = retired;
    tell_retired(hosted);
    uv_timer_start(&worker->retire, on_retire, RETIRE_POLL_MS, RETIRE_POLL_MS);
}

size_t tide_worker_retired_in_flight(const struct hosted *hosted)
{
    size_t count = 0;

    for (const struct retired *one = hosted->retired; one; one = one->next)
        count += tide_bundle_in_flight(one->bundle);
    return count;
}

void tide_worker_free_bundles(struct hosted *hosted)
{
    struct retired *one;

    while ((one = hosted->retired)) {
        hosted->retired = one->next;
        tide_bundle_free(one->bundle);
        free(one);
    }
    forget(hosted);
    tide_bundle_free(hosted->bundle);
}

/* ---- the swap ---- */

/* The others swap too: a worker that can't is replaced by one that starts with this generation. */
static void fail_to_swap(struct hosted *hosted, const char *reason)
{
    tide_log_event(&hosted->worker->log, TIDE_LOG_ERROR,
                   "the new generation does not start: this worker ends",
                   tide_log_str("bundle", hosted->settings->name), tide_log_str("reason", reason));
    tide_log_flush(&hosted->worker->log);
    _exit(1);
}

void tide_worker_swap(struct worker *worker, const char *name, const char *generation)
{
    struct hosted *hosted = find(worker, name);
    struct retired *retired = calloc(1, sizeof *retired);
    struct tide_bundle *old = hosted ? hosted->bundle : NULL;
    struct tide_http_handler handler;
    struct tide_err err;

    if (!retired || worker->draining || !hosted || !hosted->next ||
        strcmp(tide_bundle_generation(hosted->next), generation) != 0) {
        free(retired);
        return;
    }
    if (!tide_bundle_start(hosted->next, worker->index == 0, &err))
        fail_to_swap(hosted, err.message);
    hosted->bundle = hosted->next;
    hosted->next = NULL;
    if (hosted->server) {
        tide_bundle_http_handler(hosted->bundle, &handler);
        tide_http_server_hand_over(hosted->server, &handler);
    }
    retire(hosted, old, retired);
    tide_worker_note_upstreams(worker, hosted->bundle);
    tide_worker_say(hosted, "bundle", generation);
    on_retire(&worker->retire); /* most are idle */
}
