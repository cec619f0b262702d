#include "supervisor/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/lock.h"
#include "engine/services.h"
#include "engine/watch.h"
#include "settings/table.h"
#include "supervisor/internal.h"

#define MAX_SETTINGS (16 << 20)
#define PORT_WAIT_MS 2000
#define SPARE_DESCRIPTORS 256 /* listeners, databases, calls to other services */
#define KILL_AFTER_MS 2000    /* behind the grace that the workers keep themselves */

/* ---- what is opened before the first worker ---- */

static void split_address(const char *address, struct tide_listener *listener)
{
    const char *colon = strrchr(address, ':');

    snprintf(listener->host, sizeof listener->host, "%.*s", (int)(colon - address), address);
}

/* Workers of an engine that was killed a moment ago may not have let go of their sockets yet: the port is
 * waited for shortly, then its holder is told. */
static bool listen_soon(struct tide_supervisor *supervisor, const char *address, int *fds, unsigned count,
                        int *port, struct tide_err *err)
{
    while (!tide_http_listen(address, fds, count, port, err)) {
        if (strcmp(err->code, TIDE_ERR_CONFLICT) != 0 ||
            tide_clock_monotonic_ms() - supervisor->started_ms > PORT_WAIT_MS)
            return false;
        usleep(20000);
    }
    return true;
}

/* With what to set, when somebody else has the address. */
static bool fail_to_listen(const char *name, struct tide_err *err)
{
    char setting[64], key[64], variable[96];
    struct tide_err reason = *err;

    snprintf(setting, sizeof setting, "listen.%s", name);
    if (strcmp(err->code, TIDE_ERR_CONFLICT) != 0)
        return tide_err_prefix(err, "%s", setting);
    tide_setting_key(name, key, sizeof key);
    tide_setting_variable(setting, variable, sizeof variable);
    return tide_err_set(err, reason.code, reason.retryable,
                        "%s: %s: stop that, or set another address with listen = { %s = ... } or %s", setting,
                        reason.message, key, variable);
}

static bool listen_for(struct tide_supervisor *supervisor, const struct tide_settings_bundle *bundle,
                       struct tide_err *err)
{
    struct tide_listener *listener = &supervisor->listeners[supervisor->listener_count];
    const char *address = tide_settings_address(bundle);

    if (!address)
        return true;
    listener->fds = calloc(supervisor->child_count, sizeof *listener->fds);
    if (!listener->fds)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
    if (!listen_soon(supervisor, address, listener->fds, supervisor->child_count, &listener->port, err)) {
        free(listener->fds);
        return fail_to_listen(bundle->name, err);
    }
    listener->bundle = bundle->name;
    split_address(address, listener);
    supervisor->listener_count++;
    return true;
}

static bool listen_all(struct tide_supervisor *supervisor, struct tide_err *err)
{
    const struct tide_settings *settings = supervisor->settings;

    for (size_t i = 0; i < settings->bundle_count; i++)
        if (!listen_for(supervisor, &settings->bundles[i], err))
            return false;
    if (!settings->admin)
        return true;
    if (listen_soon(supervisor, settings->admin, &supervisor->admin_fd, 1, &supervisor->admin_port, err))
        return true;
    supervisor->admin_fd = -1;
    return fail_to_listen("admin", err);
}

/* The settings as the workers will read them; sealed, so that no worker can change another's. */
static bool export_settings(struct tide_supervisor *supervisor, struct tide_err *err)
{
    struct tide_buf bytes;
    bool ok;

    tide_buf_init(&bytes, MAX_SETTINGS);
    supervisor->settings_fd = memfd_create("tidemill-settings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ok = supervisor->settings_fd >= 0 && tide_settings_export(supervisor->settings, &bytes) &&
         pwrite(supervisor->settings_fd, bytes.data, bytes.len, 0) == (ssize_t)bytes.len &&
         fcntl(supervisor->settings_fd, F_ADD_SEALS,
               F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0;
    if (bytes.data)
        explicit_bzero(bytes.data, bytes.len);
    tide_buf_release(&bytes);
    return ok || tide_err_errno(err, errno, "settings for the workers");
}

static bool prepare_users(const struct tide_supervisor_options *options, struct tide_err *err)
{
    return !options->prepare || options->prepare(options->arg, err);
}

/* The database has come, and its tables are up to date. */
static void prepare_late(void *arg)
{
    struct tide_supervisor *supervisor = arg;
    struct tide_err err;

    if (!prepare_users(supervisor->options, &err))
        tide_log_event(&supervisor->log, TIDE_LOG_ERROR, "what the start makes is missing",
                       tide_log_str("error", err.message));
}

static bool prepare(struct tide_supervisor *supervisor, struct tide_err *err)
{
    const struct tide_supervisor_options *options = supervisor->options;

    return tide_lock_data(supervisor->settings->data, &supervisor->lock_fd, err) &&
           listen_all(supervisor, err) &&
           tide_migration_begin(&supervisor->migration, &supervisor->loop, supervisor->settings,
                                &supervisor->log, prepare_late, supervisor, err) &&
           (supervisor->migration || prepare_users(options, err)) && export_settings(supervisor, err) &&
           (supervisor->reload = tide_reload_new(supervisor, err)) &&
           tide_supervisor_watch(supervisor, err) &&
           (!supervisor->settings->admin || tide_admin_start(supervisor, err));
}

/* ---- the end ---- */

static void close_socket(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* The doors first: what is in flight behind them may still call the upstreams. */
static void close_sockets(struct tide_supervisor *supervisor, bool upstreams_too)
{
    for (size_t i = 0; i < supervisor->listener_count; i++) {
        struct tide_listener *listener = &supervisor->listeners[i];

        for (unsigned k = 0; k < supervisor->child_count; k++)
            if (upstreams_too || !listener->upstream)
                close_socket(&listener->fds[k]);
    }
}

/* Nobody will take what waits in a dead worker's sockets: without them the others get it. */
static void close_sockets_of(struct tide_supervisor *supervisor, const struct tide_child *child)
{
    for (size_t i = 0; i < supervisor->listener_count; i++)
        close_socket(&supervisor->listeners[i].fds[child->index]);
}

static void admin_closed(void *arg)
{
    struct tide_supervisor *supervisor = arg;

    close(supervisor->admin_fd);
    supervisor->admin_fd = -1;
}

static bool any_running(const struct tide_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].running || supervisor->children[i].attached)
            return true;
    return false;
}

static void finish_if_empty(struct tide_supervisor *supervisor)
{
    if (any_running(supervisor))
        return;
    for (size_t i = 0; i < sizeof supervisor->signals / sizeof supervisor->signals[0]; i++)
        if (!uv_is_closing((uv_handle_t *)&supervisor->signals[i]))
            uv_close((uv_handle_t *)&supervisor->signals[i], NULL);
    if (!uv_is_closing((uv_handle_t *)&supervisor->grace)) {
        uv_close((uv_handle_t *)&supervisor->grace, NULL);
        uv_close((uv_handle_t *)&supervisor->beat, NULL);
    }
    tide_watch_free(supervisor->watch);
    supervisor->watch = NULL;
    if (supervisor->admin)
        tide_http_server_close(supervisor->admin, admin_closed, supervisor);
    supervisor->admin = NULL;
}

static void on_beat(uv_timer_t *timer)
{
    struct tide_supervisor *supervisor = timer->data;

    for (unsigned i = 0; i < supervisor->child_count; i++)
        tide_child_beat(&supervisor->children[i]);
}

static void kill_all(struct tide_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->child_count; i++)
        tide_child_kill(&supervisor->children[i]);
}

static void on_grace(uv_timer_t *timer)
{
    struct tide_supervisor *supervisor = timer->data;

    tide_log_event(&supervisor->log, TIDE_LOG_WARN, "workers did not stop within the grace time: killed",
                   tide_log_int("grace_ms", supervisor->settings->grace_ms));
    kill_all(supervisor);
}

void tide_supervisor_child_idle(struct tide_supervisor *supervisor)
{
    if (supervisor->state != TIDE_SUPERVISOR_STOPPING || supervisor->finishing)
        return;
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].running && !supervisor->children[i].idle)
            return;
    supervisor->finishing = true;
    close_sockets(supervisor, true);
    for (unsigned i = 0; i < supervisor->child_count; i++)
        tide_child_finish(&supervisor->children[i]);
}

static void drain(struct tide_supervisor *supervisor)
{
    uv_timer_start(&supervisor->grace, on_grace, (uint64_t)(supervisor->settings->grace_ms + KILL_AFTER_MS),
                   0);
    close_sockets(supervisor,
                  false); /* before the workers' own, which take what waits and close as the last */
    for (unsigned i = 0; i < supervisor->child_count; i++) {
        tide_child_drain(&supervisor->children[i]);
        if (!supervisor->children[i].running)
            close_sockets_of(supervisor, &supervisor->children[i]);
    }
    tide_supervisor_child_idle(supervisor); /* perhaps none runs */
    finish_if_empty(supervisor);
}

static void on_delay(uv_timer_t *timer)
{
    drain(timer->data);
}

/* Not ready any more, but the doors are open: whoever sends connections here is still to notice. */
static void leave(struct tide_supervisor *supervisor)
{
    uv_timer_start(&supervisor->grace, on_delay, (uint64_t)supervisor->settings->drain_delay_ms, 0);
    for (unsigned i = 0; i < supervisor->child_count; i++) {
        tide_child_leave(&supervisor->children[i]);
        if (!supervisor->children[i].running)
            close_sockets_of(supervisor, &supervisor->children[i]);
    }
    tide_supervisor_child_idle(supervisor); /* perhaps none runs */
    finish_if_empty(supervisor);
}

void tide_supervisor_stop(struct tide_supervisor *supervisor, int exit_code)
{
    bool serves = supervisor->state == TIDE_SUPERVISOR_RUNNING;

    if (supervisor->state == TIDE_SUPERVISOR_STOPPING)
        return;
    supervisor->state = TIDE_SUPERVISOR_STOPPING;
    supervisor->exit_code = exit_code;
    tide_reload_stop(supervisor->reload);
    if (supervisor->admin)
        tide_http_server_drain(supervisor->admin);
    if (serves && supervisor->settings->drain_delay_ms > 0)
        leave(supervisor);
    else
        drain(supervisor);
}

static bool is_child(const struct tide_supervisor *supervisor, pid_t pid)
{
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].running && supervisor->children[i].pid == pid)
            return true;
    return tide_reload_owns(supervisor->reload, pid);
}

/* As the first process of a container it inherits the media children of a worker that died, and must bury
 * them. */
static void reap_orphans(const struct tide_supervisor *supervisor)
{
    siginfo_t info;

    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            return;
        if (is_child(supervisor, info.si_pid) || waitpid(info.si_pid, NULL, WNOHANG) <= 0)
            return; /* libuv's; what is behind it comes with the next one */
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct tide_supervisor *supervisor = handle->data;

    if (number == SIGCHLD)
        reap_orphans(supervisor);
    if (number == SIGHUP && supervisor->settings->reload_signal == TIDE_SETTINGS_ON)
        tide_supervisor_reload_all(supervisor);
    if (number == SIGHUP || number == SIGCHLD)
        return;
    if (supervisor->state == TIDE_SUPERVISOR_STOPPING) {
        tide_log_event(&supervisor->log, TIDE_LOG_WARN, "stopping at once",
                       tide_log_str("signal", strsignal(number)));
        kill_all(supervisor);
        return;
    }
    tide_log_event(&supervisor->log, TIDE_LOG_INFO, "stopping", tide_log_str("signal", strsignal(number)),
                   tide_log_int("delay_ms", supervisor->settings->drain_delay_ms),
                   tide_log_int("grace_ms", supervisor->settings->grace_ms));
    tide_supervisor_stop(supervisor, 0);
}

/* ---- what the children tell ---- */

static void tell_ready(struct tide_supervisor *supervisor)
{
    size_t count = supervisor->listener_count + (supervisor->settings->admin ? 1 : 0);
    struct tide_supervisor_listener *list = calloc(count + 1, sizeof *list);
    struct tide_listener admin = {0};

    if (!list || !supervisor->options->ready) {
        free(list);
        return;
    }
    for (size_t i = 0; i < supervisor->listener_count; i++)
        list[i] = (struct tide_supervisor_listener){.bundle = supervisor->listeners[i].bundle,
                                                    .host = supervisor->listeners[i].host,
                                                    .port = supervisor->listeners[i].port};
    if (supervisor->settings->admin) {
        split_address(supervisor->settings->admin, &admin);
        list[count - 1] = (struct tide_supervisor_listener){
            .bundle = "admin", .host = admin.host, .port = supervisor->admin_port};
    }
    supervisor->options->ready(supervisor->options->arg, list, count);
    free(list);
}

static void log_listeners(struct tide_supervisor *supervisor)
{
    struct tide_listener admin;

    for (size_t i = 0; i < supervisor->listener_count; i++)
        tide_log_event(&supervisor->log, TIDE_LOG_INFO, "listening",
                       tide_log_str("bundle", supervisor->listeners[i].bundle),
                       tide_log_str("host", supervisor->listeners[i].host),
                       tide_log_int("port", supervisor->listeners[i].port));
    if (supervisor->settings->admin) {
        split_address(supervisor->settings->admin, &admin);
        tide_log_event(&supervisor->log, TIDE_LOG_INFO, "listening", tide_log_str("bundle", "admin"),
                       tide_log_str("host", admin.host), tide_log_int("port", supervisor->admin_port));
    }
}

void tide_supervisor_child_ready(struct tide_supervisor *supervisor)
{
    if (supervisor->state != TIDE_SUPERVISOR_STARTING)
        return;
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].state != TIDE_WORKER_READY)
            return;
    supervisor->state = TIDE_SUPERVISOR_RUNNING;
    log_listeners(supervisor);
    tide_log_event(&supervisor->log, TIDE_LOG_INFO, "ready", tide_log_int("workers", supervisor->child_count),
                   tide_log_int("bundles", (int64_t)supervisor->settings->bundle_count),
                   tide_log_int("pid", getpid()),
                   tide_log_int("ms", tide_clock_monotonic_ms() - supervisor->started_ms));
    tell_ready(supervisor);
}

void tide_supervisor_child_gone(struct tide_supervisor *supervisor, struct tide_child *child)
{
    if (supervisor->state == TIDE_SUPERVISOR_STOPPING) {
        close_sockets_of(supervisor, child);
        tide_supervisor_child_idle(supervisor);
        finish_if_empty(supervisor);
    } else if (supervisor->state == TIDE_SUPERVISOR_STARTING && child->failed) {
        /* All workers would say the same: once is enough. */
        fprintf(stderr, "%s", child->report.data ? child->report.data : "a worker can't start\n");
        tide_supervisor_stop(supervisor, 1);
    } else if (supervisor->state == TIDE_SUPERVISOR_STARTING && child->restarts >= 3) {
        fprintf(stderr, "tidemill: worker %u died at its start four times; see the log\n", child->index);
        tide_supervisor_stop(supervisor, 1);
    }
}

/* ---- life ---- */

/* A shell's soft limit is for programs that use select; a connection needs a descriptor, or two when its
 * handler opens a file. The workers inherit it. */
static void raise_descriptors(const struct tide_supervisor *supervisor)
{
    rlim_t wanted = 2 * (rlim_t)supervisor->settings->connections + SPARE_DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        tide_log_event(&supervisor->log, TIDE_LOG_WARN, "few descriptors for limits.connections",
                       tide_log_int("allowed", (int64_t)limit.rlim_cur),
                       tide_log_int("wanted", (int64_t)wanted));
}

static bool init(struct tide_supervisor *supervisor, struct tide_err *err)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    const struct tide_settings *settings = supervisor->settings;

    uv_loop_init(&supervisor->loop);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors(supervisor);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uv_signal_init(&supervisor->loop, &supervisor->signals[i]);
        supervisor->signals[i].data = supervisor;
        if (numbers[i] != SIGCHLD || getpid() == 1)
            uv_signal_start(&supervisor->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(&supervisor->loop, &supervisor->grace);
    uv_timer_init(&supervisor->loop, &supervisor->beat);
    supervisor->grace.data = supervisor->beat.data = supervisor;
    uv_timer_start(&supervisor->beat, on_beat, TIDE_CONTROL_BEAT_MS, TIDE_CONTROL_BEAT_MS);
    supervisor->listeners = calloc(settings->bundle_count + 1, sizeof *supervisor->listeners);
    supervisor->children = calloc((size_t)settings->workers, sizeof *supervisor->children);
    supervisor->metrics = tide_metrics_map(-1, err);
    if (!supervisor->listeners || !supervisor->children || !supervisor->metrics)
        return supervisor->metrics ? tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory") : false;
    supervisor->child_count = (unsigned)settings->workers;
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (!tide_child_init(supervisor, &supervisor->children[i], i, err)) {
            supervisor->child_count = i + 1;
            return false;
        }
    return true;
}

static bool spawn_all(struct tide_supervisor *supervisor, struct tide_err *err)
{
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (!tide_child_spawn(&supervisor->children[i], err))
            return false;
    return true;
}

static void release(struct tide_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->child_count; i++)
        tide_child_release(&supervisor->children[i]);
    tide_reload_free(supervisor->reload);
    tide_migration_stop(supervisor->migration);
    tide_services_close_loop(&supervisor->loop, &supervisor->log);
    tide_metrics_unmap(supervisor->metrics);
    for (size_t i = 0; i < supervisor->listener_count; i++)
        free(supervisor->listeners[i].fds);
    free(supervisor->listeners);
    free(supervisor->children);
    if (supervisor->admin_fd >= 0)
        close(supervisor->admin_fd);
    if (supervisor->settings_fd >= 0)
        close(supervisor->settings_fd);
    if (supervisor->lock_fd >= 0)
        close(supervisor->lock_fd);
}

/* Lua's collector frees hundreds of small blocks at a time: glibc keeps 7 of a size at hand, and works for
 * each of the others. For the workers; what the user has set is left alone. */
static void tune_allocator(void)
{
    setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=512", 0);
}

int tide_supervisor_run(const struct tide_settings *settings, const struct tide_supervisor_options *options)
{
    struct tide_supervisor supervisor = {.settings = settings,
                                         .options = options,
                                         .started_ms = tide_clock_monotonic_ms(),
                                         .lock_fd = -1,
                                         .settings_fd = -1,
                                         .admin_fd = -1};
    struct tide_err err;

    tide_settings_log(settings, &supervisor.log, "supervisor");
    tune_allocator();
    if (!init(&supervisor, &err) || !prepare(&supervisor, &err) || !spawn_all(&supervisor, &err)) {
        fprintf(stderr, "tidemill: %s\n", err.message);
        tide_supervisor_stop(&supervisor, 1);
        kill_all(&supervisor);
    }
    uv_run(&supervisor.loop, UV_RUN_DEFAULT);
    assert(!any_running(&supervisor));
    release(&supervisor);
    if (supervisor.exit_code == 0)
        tide_log_write(&supervisor.log, TIDE_LOG_INFO, "stopped", NULL, 0);
    return supervisor.exit_code;
}
