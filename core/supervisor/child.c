/* One worker process as its parent sees it: started, heard, missed and replaced. */
#include "supervisor/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 10000
#define STEADY_MS 30000 /* a worker that lived this long starts over with the backoff */
#define MAX_REPORT 65536
#define SILENT_BEATS 5 /* missed: it is not ready */
#define LOST_BEATS 20  /* missed: nothing but a kill helps */
#define MAX_BUNDLES 64

bool tide_child_init(struct tide_supervisor *supervisor, struct tide_child *child, unsigned index,
                     struct tide_err *err)
{
    *child = (struct tide_child){
        .supervisor = supervisor, .index = index, .state = TIDE_WORKER_DEAD, .slab_fd = -1};
    tide_buf_init(&child->report, MAX_REPORT);
    uv_timer_init(&supervisor->loop, &child->respawn);
    child->respawn.data = child;
    child->generations = calloc(supervisor->settings->bundle_count + 1, sizeof *child->generations);
    child->asked = calloc(supervisor->settings->bundle_count + 1, sizeof *child->asked);
    child->agreed = calloc(supervisor->settings->bundle_count + 1, sizeof *child->agreed);
    child->retired = calloc(supervisor->settings->bundle_count + 1, sizeof *child->retired);
    child->slab_fd = memfd_create("tidemill-metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (child->slab_fd < 0)
        return tide_err_errno(err, errno, "memfd_create");
    child->slab = tide_metrics_map(child->slab_fd, err);
    return (child->slab && child->generations && child->asked && child->agreed && child->retired) ||
           tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
}

void tide_child_release(struct tide_child *child)
{
    uv_close((uv_handle_t *)&child->respawn, NULL);
    tide_metrics_unmap(child->slab);
    if (child->slab_fd >= 0)
        close(child->slab_fd);
    tide_buf_release(&child->report);
    free(child->generations);
    free(child->asked);
    free(child->agreed);
    free(child->retired);
}

/* ---- what it says ---- */

static void note_upstream(struct tide_supervisor *supervisor, const char *bundle)
{
    for (size_t i = 0; i < supervisor->listener_count; i++)
        if (strcmp(supervisor->listeners[i].bundle, bundle) == 0)
            supervisor->listeners[i].upstream = true;
}

/* "sql" or "sql and why" */
static void note_backend(struct tide_child *child, const char *text)
{
    size_t len = strcspn(text, " ");

    for (int i = 0; i < TIDE_BACKENDS; i++)
        if (strlen(tide_backend_names[i]) == len && strncmp(tide_backend_names[i], text, len) == 0)
            snprintf(child->problems[i], sizeof child->problems[i], "%s", text[len] ? text + len + 1 : "");
}

static void become_idle(struct tide_child *child)
{
    child->idle = true;
    tide_supervisor_child_idle(child->supervisor);
}

static void become_ready(struct tide_child *child)
{
    if (child->state != TIDE_WORKER_STARTING)
        return;
    child->state = TIDE_WORKER_READY;
    child->broken = false;
    tide_log_event(&child->supervisor->log, TIDE_LOG_DEBUG, "worker ready",
                   tide_log_int("worker", child->index), tide_log_int("pid", child->pid),
                   tide_log_int("ms", tide_clock_monotonic_ms() - child->started_ms));
    tide_supervisor_child_ready(child->supervisor);
    tide_reload_child_ready(child->supervisor->reload, child);
}

static void on_line(void *arg, const char *line)
{
    struct tide_child *child = arg;

    child->missed = 0;
    if (strncmp(line, "| ", 2) == 0)
        tide_buf_printf(&child->report, "%s\n", line + 2);
    else if (strncmp(line, "upstream ", 9) == 0)
        note_upstream(child->supervisor, line + 9);
    else if (strcmp(line, "failed") == 0)
        child->failed = true;
    else if (strcmp(line, "draining") == 0)
        child->state = TIDE_WORKER_DRAINING;
    else if (strncmp(line, "missing ", 8) == 0 || strncmp(line, "answers ", 8) == 0)
        note_backend(child, line + 8);
    else if (strcmp(line, "idle") == 0)
        become_idle(child);
    else if (strcmp(line, "ready") == 0)
        become_ready(child);
    else
        tide_reload_hear(child->supervisor->reload, child, line);
}

/* ---- how it ends ---- */

static void on_respawn(uv_timer_t *timer)
{
    struct tide_child *child = timer->data;
    struct tide_err err;

    if (tide_child_spawn(child, &err))
        return;
    tide_log_event(&child->supervisor->log, TIDE_LOG_ERROR, "worker can't be started",
                   tide_log_int("worker", child->index), tide_log_str("reason", err.message));
    uv_timer_start(&child->respawn, on_respawn, BACKOFF_MAX_MS, 0);
}

static void replace(struct tide_child *child)
{
    struct tide_supervisor *supervisor = child->supervisor;
    char label[32];

    if (tide_clock_monotonic_ms() - child->started_ms >= STEADY_MS)
        child->backoff_ms = 0;
    child->backoff_ms = child->backoff_ms ? child->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (child->backoff_ms > BACKOFF_MAX_MS)
        child->backoff_ms = BACKOFF_MAX_MS;
    child->restarts++;
    snprintf(label, sizeof label, "worker=\"%u\"", child->index);
    tide_metric_add(tide_metrics_get(supervisor->metrics, TIDE_METRIC_COUNTER,
                                     "tidemill_worker_restarts_total", label,
                                     "Workers started again after they died."),
                    1);
    uv_timer_start(&child->respawn, on_respawn, (uint64_t)child->backoff_ms, 0);
}

/* Its process is reaped and all it said is read. */
static void on_gone(struct tide_child *child)
{
    struct tide_supervisor *supervisor = child->supervisor;

    child->broken =
        child->state == TIDE_WORKER_STARTING && (child->signal != SIGKILL || child->lost); /* by its load */
    child->state = TIDE_WORKER_DEAD;
    memset(child->retired, 0, supervisor->settings->bundle_count * sizeof *child->retired);
    if (child->failed && supervisor->state == TIDE_SUPERVISOR_RUNNING)
        tide_log_event(&supervisor->log, TIDE_LOG_ERROR, "worker can't start",
                       tide_log_int("worker", child->index),
                       tide_log_str("report", child->report.data ? child->report.data : ""));
    tide_supervisor_child_gone(supervisor, child);
    tide_reload_child_gone(supervisor->reload, child);
    if (supervisor->state != TIDE_SUPERVISOR_STOPPING)
        replace(child);
}

static void on_process_closed(uv_handle_t *handle)
{
    struct tide_child *child = handle->data;

    child->running = false;
    if (!child->attached)
        on_gone(child);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    struct tide_child *child = process->data;
    bool clean = status == 0 && signal == 0;
    bool expected = (child->supervisor->state == TIDE_SUPERVISOR_STOPPING && clean) || child->failed;

    child->status = (int)status;
    child->signal = signal;
    tide_log_event(&child->supervisor->log, expected ? TIDE_LOG_DEBUG : TIDE_LOG_WARN,
                   signal ? "worker was killed" : "worker exited", tide_log_int("worker", child->index),
                   tide_log_int("pid", child->pid), tide_log_int("status", status),
                   tide_log_str("signal", signal ? strsignal(signal) : NULL));
    uv_close((uv_handle_t *)process, on_process_closed);
}

static void on_control_end(void *arg)
{
    struct tide_child *child = arg;

    child->attached = false;
    if (!child->running)
        on_gone(child);
}

/* ---- how it starts ---- */

static int run_process(struct tide_child *child, int control_fd)
{
    struct tide_supervisor *supervisor = child->supervisor;
    uv_stdio_container_t stdio[TIDE_WORKER_SOCKETS + 2 * MAX_BUNDLES];
    char index[16];
    char *args[] = {"tidemill", "worker", index, NULL};
    uv_process_options_t options = {.file = "/proc/self/exe",
                                    .args = args,
                                    .exit_cb = on_exit_status,
                                    .stdio = stdio,
                                    .stdio_count = TIDE_WORKER_SOCKETS + (int)supervisor->listener_count +
                                                   (int)supervisor->settings->bundle_count};

    snprintf(index, sizeof index, "%u", child->index);
    stdio[0] = (uv_stdio_container_t){.flags = UV_IGNORE};
    stdio[1] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = STDOUT_FILENO};
    stdio[2] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO};
    stdio[TIDE_WORKER_CONTROL] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = control_fd};
    stdio[TIDE_WORKER_SETTINGS] =
        (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = supervisor->settings_fd};
    stdio[TIDE_WORKER_METRICS] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = child->slab_fd};
    for (size_t i = 0; i < supervisor->listener_count; i++)
        stdio[(size_t)TIDE_WORKER_SOCKETS + i] = (uv_stdio_container_t){
            .flags = UV_INHERIT_FD, .data.fd = supervisor->listeners[i].fds[child->index]};
    for (size_t i = 0; i < supervisor->settings->bundle_count; i++)
        stdio[(size_t)TIDE_WORKER_SOCKETS + supervisor->listener_count + i] = (uv_stdio_container_t){
            .flags = UV_INHERIT_FD,
            .data.fd = tide_content_fd(tide_reload_bundle(supervisor->reload, i)->current)};
    child->process.data = child;
    return uv_spawn(&supervisor->loop, &child->process, &options);
}

bool tide_child_spawn(struct tide_child *child, struct tide_err *err)
{
    struct tide_supervisor *supervisor = child->supervisor;
    int pair[2], rc;

    if (supervisor->settings->bundle_count > MAX_BUNDLES)
        return tide_err_set(err, TIDE_ERR_LIMIT, false, "more than %d bundles", MAX_BUNDLES);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return tide_err_errno(err, errno, "socketpair");
    tide_buf_reset(&child->report);
    child->failed = child->idle = child->lost = false;
    child->missed = 0;
    memset(child->problems, 0, sizeof child->problems);
    memset(child->generations, 0, supervisor->settings->bundle_count * sizeof *child->generations);
    child->started_ms = tide_clock_monotonic_ms();
    rc = run_process(child, pair[1]);
    close(pair[1]);
    if (rc) {
        close(pair[0]);
        uv_close((uv_handle_t *)&child->process, NULL);
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "no worker process: %s", uv_strerror(rc));
    }
    child->running = true;
    child->pid = child->process.pid;
    child->state = TIDE_WORKER_STARTING;
    child->attached =
        tide_control_init(&child->control, &supervisor->loop, pair[0], on_line, on_control_end, child, err);
    if (!child->attached)
        tide_child_kill(child);
    return true;
}

void tide_child_leave(struct tide_child *child)
{
    uv_timer_stop(&child->respawn);
    if (child->attached)
        tide_control_send(&child->control, "leave");
}

void tide_child_drain(struct tide_child *child)
{
    uv_timer_stop(&child->respawn);
    if (child->attached)
        tide_control_send(&child->control, "drain");
}

void tide_child_finish(struct tide_child *child)
{
    if (child->attached)
        tide_control_send(&child->control, "finish");
}

bool tide_child_is_silent(const struct tide_child *child)
{
    return child->running && child->missed >= SILENT_BEATS;
}

/* Beats, not time: those of a supervisor that was stopped itself are nobody's fault. */
void tide_child_beat(struct tide_child *child)
{
    if (!child->running || ++child->missed != LOST_BEATS)
        return;
    tide_log_event(&child->supervisor->log, TIDE_LOG_ERROR, "worker does not answer: killed",
                   tide_log_int("worker", child->index), tide_log_int("pid", child->pid),
                   tide_log_int("ms", LOST_BEATS * TIDE_CONTROL_BEAT_MS));
    child->lost = true;
    tide_child_kill(child);
}

void tide_child_kill(struct tide_child *child)
{
    if (child->running)
        uv_process_kill(&child->process, SIGKILL);
}
