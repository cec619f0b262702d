#include "loop/timer.h"

#include <stdbool.h>
#include <stdlib.h>

struct tide_timer {
    uv_timer_t handle;
    void (*due)(void *arg);
    void *arg;
    struct tide_timers *among;
    bool listed;
    struct tide_timer *next, **prev;
};

/* ---- the list ---- */

static void enter(struct tide_timer *timer)
{
    struct tide_timers *timers = timer->among;

    if (!timers)
        return;
    timer->listed = true;
    timer->next = NULL;
    timer->prev = timers->last;
    *timers->last = timer;
    timers->last = &timer->next;
}

static void leave(struct tide_timer *timer)
{
    if (!timer->listed)
        return;
    timer->listed = false;
    *timer->prev = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
    else
        timer->among->last = timer->prev;
}

void tide_timers_init(struct tide_timers *timers)
{
    timers->first = NULL;
    timers->last = &timers->first;
}

int64_t tide_timers_next(const struct tide_timers *timers)
{
    int64_t next = -1;

    for (const struct tide_timer *timer = timers->first; timer; timer = timer->next) {
        int64_t left = (int64_t)uv_timer_get_due_in(&timer->handle);
        if (next < 0 || left < next)
            next = left;
    }
    return next;
}

/* ---- a timer ---- */

static void on_timer(uv_timer_t *handle)
{
    struct tide_timer *timer = handle->data;

    leave(timer);
    timer->due(timer->arg);
}

static void run_for(struct tide_timer *timer, int64_t ms)
{
    uv_timer_start(&timer->handle, on_timer, (uint64_t)ms, 0);
}

struct tide_timer *tide_timer_new(uv_loop_t *loop, struct tide_timers *among, void (*due)(void *arg),
                                  void *arg)
{
    struct tide_timer *timer = calloc(1, sizeof *timer);

    if (!timer)
        return NULL;
    uv_timer_init(loop, &timer->handle);
    timer->handle.data = timer;
    timer->among = among;
    timer->due = due;
    timer->arg = arg;
    return timer;
}

void tide_timer_start(struct tide_timer *timer, int64_t ms)
{
    tide_timer_stop(timer);
    uv_update_time(timer->handle.loop);
    run_for(timer, ms);
    enter(timer);
}

void tide_timer_stop(struct tide_timer *timer)
{
    uv_timer_stop(&timer->handle);
    leave(timer);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void tide_timer_free(struct tide_timer *timer)
{
    if (!timer)
        return;
    tide_timer_stop(timer);
    uv_close((uv_handle_t *)&timer->handle, on_closed);
}

void tide_timers_advance(struct tide_timers *timers, int64_t ms)
{
    for (struct tide_timer *timer = timers->first; timer; timer = timer->next) {
        int64_t left = (int64_t)uv_timer_get_due_in(&timer->handle) - ms;
        run_for(timer, left < 0 ? 0 : left);
    }
}
