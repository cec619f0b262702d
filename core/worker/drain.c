#include "worker/internal.h"

#include <unistd.h>

#define POLL_MS 10

/* ---- what is in flight ---- */

static size_t count_requests(const struct worker *worker)
{
    size_t active = 0;

    for (size_t i = 0; i < worker->hosted_count; i++)
        if (worker->hosted[i].server)
            active += tide_http_server_active(worker->hosted[i].server);
    return active;
}

/* Its last connections count too: their requests may be on the way. */
static bool is_idle(const struct hosted *hosted)
{
    bool closed = hosted->listen_fd < 0;

    return tide_bundle_in_flight(hosted->bundle) + tide_worker_retired_in_flight(hosted) == 0 &&
           !(closed && hosted->server && tide_http_server_connections(hosted->server) > 0);
}

static bool all_idle(const struct worker *worker)
{
    for (size_t i = 0; i < worker->hosted_count; i++)
        if (!is_idle(&worker->hosted[i]))
            return false;
    return true;
}

/* ---- closing ---- */

static void close_stores(struct worker *worker)
{
    for (size_t i = 0; i < worker->hosted_count; i++)
        tide_worker_free_bundles(&worker->hosted[i]);
    tide_health_stop(worker->health);
    tide_services_close(&worker->services);
    uv_close((uv_handle_t *)&worker->term, NULL);
    uv_close((uv_handle_t *)&worker->interrupt, NULL);
    uv_close((uv_handle_t *)&worker->grace, NULL);
    uv_close((uv_handle_t *)&worker->poll, NULL);
    uv_close((uv_handle_t *)&worker->beat, NULL);
    uv_close((uv_handle_t *)&worker->retire, NULL);
    uv_close((uv_handle_t *)&worker->flush, NULL);
    tide_control_close(&worker->control);
}

static void on_server_closed(void *arg)
{
    struct hosted *hosted = arg;

    hosted->server = NULL;
    if (--hosted->worker->servers_open == 0)
        close_stores(hosted->worker);
}

static void close_everything(struct worker *worker)
{
    if (worker->closing)
        return;
    worker->closing = true;
    uv_timer_stop(&worker->grace);
    uv_timer_stop(&worker->poll);
    worker->servers_open = 1;
    for (size_t i = 0; i < worker->hosted_count; i++) {
        if (!worker->hosted[i].server)
            continue;
        worker->servers_open++;
        tide_http_server_close(worker->hosted[i].server, on_server_closed, &worker->hosted[i]);
    }
    if (--worker->servers_open == 0)
        close_stores(worker);
}

/* ---- draining ---- */

static void stop_listening(struct hosted *hosted)
{
    if (hosted->server)
        tide_http_server_quiesce(hosted->server);
    if (hosted->listen_fd >= 0)
        close(hosted->listen_fd); /* so that another engine can have the port at once */
    hosted->listen_fd = -1;
}

static void on_poll(uv_timer_t *timer)
{
    struct worker *worker = timer->data;

    if (!all_idle(worker))
        return;
    if (worker->finishing)
        close_everything(worker);
    else if (worker->alone)
        tide_worker_finish(worker);
    else if (!worker->told_idle)
        tide_control_send(&worker->control, "idle");
    worker->told_idle = true;
}

static void on_grace(uv_timer_t *timer)
{
    struct worker *worker = timer->data;

    tide_log_event(&worker->log, TIDE_LOG_WARN,
                   "grace time is over: what is in flight is handed back or cut off",
                   tide_log_int("requests", (int64_t)count_requests(worker)),
                   tide_log_int("grace_ms", worker->settings.grace_ms));
    close_everything(worker);
}

void tide_worker_leave(struct worker *worker)
{
    for (size_t i = 0; i < worker->hosted_count; i++) {
        tide_bundle_drain(worker->hosted[i].bundle);
        if (worker->hosted[i].server)
            tide_http_server_drain(worker->hosted[i].server);
    }
}

void tide_worker_drain(struct worker *worker)
{
    if (worker->draining)
        return;
    worker->draining = true;
    tide_control_send(&worker->control, "draining");
    uv_timer_start(&worker->grace, on_grace, (uint64_t)worker->settings.grace_ms, 0);
    uv_timer_start(&worker->poll, on_poll, POLL_MS, POLL_MS);
    tide_worker_leave(worker);
    for (size_t i = 0; i < worker->hosted_count; i++)
        if (!worker->hosted[i].upstream)
            stop_listening(&worker->hosted[i]);
}

void tide_worker_drain_alone(struct worker *worker)
{
    worker->alone = true;
    tide_worker_drain(worker);
}

void tide_worker_finish(struct worker *worker)
{
    worker->finishing = true;
    for (size_t i = 0; i < worker->hosted_count; i++)
        stop_listening(&worker->hosted[i]);
}
