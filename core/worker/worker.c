#include "worker/worker.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/metrics.h"
#include "engine/control.h"
#include "engine/services.h"
#include "http/url.h"
#include "settings/table.h"
#include "worker/internal.h"

#define MAX_REPORT 65536

/* ---- what it is told ---- */

static void on_line(void *arg, const char *line)
{
    struct worker *worker = arg;
    char word[16], name[64], generation[TIDE_GENERATION_LEN];
    int words = sscanf(line, "%15s %63s %12s", word, name, generation);

    if (words == 3 && strcmp(word, "prepare") == 0) {
        tide_worker_prepare(worker, name, generation);
    } else if (words == 3 && strcmp(word, "swap") == 0) {
        tide_worker_swap(worker, name, generation);
    } else if (words == 2 && strcmp(word, "forget") == 0) {
        tide_worker_forget(worker, name);
    } else if (strcmp(line, "leave") == 0) {
        tide_worker_leave(worker);
    } else if (strcmp(line, "drain") == 0) {
        worker->alone = false;
        tide_worker_drain(worker);
    } else if (strcmp(line, "finish") == 0) {
        tide_worker_finish(worker);
    }
}

static void on_supervisor_gone(void *arg)
{
    struct worker *worker = arg;

    if (!worker->draining)
        tide_log_write(&worker->log, TIDE_LOG_WARN, "the supervisor is gone: draining", NULL, 0);
    tide_worker_drain_alone(worker);
}

/* From somebody else than the supervisor. */
static void on_term(uv_signal_t *handle, int number)
{
    struct worker *worker = handle->data;

    (void)number;
    if (!worker->draining)
        tide_worker_drain_alone(worker);
}

/* Ctrl-C goes to every process of the terminal: the supervisor's to handle. */
static void on_interrupt(uv_signal_t *handle, int number)
{
    (void)handle;
    (void)number;
}

void tide_worker_say(struct hosted *hosted, const char *word, const char *generation)
{
    char line[128];

    snprintf(line, sizeof line, "%s %s %s", word, hosted->settings->name, generation);
    tide_control_send(&hosted->worker->control, line);
}

/* ---- the start ---- */

void tide_worker_report(struct worker *worker, const char *report)
{
    char line[4096];

    while (*report) {
        size_t len = strcspn(report, "\n");
        snprintf(line, sizeof line, "| %.*s", (int)len, report);
        tide_control_send(&worker->control, line);
        report += len + (report[len] == '\n');
    }
}

static void inherit(struct worker *worker)
{
    int fd = TIDE_WORKER_SOCKETS;

    for (size_t i = 0; i < worker->hosted_count; i++) {
        struct hosted *hosted = &worker->hosted[i];
        hosted->worker = worker;
        hosted->settings = &worker->settings.bundles[i];
        hosted->listen_fd = tide_settings_address(hosted->settings) ? fd++ : -1;
        if (hosted->listen_fd >= 0)
            fcntl(hosted->listen_fd, F_SETFD, FD_CLOEXEC);
    }
    for (size_t i = 0; i < worker->hosted_count; i++)
        fcntl(worker->hosted[i].content_fd = fd++, F_SETFD, FD_CLOEXEC);
}

static void on_flush(uv_prepare_t *handle)
{
    const struct worker *worker = handle->data;

    tide_log_flush(&worker->log);
}

/* Lines are gathered for one turn of the loop. Of the handles that libuv calls before it waits, the first one
 * is called last: servers add to what they write there. */
static bool open_log(struct worker *worker)
{
    char name[24];

    snprintf(name, sizeof name, "worker-%u", worker->index);
    tide_settings_log(&worker->settings, &worker->log, name);
    uv_prepare_init(&worker->loop, &worker->flush);
    worker->flush.data = worker;
    uv_prepare_start(&worker->flush, on_flush);
    uv_unref((uv_handle_t *)&worker->flush);
    return tide_log_batch_new(&worker->log);
}

static bool init(struct worker *worker, struct tide_err *err)
{
    uv_loop_init(&worker->loop);
    if (!open_log(worker))
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
    worker->hosted_count = worker->settings.bundle_count;
    worker->hosted = calloc(worker->hosted_count + 1, sizeof *worker->hosted);
    if (!worker->hosted)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
    inherit(worker);
    fcntl(TIDE_WORKER_CONTROL, F_SETFD, FD_CLOEXEC);
    worker->metrics = tide_metrics_map(TIDE_WORKER_METRICS, err);
    close(TIDE_WORKER_METRICS);
    if (!worker->metrics || !tide_control_init(&worker->control, &worker->loop, TIDE_WORKER_CONTROL, on_line,
                                               on_supervisor_gone, worker, err))
        return false;
    tide_metrics_take_over(worker->metrics);
    return true;
}

static void on_beat(uv_timer_t *timer)
{
    struct worker *worker = timer->data;

    tide_control_send(&worker->control, "alive");
}

static void watch(struct worker *worker)
{
    uv_signal_init(&worker->loop, &worker->term);
    uv_signal_init(&worker->loop, &worker->interrupt);
    uv_timer_init(&worker->loop, &worker->grace);
    uv_timer_init(&worker->loop, &worker->poll);
    uv_timer_init(&worker->loop, &worker->beat);
    uv_timer_init(&worker->loop, &worker->retire);
    uv_timer_start(&worker->beat, on_beat, TIDE_CONTROL_BEAT_MS, TIDE_CONTROL_BEAT_MS);
    worker->term.data = worker->interrupt.data = worker->grace.data = worker->poll.data = worker->beat.data =
        worker->retire.data = worker;
    uv_signal_start(&worker->term, on_term, SIGTERM);
    uv_signal_start(&worker->interrupt, on_interrupt, SIGINT);
}

struct tide_bundle *tide_worker_load(struct hosted *hosted, struct tide_content *content,
                                     struct tide_buf *report)
{
    struct worker *worker = hosted->worker;
    struct tide_findings findings;
    struct tide_bundle *bundle;
    char message[256];
    struct tide_err err;

    if (!tide_services_add(&worker->services, &worker->settings, tide_services_used(content), &err)) {
        tide_buf_printf(report, "%s\n", err.message);
        tide_content_free(content);
        return NULL;
    }
    tide_findings_init(&findings);
    bundle = tide_services_load(&worker->services, &worker->settings, hosted->settings, content, &findings);
    tide_findings_report(&findings, report);
    if (!bundle || !tide_bundle_has_routes(bundle) || hosted->settings->listen)
        return bundle;
    tide_settings_no_address(hosted->settings, message, sizeof message);
    tide_buf_printf(report, "%s: %s\n", worker->settings.path ? worker->settings.path : "settings", message);
    tide_bundle_free(bundle);
    return NULL;
}

static bool load_first(struct hosted *hosted, struct tide_buf *report)
{
    struct tide_err err;
    struct tide_content *content = tide_content_map(hosted->content_fd, &err);

    if (content)
        hosted->bundle = tide_worker_load(hosted, content, report);
    else
        tide_buf_printf(report, "%s\n", err.message);
    return hosted->bundle != NULL;
}

static int port_of(int listen_fd)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;

    if (listen_fd < 0 || getsockname(listen_fd, (struct sockaddr *)&bound, &len) != 0)
        return -1;
    return ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                             : ((struct sockaddr_in *)&bound)->sin_port);
}

static void note_upstream(struct hosted *hosted)
{
    char line[80];

    hosted->upstream = true;
    snprintf(line, sizeof line, "upstream %s", hosted->settings->name);
    tide_control_send(&hosted->worker->control, line);
}

static void warn_of_moved(const struct worker *worker, const struct tide_bundle *caller, const char *url)
{
    const struct tide_settings_bundle *moved = tide_settings_moved(&worker->settings, url);

    if (moved && worker->index == 0)
        tide_log_event(&worker->log, TIDE_LOG_WARN, "a bundle calls where another one does not listen",
                       tide_log_str("bundle", tide_bundle_name(caller)), tide_log_str("url", url),
                       tide_log_str("other", moved->name), tide_log_str("listens_on", moved->listen));
}

/* By the port alone: the same machine has many names, and one listener too many is no harm. */
void tide_worker_note_upstreams(struct worker *worker, const struct tide_bundle *caller)
{
    const struct tide_declaration *list;
    size_t count = tide_bundle_declarations(caller, &list);

    for (size_t k = 0; k < count; k++) {
        if (list[k].type != TIDE_DECLARED_UPSTREAM)
            continue;
        warn_of_moved(worker, caller, list[k].name);
        for (size_t i = 0; i < worker->hosted_count; i++)
            if (port_of(worker->hosted[i].listen_fd) == tide_url_port(list[k].name))
                note_upstream(&worker->hosted[i]);
    }
}

static bool serve(struct hosted *hosted, struct tide_err *err)
{
    struct worker *worker = hosted->worker;
    struct tide_http_server_config config = {.listen_fd = hosted->listen_fd,
                                             .name = hosted->settings->name,
                                             .log = &worker->log,
                                             .metrics = worker->services.metrics};

    if (hosted->listen_fd < 0)
        return true;
    tide_services_http_limits(&worker->settings, &config.limits);
    tide_bundle_http_handler(hosted->bundle, &config.handler);
    hosted->server = tide_http_server_start(&worker->loop, &config, err);
    return hosted->server != NULL;
}

static void log_health(const struct worker *worker, int backend, const char *problem, const char *before)
{
    bool unasked = strcmp(*problem ? problem : before, TIDE_HEALTH_UNASKED) == 0;

    if (!unasked)
        tide_log_event(&worker->log, *problem ? TIDE_LOG_ERROR : TIDE_LOG_INFO,
                       *problem ? "backend does not answer" : "backend answers again",
                       tide_log_str("backend", tide_backend_names[backend]),
                       tide_log_str("reason", *problem ? problem : NULL));
}

static void on_health(void *arg, int backend, const char *problem, const char *before)
{
    struct worker *worker = arg;
    char line[64 + TIDE_HEALTH_PROBLEM_LEN];

    snprintf(line, sizeof line, "%s %s%s%s", *problem ? "missing" : "answers", tide_backend_names[backend],
             *problem ? " " : "", problem);
    for (char *at = line; *at; at++)
        if (*at == '\n')
            *at = ' ';
    tide_control_send(&worker->control, line);
    log_health(worker, backend, problem, before);
}

static bool start(struct worker *worker, struct tide_buf *report)
{
    struct tide_err err;

    if (!tide_services_open(&worker->services, &worker->settings, TIDE_WITH_HTTP | TIDE_WITH_CRYPTO,
                            &worker->loop, &worker->log, worker->metrics, &err)) {
        tide_buf_printf(report, "%s\n", err.message);
        return false;
    }
    for (size_t i = 0; i < worker->hosted_count; i++)
        if (!load_first(&worker->hosted[i], report))
            return false;
    for (size_t i = 0; i < worker->hosted_count; i++)
        tide_worker_note_upstreams(worker, worker->hosted[i].bundle);
    for (size_t i = 0; i < worker->hosted_count; i++)
        if (!serve(&worker->hosted[i], &err) ||
            !tide_bundle_start(worker->hosted[i].bundle, worker->index == 0, &err)) {
            tide_buf_printf(report, "%s: %s\n", worker->hosted[i].settings->name, err.message);
            return false;
        }
    worker->health = tide_health_start(&worker->services, on_health, worker, &err);
    if (!worker->health)
        tide_buf_printf(report, "%s\n", err.message);
    return worker->health != NULL;
}

static void say_ready(struct worker *worker)
{
    for (size_t i = 0; i < worker->hosted_count; i++)
        tide_worker_say(&worker->hosted[i], "bundle", tide_bundle_generation(worker->hosted[i].bundle));
    tide_control_send(&worker->control, "ready");
}

int tide_worker_main(unsigned index)
{
    static struct worker worker; /* zeroed; too large a thing for the stack, and there is one a process */
    struct tide_buf report;
    struct tide_err err;
    bool clean;

    worker.index = index;
    signal(SIGPIPE, SIG_IGN);
    /* A supervisor that is gone without a word (SIGKILL) will be started again: its ports must be free, and
     * what was in flight is delivered again. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "tidemill-worker");
    if (!tide_settings_receive(&worker.settings, TIDE_WORKER_SETTINGS, &err) || !init(&worker, &err)) {
        fprintf(stderr, "tidemill: %s\n", err.message);
        return 1;
    }
    tide_buf_init(&report, MAX_REPORT);
    if (!start(&worker, &report)) {
        tide_worker_report(&worker, report.data ? report.data : "the worker can't start\n");
        tide_control_send(&worker.control, "failed");
        _exit(1); /* nothing was promised to anybody yet */
    }
    tide_buf_release(&report);
    watch(&worker);
    say_ready(&worker);
    uv_run(&worker.loop, UV_RUN_DEFAULT);
    clean = tide_services_close_loop(&worker.loop, &worker.log);
    tide_log_batch_free(&worker.log);
    tide_metrics_unmap(worker.metrics);
    free(worker.hosted);
    tide_settings_release(&worker.settings);
    return clean ? 0 : 1;
}
