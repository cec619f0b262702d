#include <stdlib.h>

#include "blob/store.h"

struct tide_blob_sweeper {
    struct tide_job job;
    struct tide_blob_store *store;
    uv_timer_t timer;
    int64_t again_ms; /* what the driver wants */
    atomic_bool stop;
};

static void sweep(struct tide_job *job)
{
    struct tide_blob_sweeper *s = (struct tide_blob_sweeper *)job;

    s->again_ms = s->store->driver->sweep(s->store->backend, &s->stop);
}

static void on_timer(uv_timer_t *timer)
{
    struct tide_blob_sweeper *s = timer->data;

    tide_blob_store_run(s->store->writers, &s->job);
}

static void swept(struct tide_job *job)
{
    struct tide_blob_sweeper *s = (struct tide_blob_sweeper *)job;

    if (s->again_ms > 0 && !atomic_load(&s->stop))
        uv_timer_start(&s->timer, on_timer, (uint64_t)s->again_ms, 0);
}

struct tide_blob_sweeper *tide_blob_sweeper_new(struct tide_blob_store *store, uv_loop_t *loop,
                                                struct tide_err *err)
{
    struct tide_blob_sweeper *s = calloc(1, sizeof *s);

    if (!s) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        return NULL;
    }
    s->job = (struct tide_job){.work = sweep, .done = swept};
    s->store = store;
    if (!tide_pool_submit(store->writers, &s->job, err)) {
        free(s);
        return NULL;
    }
    uv_timer_init(loop, &s->timer);
    uv_unref((uv_handle_t *)&s->timer);
    s->timer.data = s;
    return s;
}

void tide_blob_sweeper_stop(struct tide_blob_sweeper *s)
{
    if (!s)
        return;
    atomic_store(&s->stop, true);
    uv_timer_stop(&s->timer);
}

static void free_sweeper(uv_handle_t *timer)
{
    free(timer->data);
}

void tide_blob_sweeper_free(struct tide_blob_sweeper *s)
{
    if (s)
        uv_close((uv_handle_t *)&s->timer, free_sweeper);
}
