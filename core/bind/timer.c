/* Timers that a bundle declared with tide.every. A run that is still busy when the next is due is not joined
 * by another. */
#include <stdlib.h>

#include "bind/bundle_internal.h"

static void on_tick_end(void *arg, struct tide_task *task, enum tide_task_end end, lua_State *L, int nresults,
                        const struct tide_err *err)
{
    struct timer *timer = arg;
    struct failure failure;

    (void)nresults;
    timer->busy = false;
    timer->bundle->ticks--;
    if (end == TIDE_TASK_RAISED)
        tide_bundle_failure(timer->bundle, task, L, &failure);
    else if (end == TIDE_TASK_ENDED)
        tide_log_event(timer->bundle->config.services->log, TIDE_LOG_WARN, "timer ended",
                       tide_log_str("bundle", timer->bundle->config.name),
                       tide_log_str("generation", timer->bundle->generation),
                       tide_log_str("handler", timer->label), tide_log_str("code", err->code),
                       tide_log_str("message", err->message));
}

static void tick(struct timer *timer)
{
    struct tide_bundle *bundle = timer->bundle;
    lua_State *L = tide_state_main(bundle->state);

    if (timer->busy)
        return;
    timer->busy = true;
    bundle->ticks++;
    lua_rawgeti(L, LUA_REGISTRYINDEX, bundle->entry_timer);
    lua_pushinteger(L, timer->index);
    tide_task_start(bundle->state, 1, timer->label, timer->limits, on_tick_end, timer);
}

static void on_tick(uv_timer_t *handle)
{
    tick(handle->data);
}

size_t tide_bundle_timers(const struct tide_bundle *bundle)
{
    return bundle->timer_count;
}

int64_t tide_bundle_timer_ms(const struct tide_bundle *bundle, size_t index)
{
    return bundle->timers[index]->interval_ms;
}

void tide_bundle_tick(struct tide_bundle *bundle, size_t index)
{
    tick(bundle->timers[index]);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void tide_bundle_start_timers(struct tide_bundle *bundle)
{
    size_t i;

    for (i = 0; i < bundle->timer_count; i++) {
        struct timer *timer = bundle->timers[i];

        timer->handle = calloc(1, sizeof *timer->handle);
        if (!timer->handle)
            return;
        uv_timer_init(bundle->config.services->loop, timer->handle);
        timer->handle->data = timer;
        uv_timer_start(timer->handle, on_tick, (uint64_t)timer->interval_ms, (uint64_t)timer->interval_ms);
    }
}

void tide_bundle_stop_timers(struct tide_bundle *bundle)
{
    size_t i;

    for (i = 0; i < bundle->timer_count; i++) {
        if (bundle->timers[i]->handle)
            uv_close((uv_handle_t *)bundle->timers[i]->handle, free_handle);
        bundle->timers[i]->handle = NULL;
    }
}
