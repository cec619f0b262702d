#include "engine/health.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/pool.h"

#define CHECK_MS 2000
#define STUCK_TICKS 3 /* a check that runs for so long does not answer */

const char *const tide_backend_names[TIDE_BACKENDS] = {"sql", "queue", "blob", "mail"};

struct tide_health {
    const struct tide_services *services;
    tide_health_cb *changed;
    void *arg;
    struct tide_pool *pool;
    uv_timer_t *timer;                                     /* data: this */
    char problems[TIDE_BACKENDS][TIDE_HEALTH_PROBLEM_LEN]; /* as told */
    /* the check */
    struct tide_job job;
    struct tide_services open; /* those that are asked */
    bool busy, stopped;
    unsigned ticks;   /* since it began */
    atomic_int asked; /* the backend that it waits for */
    char found[TIDE_BACKENDS][TIDE_HEALTH_PROBLEM_LEN];
};

static bool is_there(const struct tide_services *services, int backend)
{
    const void *const all[TIDE_BACKENDS] = {services->sql, services->queue, services->blob, services->mail};

    return all[backend] != NULL;
}

/* ---- on the pool's thread ---- */

static bool ask(const struct tide_services *services, int backend, struct tide_err *err)
{
    switch (backend) {
    case TIDE_BACKEND_SQL:
        return tide_sql_ready(services->sql, err);
    case TIDE_BACKEND_QUEUE:
        return tide_queue_broker_ready(services->queue, err);
    case TIDE_BACKEND_BLOB:
        return tide_blob_store_ready(services->blob, err);
    default:
        return tide_mailer_ready(services->mail, err);
    }
}

static struct tide_health *health_of(struct tide_job *job)
{
    return (struct tide_health *)((char *)job - offsetof(struct tide_health, job));
}

static void work(struct tide_job *job)
{
    struct tide_health *health = health_of(job);
    struct tide_err err;

    for (int i = 0; i < TIDE_BACKENDS; i++) {
        atomic_store(&health->asked, i);
        health->found[i][0] = '\0';
        if (is_there(&health->open, i) && !ask(&health->open, i, &err))
            snprintf(health->found[i], sizeof health->found[i], "%s", err.message);
    }
}

/* ---- on the loop ---- */

static void tell(struct tide_health *health, int backend, const char *problem)
{
    char before[TIDE_HEALTH_PROBLEM_LEN];

    if (health->stopped || strcmp(health->problems[backend], problem) == 0)
        return;
    snprintf(before, sizeof before, "%s", health->problems[backend]);
    snprintf(health->problems[backend], sizeof health->problems[backend], "%s", problem);
    health->changed(health->arg, backend, health->problems[backend], before);
}

static void done(struct tide_job *job)
{
    struct tide_health *health = health_of(job);

    health->busy = false;
    for (int i = 0; i < TIDE_BACKENDS; i++)
        tell(health, i, health->found[i]);
}

static void on_tick(uv_timer_t *timer)
{
    struct tide_health *health = timer->data;
    struct tide_err err;

    if (health->busy) {
        if (++health->ticks >= STUCK_TICKS)
            tell(health, atomic_load(&health->asked), "it does not answer");
        return;
    }
    health->ticks = 0;
    health->open = *health->services;
    health->job = (struct tide_job){.work = work, .done = done};
    health->busy = tide_pool_submit(health->pool, &health->job, &err);
}

struct tide_health *tide_health_start(const struct tide_services *services, tide_health_cb *changed,
                                      void *arg, struct tide_err *err)
{
    struct tide_health *health = calloc(1, sizeof *health);

    if (health)
        health->timer = calloc(1, sizeof *health->timer);
    if (!health || !health->timer) {
        free(health);
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
        return NULL;
    }
    health->services = services;
    health->changed = changed;
    health->arg = arg;
    health->pool = tide_pool_new(services->loop, "health", 1, 1, err);
    if (!health->pool) {
        free(health->timer);
        free(health);
        return NULL;
    }
    uv_timer_init(services->loop, health->timer);
    health->timer->data = health;
    uv_timer_start(health->timer, on_tick, 0, CHECK_MS);
    uv_unref((uv_handle_t *)health->timer);
    for (int i = 0; i < TIDE_BACKENDS; i++)
        if (is_there(services, i))
            tell(health, i, TIDE_HEALTH_UNASKED);
    return health;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void tide_health_stop(struct tide_health *health)
{
    if (!health)
        return;
    health->stopped = true;
    uv_close((uv_handle_t *)health->timer, free_handle);
    tide_pool_free(health->pool);
    free(health);
}
