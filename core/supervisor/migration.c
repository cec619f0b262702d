#include "supervisor/migration.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine/services.h"
#include "loop/pool.h"

#define RETRY_MS 2000

struct tide_migration {
    const struct tide_settings *settings;
    const struct tide_log *log;
    struct tide_pool *pool;
    uv_timer_t *timer;
    struct tide_job job;
    void (*later)(void *arg);
    void *arg;
    bool ok;
    struct tide_err err;
};

static bool run(const struct tide_settings *settings, const struct tide_log *log, struct tide_err *err)
{
    return settings->migrate == TIDE_SETTINGS_ON ? tide_services_migrate(settings, log, err)
                                                 : tide_services_migrated(settings, log, err);
}

/* ---- later ---- */

static struct tide_migration *migration_of(struct tide_job *job)
{
    return (struct tide_migration *)((char *)job - offsetof(struct tide_migration, job));
}

static void work(struct tide_job *job) /* on the pool's thread */
{
    struct tide_migration *self = migration_of(job);

    self->ok = run(self->settings, self->log, &self->err);
}

static void on_timer(uv_timer_t *timer);

static void on_run(struct tide_job *job)
{
    struct tide_migration *self = migration_of(job);

    if (!self->ok && !self->err.retryable)
        tide_log_event(self->log, TIDE_LOG_ERROR, "the tables can't be brought up to date",
                       tide_log_str("error", self->err.message));
    else if (!self->ok && self->timer)
        uv_timer_start(self->timer, on_timer, RETRY_MS, 0);
    else if (self->ok && self->timer)
        self->later(self->arg);
}

static void on_timer(uv_timer_t *timer)
{
    struct tide_migration *self = timer->data;
    struct tide_err err;

    self->job = (struct tide_job){.work = work, .done = on_run};
    if (!tide_pool_submit(self->pool, &self->job, &err))
        uv_timer_start(timer, on_timer, RETRY_MS, 0);
}

static void free_timer(uv_handle_t *handle)
{
    free(handle);
}

void tide_migration_stop(struct tide_migration *self)
{
    uv_timer_t *timer = self ? self->timer : NULL;

    if (!self)
        return;
    self->timer = NULL;
    if (timer)
        uv_close((uv_handle_t *)timer, free_timer);
    tide_pool_free(self->pool);
    free(self);
}

static struct tide_migration *leave_for_later(uv_loop_t *loop, const struct tide_settings *settings,
                                              const struct tide_log *log, struct tide_err *err)
{
    struct tide_migration *self = calloc(1, sizeof *self);

    if (!self || !(self->timer = calloc(1, sizeof *self->timer)) ||
        !(self->pool = tide_pool_new(loop, "migration", 1, 1, err))) {
        free(self ? self->timer : NULL);
        free(self);
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, false, "out of memory");
        return NULL;
    }
    self->settings = settings;
    self->log = log;
    uv_timer_init(loop, self->timer);
    uv_unref((uv_handle_t *)self->timer);
    self->timer->data = self;
    uv_timer_start(self->timer, on_timer, RETRY_MS, 0);
    return self;
}

bool tide_migration_begin(struct tide_migration **migration, uv_loop_t *loop,
                          const struct tide_settings *settings, const struct tide_log *log,
                          void (*later)(void *arg), void *arg, struct tide_err *err)
{
    *migration = NULL;
    if (run(settings, log, err))
        return true;
    if (!err->retryable || strcmp(err->code, TIDE_ERR_UNAVAILABLE) != 0)
        return false;
    tide_log_event(log, TIDE_LOG_WARN, "the tables are brought up to date later",
                   tide_log_str("error", err->message));
    *migration = leave_for_later(loop, settings, log, err);
    if (!*migration)
        return false;
    (*migration)->later = later;
    (*migration)->arg = arg;
    return true;
}

/* ---- one bundle ---- */

struct tide_bundle_migration {
    struct tide_settings settings; /* a shallow copy with this bundle alone */
    const struct tide_log *log;
    struct tide_pool *pool;
    struct tide_job job;
    void (*done)(void *arg, const struct tide_err *err); /* NULL: dropped */
    void *arg;
    bool ok;
    struct tide_err err;
};

static struct tide_bundle_migration *bundle_migration_of(struct tide_job *job)
{
    return (struct tide_bundle_migration *)((char *)job - offsetof(struct tide_bundle_migration, job));
}

static void work_on_bundle(struct tide_job *job) /* on the pool's thread */
{
    struct tide_bundle_migration *self = bundle_migration_of(job);

    self->ok = run(&self->settings, self->log, &self->err);
}

static void bundle_done(struct tide_job *job)
{
    struct tide_bundle_migration *self = bundle_migration_of(job);

    if (self->done)
        self->done(self->arg, self->ok ? NULL : &self->err);
    tide_pool_free(self->pool);
    free(self);
}

struct tide_bundle_migration *tide_bundle_migration_start(uv_loop_t *loop,
                                                          const struct tide_settings *settings, size_t index,
                                                          const struct tide_log *log,
                                                          void (*done)(void *arg, const struct tide_err *err),
                                                          void *arg, struct tide_err *err)
{
    struct tide_bundle_migration *self = calloc(1, sizeof *self);

    if (!self) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
        return NULL;
    }
    *self = (struct tide_bundle_migration){
        .settings = *settings,
        .log = log,
        .pool = tide_pool_new(loop, "migration", 1, 1, err),
        .job = {.work = work_on_bundle, .done = bundle_done},
        .done = done,
        .arg = arg,
    };
    self->settings.bundles += index;
    self->settings.bundle_count = 1;
    if (self->pool && tide_pool_submit(self->pool, &self->job, err))
        return self;
    tide_pool_free(self->pool);
    free(self);
    return NULL;
}

void tide_bundle_migration_drop(struct tide_bundle_migration *self)
{
    if (self)
        self->done = NULL;
}
