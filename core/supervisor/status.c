/* What is told of the engine: readiness, bundles, workers. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "supervisor/internal.h"

static const char *const state_names[] = {"starting", "ready", "draining", "dead"};

/* ---- readiness ---- */

/* why: its first line is told; may be "". */
static void put_missing(struct tide_buf *missing, const char *what, const char *why)
{
    char text[64 + TIDE_HEALTH_PROBLEM_LEN];

    snprintf(text, sizeof text, "%s%s%.*s", what, *why ? ": " : "", (int)strcspn(why, "\n"), why);
    tide_buf_puts(missing, missing->len ? "," : "");
    tide_buf_json(missing, text, strlen(text));
}

/* All workers must be there: one that is missing leaves connections waiting in its sockets until it is
 * replaced. */
static void put_missing_workers(const struct tide_supervisor *supervisor, struct tide_buf *missing)
{
    char name[48];

    for (unsigned i = 0; i < supervisor->child_count; i++) {
        const struct tide_child *child = &supervisor->children[i];

        snprintf(name, sizeof name, "worker %u: %s", i, state_names[child->state]);
        if (tide_child_is_silent(child))
            snprintf(name, sizeof name, "worker %u: it does not answer", i);
        if (child->state != TIDE_WORKER_READY || tide_child_is_silent(child))
            put_missing(missing, name, child->failed && child->report.data ? child->report.data : "");
    }
}

/* In the words of the first worker that it does not answer. */
static const char *problem_of(const struct tide_supervisor *supervisor, int backend)
{
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].problems[backend][0])
            return supervisor->children[i].problems[backend];
    return NULL;
}

unsigned tide_status_ready_workers(const struct tide_supervisor *supervisor)
{
    unsigned ready = 0;

    for (unsigned i = 0; i < supervisor->child_count; i++)
        ready += supervisor->children[i].state == TIDE_WORKER_READY &&
                 !tide_child_is_silent(&supervisor->children[i]);
    return ready;
}

bool tide_status_put_readiness(const struct tide_supervisor *supervisor, unsigned excluded,
                               struct tide_buf *body)
{
    struct tide_buf missing;
    bool ready;

    tide_buf_init(&missing, 1 << 19);
    if (supervisor->state == TIDE_SUPERVISOR_STOPPING)
        put_missing(&missing, "engine", "stopping");
    put_missing_workers(supervisor, &missing);
    for (int i = 0; i < TIDE_BACKENDS; i++)
        if (!(excluded & 1U << i) && problem_of(supervisor, i))
            put_missing(&missing, tide_backend_names[i], problem_of(supervisor, i));
    ready = missing.len == 0;
    tide_buf_printf(body, "\"ready\":%s,\"missing\":[", ready ? "true" : "false");
    tide_buf_append(body, missing.data, missing.len);
    tide_buf_putc(body, ']');
    tide_buf_release(&missing);
    return ready;
}

/* ---- bundles ---- */

static void put_listen(const struct tide_supervisor *supervisor, const char *bundle, struct tide_buf *body)
{
    for (size_t i = 0; i < supervisor->listener_count; i++)
        if (strcmp(supervisor->listeners[i].bundle, bundle) == 0)
            tide_buf_printf(body, ",\"listen\":\"%s:%d\"", supervisor->listeners[i].host,
                            supervisor->listeners[i].port);
}

static void put_generations(const struct tide_supervisor *supervisor, size_t index, struct tide_buf *body)
{
    for (unsigned i = 0; i < supervisor->child_count; i++) {
        const struct tide_child *child = &supervisor->children[i];

        tide_buf_printf(body,
                        "%s{\"worker\":%u,\"pid\":%d,\"state\":\"%s\",\"generation\":\"%s\",\"retired\":%u}",
                        i ? "," : "", i, child->pid, state_names[child->state], child->generations[index],
                        child->retired[index]);
    }
}

void tide_status_put_bundles(const struct tide_supervisor *supervisor, struct tide_buf *body)
{
    const struct tide_settings *settings = supervisor->settings;

    tide_buf_putc(body, '[');
    for (size_t i = 0; i < settings->bundle_count; i++) {
        tide_buf_printf(body, "%s{\"name\":\"%s\",\"directory\":", i ? "," : "", settings->bundles[i].name);
        tide_buf_json(body, settings->bundles[i].directory, strlen(settings->bundles[i].directory));
        put_listen(supervisor, settings->bundles[i].name, body);
        tide_buf_putc(body, ',');
        tide_supervisor_reload_put(supervisor, i, body);
        tide_buf_puts(body, ",\"workers\":[");
        put_generations(supervisor, i, body);
        tide_buf_puts(body, "]}");
    }
    tide_buf_putc(body, ']');
}

/* ---- all ---- */

static double seconds_since(int64_t monotonic_ms)
{
    return (double)(tide_clock_monotonic_ms() - monotonic_ms) / 1000;
}

static void put_workers(const struct tide_supervisor *supervisor, struct tide_buf *body)
{
    for (unsigned i = 0; i < supervisor->child_count; i++) {
        const struct tide_child *child = &supervisor->children[i];

        tide_buf_printf(body, "%s{\"worker\":%u,\"pid\":%d,\"state\":\"%s\",\"age\":%.3f,\"restarts\":%lld}",
                        i ? "," : "", i, child->pid, state_names[child->state],
                        seconds_since(child->started_ms), (long long)child->restarts);
    }
}

void tide_status_put(const struct tide_supervisor *supervisor, struct tide_buf *body)
{
    tide_buf_printf(body, "{\"version\":\"" TIDE_VERSION "\",\"pid\":%d,\"uptime\":%.3f,", getpid(),
                    seconds_since(supervisor->started_ms));
    tide_status_put_readiness(supervisor, 0, body);
    tide_buf_puts(body, ",\"workers\":[");
    put_workers(supervisor, body);
    tide_buf_puts(body, "],\"bundles\":");
    tide_status_put_bundles(supervisor, body);
    tide_buf_putc(body, '}');
}
