/* The admin listener: health, readiness, metrics, bundles. */
#include "supervisor/internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/url.h"

void tide_admin_respond(struct tide_http_request *request, int status, const char *type,
                        const struct tide_buf *body)
{
    const struct tide_http_header headers[] = {{"Content-Type", type}, {"Cache-Control", "no-store"}};

    tide_http_respond(request, &(struct tide_http_response){.status = status,
                                                            .headers = headers,
                                                            .header_count = 2,
                                                            .body = body->data,
                                                            .body_len = body->len});
}

static void answer_health(struct tide_http_request *request)
{
    struct tide_buf body;

    tide_buf_init(&body, 64);
    tide_buf_puts(&body, "{\"status\":\"ok\"}\n");
    tide_admin_respond(request, 200, "application/json", &body);
    tide_buf_release(&body);
}

/* Of "exclude=queue&exclude=mail" the backends, as bits. */
static bool read_excluded(const struct tide_query *query, unsigned *excluded, struct tide_err *err)
{
    *excluded = 0;
    for (size_t i = 0; i < query->count; i++) {
        int backend = 0;

        while (backend < TIDE_BACKENDS && strcmp(tide_backend_names[backend], query->pairs[i].value) != 0)
            backend++;
        if (backend == TIDE_BACKENDS || strcmp(query->pairs[i].name, "exclude") != 0)
            return tide_err_set(err, TIDE_ERR_INVALID, false,
                                "/readyz takes nothing but exclude=sql, queue, blob or mail");
        *excluded |= 1U << backend;
    }
    return true;
}

static bool excluded_by(struct tide_http_request *request, unsigned *excluded, struct tide_err *err)
{
    const char *text = tide_http_request_query(request);
    struct tide_query query;
    bool ok;

    if (!tide_query_parse(&query, text, strlen(text), 8, err))
        return false;
    ok = read_excluded(&query, excluded, err);
    tide_query_release(&query);
    return ok;
}

static void answer_ready(const struct tide_supervisor *supervisor, struct tide_http_request *request)
{
    struct tide_buf body;
    struct tide_err err;
    unsigned excluded;
    bool ready;

    if (!excluded_by(request, &excluded, &err)) {
        tide_http_respond_problem(request, 400, err.message, NULL, 0);
        return;
    }
    tide_buf_init(&body, TIDE_ADMIN_BODY);
    tide_buf_putc(&body, '{');
    ready = tide_status_put_readiness(supervisor, excluded, &body);
    tide_buf_printf(&body, ",\"workers\":%u,\"ready_workers\":%u}\n", supervisor->child_count,
                    tide_status_ready_workers(supervisor));
    tide_admin_respond(request, ready ? 200 : 503, "application/json", &body);
    tide_buf_release(&body);
}

static void answer_document(const struct tide_supervisor *supervisor, struct tide_http_request *request,
                            void (*put)(const struct tide_supervisor *supervisor, struct tide_buf *body))
{
    struct tide_buf body;

    tide_buf_init(&body, TIDE_ADMIN_BODY);
    put(supervisor, &body);
    tide_buf_putc(&body, '\n');
    tide_admin_respond(request, 200, "application/json", &body);
    tide_buf_release(&body);
}

/* ---- metrics ---- */

static double resident_bytes(int pid)
{
    char path[64];
    long pages = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void set_gauge(struct tide_supervisor *supervisor, const char *name, const char *labels,
                      const char *help, double value)
{
    tide_metric_set(tide_metrics_get(supervisor->metrics, TIDE_METRIC_GAUGE, name, labels, help), value);
}

static void update_gauges(struct tide_supervisor *supervisor)
{
    static const char memory_help[] = "Resident memory in bytes.";
    char label[48];
    unsigned ready = tide_status_ready_workers(supervisor);

    for (unsigned i = 0; i < supervisor->child_count; i++) {
        const struct tide_child *child = &supervisor->children[i];
        snprintf(label, sizeof label, "process=\"worker-%u\"", i);
        set_gauge(supervisor, "process_resident_memory_bytes", label, memory_help,
                  child->running ? resident_bytes(child->pid) : 0);
    }
    set_gauge(supervisor, "process_resident_memory_bytes", "process=\"supervisor\"", memory_help,
              resident_bytes(getpid()));
    set_gauge(supervisor, "tidemill_workers", "state=\"ready\"", "Worker processes by state.", ready);
    set_gauge(supervisor, "tidemill_workers", "state=\"missing\"", "Worker processes by state.",
              supervisor->child_count - ready);
    set_gauge(supervisor, "tidemill_uptime_seconds", NULL, "Since the engine was started.",
              (double)(tide_clock_monotonic_ms() - supervisor->started_ms) / 1000);
    set_gauge(supervisor, "tidemill_build_info", "version=\"" TIDE_VERSION "\"", "Always 1.", 1);
}

/* Not a series of a slab: those live as long as the engine, a generation does not. */
static void put_bundle_info(const struct tide_supervisor *supervisor, struct tide_buf *body)
{
    tide_buf_puts(body, "# HELP tidemill_bundle_info The generation that each bundle runs; always 1.\n"
                        "# TYPE tidemill_bundle_info gauge\n");
    for (size_t i = 0; i < supervisor->settings->bundle_count; i++)
        tide_buf_printf(body, "tidemill_bundle_info{bundle=\"%s\",generation=\"%s\"} 1\n",
                        supervisor->settings->bundles[i].name,
                        tide_content_generation(tide_reload_bundle(supervisor->reload, i)->current));
}

static void answer_metrics(struct tide_supervisor *supervisor, struct tide_http_request *request)
{
    struct tide_metrics *slabs[1 + 256]; /* settings: 256 workers at most */
    struct tide_buf body;

    update_gauges(supervisor);
    slabs[0] = supervisor->metrics;
    for (unsigned i = 0; i < supervisor->child_count; i++)
        slabs[1 + i] = supervisor->children[i].slab;
    tide_buf_init(&body, TIDE_ADMIN_BODY);
    tide_metrics_render(slabs, 1 + supervisor->child_count, &body);
    put_bundle_info(supervisor, &body);
    tide_admin_respond(request, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    tide_buf_release(&body);
}

/* ---- the listener ---- */

static void on_request(void *arg, struct tide_http_request *request)
{
    const struct tide_http_header allow = {"Allow", "GET, HEAD"};
    const char *path = tide_http_request_path(request), *method = tide_http_request_method(request);

    if (strcmp(path, "/-/reload") == 0)
        tide_supervisor_reload_request(arg, request);
    else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        tide_http_respond_problem(request, 405, "only /-/reload takes anything else than GET", &allow, 1);
    else if (strcmp(path, "/healthz") == 0)
        answer_health(request);
    else if (strcmp(path, "/readyz") == 0)
        answer_ready(arg, request);
    else if (strcmp(path, "/metrics") == 0)
        answer_metrics(arg, request);
    else if (strcmp(path, "/-/bundles") == 0)
        answer_document(arg, request, tide_status_put_bundles);
    else if (strcmp(path, "/-/status") == 0)
        answer_document(arg, request, tide_status_put);
    else
        tide_http_respond_problem(
            request, 404, "known are /healthz, /readyz, /metrics, /-/bundles, /-/status and /-/reload", NULL,
            0);
}

static void on_end(void *arg, struct tide_http_request *request)
{
    tide_supervisor_reload_dismiss(arg, request);
}

bool tide_admin_start(struct tide_supervisor *supervisor, struct tide_err *err)
{
    struct tide_http_server_config config = {
        .listen_fd = supervisor->admin_fd,
        .name = "admin",
        .handler = {.on_request = on_request, .on_gone = on_end, .on_end = on_end, .arg = supervisor},
        .log = &supervisor->log,
        .metrics = supervisor->metrics};

    tide_http_limits_default(&config.limits);
    config.limits.connections = 64;
    supervisor->admin = tide_http_server_start(&supervisor->loop, &config, err);
    return supervisor->admin != NULL;
}
