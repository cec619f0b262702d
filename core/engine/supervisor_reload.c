/* A reload as it is asked for: by SIGHUP, POST /-/reload, or a changed file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/supervisor_internal.h"
#include "engine/watch.h"

/* Somebody who waits for the end of all that is going on. */
struct tide_reload_waiter {
    struct tide_http_request *request;
    size_t index; /* of the bundle that was asked for; settings->bundle_count: all */
    struct tide_reload_waiter *next;
};

/* ---- files ---- */

static void on_change(void *arg, size_t index)
{
    struct tide_supervisor *supervisor = arg;

    tide_reload_start(supervisor->reload, index, false);
}

bool tide_supervisor_watch(struct tide_supervisor *supervisor, struct tide_err *err)
{
    const struct tide_settings *settings = supervisor->settings;
    bool good = true;

    if (settings->watch != TIDE_SETTINGS_ON)
        return true;
    supervisor->watch = tide_watch_new(&supervisor->loop, on_change, supervisor);
    for (size_t i = 0; supervisor->watch && i < settings->bundle_count; i++) {
        good = good && tide_watch_add(supervisor->watch, i, settings->bundles[i].directory);
        if (settings->library)
            good = good && tide_watch_add(supervisor->watch, i, settings->library);
    }
    return (supervisor->watch && good) || tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
}

void tide_supervisor_reload_all(struct tide_supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->settings->bundle_count; i++)
        tide_reload_start(supervisor->reload, i, true);
}

/* ---- requests ---- */

/* "changed PATH" lines as [{"change":"changed","file":PATH}, ...] */
static void put_changes(const char *changes, struct tide_buf *body)
{
    const char *separator = ",\"changes\":[";

    for (const char *end, *path; *changes; changes = end + 1, separator = ",") {
        end = changes + strcspn(changes, "\n");
        path = changes + strcspn(changes, " ") + 1;
        tide_buf_printf(body, "%s{\"change\":\"%.*s\",\"file\":", separator, (int)(path - 1 - changes),
                        changes);
        tide_buf_json(body, path, (size_t)(end - path));
        tide_buf_putc(body, '}');
    }
    tide_buf_putc(body, ']');
}

void tide_supervisor_reload_put(const struct tide_supervisor *supervisor, size_t index, struct tide_buf *body)
{
    const struct tide_reload_bundle *bundle = tide_reload_bundle(supervisor->reload, index);

    tide_buf_printf(body, "\"generation\":\"%s\",\"reload\":{\"outcome\":\"%s\"",
                    tide_content_generation(bundle->current), tide_reload_outcome_name(bundle->outcome));
    if (bundle->at_ms)
        tide_buf_printf(body, ",\"at\":%.3f,\"before\":\"%s\"", (double)bundle->at_ms / 1000, bundle->before);
    if (*bundle->report) {
        tide_buf_puts(body, ",\"report\":");
        tide_buf_json(body, bundle->report, strlen(bundle->report));
    }
    if (*bundle->changes)
        put_changes(bundle->changes, body);
    tide_buf_putc(body, '}');
}

static void answer(const struct tide_supervisor *supervisor, struct tide_http_request *request, size_t index)
{
    const struct tide_settings *settings = supervisor->settings;
    struct tide_buf body;
    bool refused = false, all = index == settings->bundle_count;

    tide_buf_init(&body, TIDE_ADMIN_BODY);
    tide_buf_putc(&body, '[');
    for (size_t i = 0; i < settings->bundle_count; i++) {
        if (!all && i != index)
            continue;
        tide_buf_printf(&body, "%s{\"name\":\"%s\",", body.len > 1 ? "," : "", settings->bundles[i].name);
        tide_supervisor_reload_put(supervisor, i, &body);
        tide_buf_putc(&body, '}');
        refused |= tide_reload_bundle(supervisor->reload, i)->outcome == TIDE_RELOAD_REFUSED;
    }
    tide_buf_puts(&body, "]\n");
    tide_admin_respond(request, refused ? 422 : 200, "application/json", &body);
    tide_buf_release(&body);
}

void tide_supervisor_reload_over(struct tide_supervisor *supervisor)
{
    struct tide_reload_waiter *waiter;

    if (!tide_reload_is_settled(supervisor->reload))
        return;
    while ((waiter = supervisor->reload_waiters)) {
        supervisor->reload_waiters = waiter->next;
        answer(supervisor, waiter->request, waiter->index);
        free(waiter);
    }
}

void tide_supervisor_reload_dismiss(struct tide_supervisor *supervisor,
                                    const struct tide_http_request *request)
{
    struct tide_reload_waiter **link = &supervisor->reload_waiters, *waiter;

    while ((waiter = *link) && waiter->request != request)
        link = &waiter->next;
    if (!waiter)
        return;
    *link = waiter->next;
    free(waiter);
}

static bool find(const struct tide_settings *settings, const char *query, size_t *index)
{
    const struct tide_settings_bundle *bundle;

    *index = settings->bundle_count;
    if (!query || !*query)
        return true;
    bundle = strncmp(query, "bundle=", 7) == 0 ? tide_settings_bundle(settings, query + 7) : NULL;
    if (bundle)
        *index = (size_t)(bundle - settings->bundles);
    return bundle != NULL;
}

static void wait_for_end(struct tide_supervisor *supervisor, struct tide_http_request *request, size_t index)
{
    struct tide_reload_waiter *waiter = malloc(sizeof *waiter);

    if (!waiter) {
        tide_http_respond_problem(request, 503, "out of memory", NULL, 0);
        return;
    }
    *waiter = (struct tide_reload_waiter){request, index, supervisor->reload_waiters};
    supervisor->reload_waiters = waiter;
    tide_supervisor_reload_over(supervisor);
}

void tide_supervisor_reload_request(struct tide_supervisor *supervisor, struct tide_http_request *request)
{
    const struct tide_http_header allow = {"Allow", "POST"};
    const struct tide_settings *settings = supervisor->settings;
    size_t index;

    if (strcmp(tide_http_request_method(request), "POST") != 0) {
        tide_http_respond_problem(request, 405, "POST reloads", &allow, 1);
    } else if (!find(settings, tide_http_request_query(request), &index)) {
        tide_http_respond_problem(request, 404,
                                  "there is no such bundle; ?bundle=NAME names one, without it all are "
                                  "reloaded",
                                  NULL, 0);
    } else if (supervisor->state != TIDE_SUPERVISOR_RUNNING) {
        tide_http_respond_problem(request, 503, "the engine is starting or stopping", NULL, 0);
    } else {
        if (index == settings->bundle_count)
            tide_supervisor_reload_all(supervisor);
        else
            tide_reload_start(supervisor->reload, index, true);
        wait_for_end(supervisor, request, index);
    }
}
