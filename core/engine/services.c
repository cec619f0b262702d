#include "engine/services.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/guards.h"
#include "base/url.h"
#include "engine/lock.h"

#define CRYPTO_QUEUE 256 /* logins that wait for a hash; a further one gets 503 */
#define PLUGINS_QUEUE 256

/* ---- what is wrong with a setting ---- */

static bool blame(struct tide_err *err, const struct tide_settings *settings, const char *name,
                  const char *url)
{
    struct tide_buf shown;

    tide_buf_init(&shown, 512);
    tide_url_redact(url, &shown);
    tide_err_prefix(err, "%s (%s)", tide_settings_origin(settings, name), shown.data ? shown.data : "");
    tide_buf_release(&shown);
    return false;
}

static bool check_helper(const struct tide_settings *settings, struct tide_err *err)
{
    const char *path = settings->media_helper;

    if (!path || access(path, X_OK) == 0)
        return true;
    tide_err_errno(err, errno, path);
    return blame(err, settings, "media_helper", path);
}

bool tide_services_check(const struct tide_settings *settings, struct tide_buf *report)
{
    const struct {
        const char *name, *url;
        bool (*check)(const char *url, struct tide_err *err);
    } backends[] = {{"sql", settings->sql, tide_sql_check},
                    {"queue", settings->queue, tide_queue_broker_check},
                    {"blob", settings->blob, tide_blob_store_check},
                    {"mail", settings->mail, tide_mailer_check}};
    struct tide_err err;
    bool good = true;

    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        if (backends[i].check(backends[i].url, &err))
            continue;
        good = blame(&err, settings, backends[i].name, backends[i].url);
        tide_buf_printf(report, "%s\n", err.message);
    }
    return good;
}

/* ---- open and close ---- */

unsigned tide_services_used(const struct tide_content *content)
{
    return (tide_content_uses(content, "sql") ? TIDE_WITH_SQL : 0) |
           (tide_content_uses(content, "queue") ? TIDE_WITH_QUEUE : 0) |
           (tide_content_uses(content, "bucket") ? TIDE_WITH_BLOB : 0) |
           (tide_content_uses(content, "mail") ? TIDE_WITH_MAIL : 0);
}

bool tide_services_add(struct tide_services *services, const struct tide_settings *settings, unsigned which,
                       struct tide_err *err)
{
    uv_loop_t *loop = services->loop;
    const struct tide_log *log = services->log;

    if ((which & TIDE_WITH_SQL) && !services->sql &&
        !(services->sql = tide_sql_open(loop, log, settings->sql, err)))
        return blame(err, settings, "sql", settings->sql);
    if ((which & TIDE_WITH_QUEUE) && !services->queue &&
        !(services->queue = tide_queue_broker_open(loop, log, settings->queue, err)))
        return blame(err, settings, "queue", settings->queue);
    if ((which & TIDE_WITH_BLOB) && !services->blob &&
        !(services->blob = tide_blob_store_open(loop, log, settings->blob, err)))
        return blame(err, settings, "blob", settings->blob);
    if ((which & TIDE_WITH_MAIL) && !services->mail &&
        !(services->mail = tide_mailer_open(loop, log, settings->mail, settings->mail_from, err)))
        return blame(err, settings, "mail", settings->mail);
    return true;
}

bool tide_services_open(struct tide_services *services, const struct tide_settings *settings, unsigned which,
                        uv_loop_t *loop, const struct tide_log *log, struct tide_metrics *metrics,
                        struct tide_err *err)
{
    *services = (struct tide_services){.loop = loop, .log = log, .media_helper = settings->media_helper};
    if (which && !tide_lock_make_directory(settings->data, err))
        return false;
    services->metrics = tide_guards_on() ? metrics : NULL;
    if ((!tide_guards_on() || (services->budget = tide_budget_new(settings->script_cpu_ms, err))) &&
        check_helper(settings, err) && tide_services_add(services, settings, which, err) &&
        (!(which & TIDE_WITH_HTTP) || (services->http = tide_http_client_new(loop, NULL, err))) &&
        (!(which & TIDE_WITH_CRYPTO) ||
         (services->crypto = tide_pool_new(loop, "crypto", 2, CRYPTO_QUEUE, err))) &&
        (!settings->plugins || !(which & TIDE_WITH_CRYPTO) ||
         (services->plugins = tide_pool_new(loop, "plugins", 2, PLUGINS_QUEUE, err))))
        return true;
    tide_services_close(services);
    return false;
}

void tide_services_close(struct tide_services *services)
{
    if (services->plugins)
        tide_pool_free(services->plugins);
    if (services->crypto)
        tide_pool_free(services->crypto);
    if (services->http)
        tide_http_client_free(services->http);
    if (services->mail)
        tide_mailer_close(services->mail);
    if (services->queue)
        tide_queue_broker_close(services->queue);
    if (services->blob)
        tide_blob_store_close(services->blob);
    if (services->sql)
        tide_sql_close(services->sql);
    tide_budget_free(services->budget);
    services->budget = NULL;
    services->crypto = NULL;
    services->plugins = NULL;
    services->http = NULL;
    services->mail = NULL;
    services->queue = NULL;
    services->blob = NULL;
    services->sql = NULL;
}

static bool has_schema(const struct tide_settings_bundle *bundle, char *path, size_t size)
{
    return snprintf(path, size, "%s/schema", bundle->directory) < (int)size && access(path, R_OK | X_OK) == 0;
}

static bool check_schema(const struct tide_settings_bundle *bundle, struct tide_findings *findings)
{
    char path[1024];
    struct tide_err err;

    if (!has_schema(bundle, path, sizeof path) || tide_sql_check_schema(path, &err))
        return true;
    tide_findings_add_text(findings, "schema", err.message);
    return false;
}

struct tide_bundle *tide_services_load(const struct tide_services *services,
                                       const struct tide_settings *settings,
                                       const struct tide_settings_bundle *bundle,
                                       struct tide_content *content, struct tide_findings *findings)
{
    struct tide_bundle_config config = {.name = bundle->name,
                                        .directory = bundle->directory,
                                        .library = settings->library,
                                        .plugins = settings->plugins,
                                        .settings_json = bundle->settings_json,
                                        .settings_path = settings->path ? settings->path : "settings",
                                        .data_dir = settings->data,
                                        .memory_max = (size_t)settings->script_memory,
                                        .debug_headers = settings->debug_headers == TIDE_SETTINGS_ON,
                                        .content = content,
                                        .services = services};

    if (content || check_schema(bundle, findings)) /* of a running engine they are looked at elsewhere */
        return tide_bundle_load(&config, findings);
    return NULL;
}

void tide_services_http_limits(const struct tide_settings *settings, struct tide_http_limits *limits)
{
    tide_http_limits_default(limits);
    limits->head_bytes = (size_t)settings->head_bytes;
    limits->body_bytes = settings->body_bytes;
    limits->connections = (unsigned)settings->connections;
    limits->connections_per_address = (unsigned)settings->connections_per_address;
    limits->head_timeout_ms = settings->head_timeout_ms;
    limits->idle_timeout_ms = settings->idle_timeout_ms;
    limits->min_rate = settings->min_rate;
}

/* ---- schema files ---- */

typedef bool each_schema(struct tide_sql_db *db, const char *bundle, const char *path, void *arg,
                         struct tide_err *err);

static bool each_bundle(struct tide_sql_db *db, const struct tide_settings *settings, each_schema *each,
                        void *arg, struct tide_err *err)
{
    char path[1024];

    for (size_t i = 0; i < settings->bundle_count; i++)
        if (has_schema(&settings->bundles[i], path, sizeof path) &&
            !each(db, settings->bundles[i].name, path, arg, err))
            return false;
    return true;
}

static bool has_any_schema(const struct tide_settings *settings)
{
    char path[1024];

    for (size_t i = 0; i < settings->bundle_count; i++)
        if (has_schema(&settings->bundles[i], path, sizeof path))
            return true;
    return false;
}

/* On a database that is opened for it alone; on none where no bundle has tables. */
static bool with_database(const struct tide_settings *settings, const struct tide_log *log, each_schema *each,
                          void *arg, struct tide_err *err)
{
    struct tide_services services;
    uv_loop_t loop;
    bool ok;

    if (!has_any_schema(settings))
        return true;
    uv_loop_init(&loop);
    ok = tide_services_open(&services, settings, TIDE_WITH_SQL, &loop, log, NULL, err);
    if (ok) {
        ok = each_bundle(services.sql, settings, each, arg, err);
        tide_services_close(&services);
    } else {
        err->retryable = false; /* a server that is away can be opened */
    }
    return tide_services_close_loop(&loop, log) && ok;
}

static bool migrate(struct tide_sql_db *db, const char *bundle, const char *path, void *arg,
                    struct tide_err *err)
{
    (void)arg;
    return tide_sql_migrate(db, bundle, path, err);
}

bool tide_services_migrate(const struct tide_settings *settings, const struct tide_log *log,
                           struct tide_err *err)
{
    return with_database(settings, log, migrate, NULL, err);
}

struct review {
    const struct tide_log *log;
    struct tide_buf *pending, *changed;
};

static void on_file(void *arg, const char *bundle, enum tide_sql_schema state, const char *path)
{
    struct review *review = arg;

    if (state == TIDE_SQL_SCHEMA_PENDING)
        tide_buf_printf(review->pending, "%s\n", path);
    else if (review->changed)
        tide_buf_printf(review->changed, "%s\n", path);
    else
        tide_sql_log_changed(review->log, bundle, path);
}

static bool review(struct tide_sql_db *db, const char *bundle, const char *path, void *arg,
                   struct tide_err *err)
{
    return tide_sql_review(db, bundle, path, on_file, arg, err);
}

bool tide_services_review(const struct tide_settings *settings, const struct tide_log *log,
                          struct tide_buf *pending, struct tide_buf *changed, struct tide_err *err)
{
    struct review lists = {.log = log, .pending = pending, .changed = changed};

    return with_database(settings, log, review, &lists, err);
}

bool tide_services_migrated(const struct tide_settings *settings, const struct tide_log *log,
                            struct tide_err *err)
{
    struct tide_buf list;
    bool ok;

    tide_buf_init(&list, 1 << 16);
    ok = tide_services_review(settings, log, &list, NULL, err);
    if (ok && list.len > 0)
        ok = tide_err_set(err, TIDE_ERR_INVALID, false, "the database lacks %.*s: run tidemill migrate",
                          (int)strcspn(list.data, "\n"), list.data);
    tide_buf_release(&list);
    return ok;
}

/* ---- the end of a loop ---- */

static void name_handle(uv_handle_t *handle, void *arg)
{
    struct tide_buf *names = arg;

    if (!uv_is_closing(handle))
        tide_buf_printf(names, "%s%s%s", names->len ? " " : "", uv_handle_type_name(handle->type),
                        uv_is_active(handle) ? "" : " (idle)");
}

static void stop_loop(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

bool tide_services_close_loop(uv_loop_t *loop, const struct tide_log *log)
{
    struct tide_buf names;
    uv_timer_t timer;

    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, stop_loop, 1000, 0);
    uv_unref((uv_handle_t *)&timer);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
    if (uv_loop_close(loop) == 0)
        return true;
    tide_buf_init(&names, 4096);
    uv_walk(loop, name_handle, &names);
    tide_log_event(log, TIDE_LOG_ERROR, "handles left open",
                   tide_log_str("handles", names.data ? names.data : ""));
    tide_buf_release(&names);
    return false;
}
