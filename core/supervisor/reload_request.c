/* A reload as it is asked for: by SIGHUP, POST /-/reload, or a changed file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "engine/watch.h"
#include "http/url.h"
#include "supervisor/internal.h"

/* Somebody who waits for the end of all that is going on. */
struct tide_reload_waiter {
    struct tide_http_request *request;
    size_t index; /* of the bundle that was asked for; settings->bundle_count: all */
    struct tide_reload_waiter *next;
};

/* ---- files ---- */

/* A change of any is looked at by every bundle: what it requires is known from its content alone. */
static bool watch_plugins(struct tide_watch *watch, size_t index, const char *plugins)
{
    char directory[4096];

    while (tide_file_next(&plugins, directory, sizeof directory))
        if (!tide_watch_add(watch, index, directory))
            return false;
    return true;
}

static void on_change(void *arg, size_t index)
{
    struct tide_supervisor *supervisor = arg;

    tide_reload_start(supervisor->reload, index, false);
}

bool tide_supervisor_watch(struct tide_supervisor *supervisor, struct tide_err *err)
{
    const struct tide_settings *settings = supervisor->settings;
    bool good = true;

    if (settings->watch == TIDE_SETTINGS_WATCH_OFF)
        return true;
    supervisor->watch = tide_watch_new(&supervisor->loop, settings->watch == TIDE_SETTINGS_WATCH_ON,
                                       settings->poll_ms, on_change, supervisor);
    for (size_t i = 0; supervisor->watch && i < settings->bundle_count; i++) {
        good = good && tide_watch_add(supervisor->watch, i, settings->bundles[i].directory);
        if (settings->library)
            good = good && tide_watch_add(supervisor->watch, i, settings->library);
        good = good && watch_plugins(supervisor->watch, i, settings->plugins);
    }
    return (supervisor->watch && good) || tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
}

void tide_supervisor_reload_all(struct tide_supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->settings->bundle_count; i++)
        tide_reload_start(supervisor->reload, i, true);
}

/* ---- requests ---- */

/* "changed PATH", each with its NUL, as [{"change":"changed","file":PATH}, ...] */
static void put_changes(const char *changes, struct tide_buf *body)
{
    const char *separator = ",\"changes\":[";

    for (const char *end, *path; *changes; changes = end + 1, separator = ",") {
        end = changes + strlen(changes);
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
    const char *kept;

    tide_buf_printf(body, "\"generation\":\"%s\",\"since\":%.3f,\"reload\":{\"outcome\":\"%s\"",
                    tide_content_generation(bundle->current), (double)bundle->since_ms / 1000,
                    tide_reload_outcome_name(bundle->outcome));
    if (strcmp(bundle->disk, tide_content_generation(bundle->current)) != 0)
        tide_buf_printf(body, ",\"disk\":\"%s\"", bundle->disk);
    if (bundle->at_ms)
        tide_buf_printf(body, ",\"at\":%.3f,\"before\":\"%s\"", (double)bundle->at_ms / 1000, bundle->before);
    if (*bundle->report) {
        tide_buf_puts(body, ",\"report\":");
        tide_buf_json(body, bundle->report, strlen(bundle->report));
    }
    if (*bundle->changes)
        put_changes(bundle->changes, body);
    tide_buf_puts(body, "},\"kept\":[");
    for (size_t i = 0; (kept = tide_reload_kept(supervisor->reload, index, i)); i++)
        tide_buf_printf(body, "%s\"%s\"", i ? "," : "", kept);
    tide_buf_putc(body, ']');
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

/* One that has run this generation; settings->bundle_count: none. */
static size_t find_generation(const struct tide_supervisor *supervisor, const char *generation)
{
    const char *kept;
    size_t index = 0;

    for (; index < supervisor->settings->bundle_count; index++) {
        const struct tide_reload_bundle *bundle = tide_reload_bundle(supervisor->reload, index);

        if (strcmp(tide_content_generation(bundle->current), generation) == 0)
            return index;
        for (size_t i = 0; (kept = tide_reload_kept(supervisor->reload, index, i)); i++)
            if (strcmp(kept, generation) == 0)
                return index;
    }
    return index;
}

/* ?bundle=NAME&to=GENERATION, both may be left out. On true it is begun, *index is as in the waiter. */
static bool begin(struct tide_supervisor *supervisor, const struct tide_query *query, size_t *index,
                  struct tide_err *err)
{
    const struct tide_settings *settings = supervisor->settings;
    const char *name = tide_query_get(query, "bundle"), *to = tide_query_get(query, "to");
    const struct tide_settings_bundle *bundle = name ? tide_settings_bundle(settings, name) : NULL;

    if (name && !bundle)
        return tide_err_set(
            err, TIDE_ERR_NOT_FOUND, false,
            "the engine was started without a bundle '%.60s': one that is new is run after a restart", name);
    for (size_t i = 0; i < query->count; i++)
        if (strcmp(query->pairs[i].name, "bundle") != 0 && strcmp(query->pairs[i].name, "to") != 0)
            return tide_err_set(err, TIDE_ERR_INVALID, false, "?%.60s is unknown; known are bundle and to",
                                query->pairs[i].name);
    *index = bundle ? (size_t)(bundle - settings->bundles) : settings->bundle_count;
    if (to && !bundle && (*index = find_generation(supervisor, to)) == settings->bundle_count)
        return tide_err_set(err, TIDE_ERR_NOT_FOUND, false, "no bundle keeps the generation %.60s", to);
    if (to)
        return tide_reload_back(supervisor->reload, *index, to, err);
    if (bundle)
        tide_reload_start(supervisor->reload, *index, true);
    else
        tide_supervisor_reload_all(supervisor);
    return true;
}

static int status_of(const struct tide_err *err)
{
    if (strcmp(err->code, TIDE_ERR_NOT_FOUND) == 0)
        return 404;
    return strcmp(err->code, TIDE_ERR_CONFLICT) == 0 ? 409 : 400;
}

static void reload(struct tide_supervisor *supervisor, struct tide_http_request *request)
{
    const char *text = tide_http_request_query(request);
    struct tide_query query;
    struct tide_err err;
    size_t index = supervisor->settings->bundle_count;

    if (!tide_query_parse(&query, text ? text : "", text ? strlen(text) : 0, 8, &err)) {
        tide_http_respond_problem(request, 400, err.message, NULL, 0);
        return;
    }
    if (begin(supervisor, &query, &index, &err))
        wait_for_end(supervisor, request, index);
    else
        tide_http_respond_problem(request, status_of(&err), err.message, NULL, 0);
    tide_query_release(&query);
}

void tide_supervisor_reload_request(struct tide_supervisor *supervisor, struct tide_http_request *request)
{
    const struct tide_http_header allow = {"Allow", "POST"};

    if (strcmp(tide_http_request_method(request), "POST") != 0)
        tide_http_respond_problem(request, 405, "POST reloads", &allow, 1);
    else if (supervisor->settings->reload_admin != TIDE_SETTINGS_ON)
        tide_http_respond_problem(request, 403, "the setting reload.admin is off", NULL, 0);
    else if (supervisor->state != TIDE_SUPERVISOR_RUNNING)
        tide_http_respond_problem(request, 503, "the engine is starting or stopping", NULL, 0);
    else
        reload(supervisor, request);
}
