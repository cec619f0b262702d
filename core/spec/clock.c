/*
 * The clock of the bundles under test. The spec moves it on from one moment at which something is due to the
 * next, and lets the bundles come to rest there: until then their work goes on in real time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bind/native.h"
#include "script/state.h"
#include "script/task.h"
#include "spec/internal.h"

/* ---- a pause in real time ---- */

#define PAUSE "pause"

struct pause_op {
    struct tide_op op;
    struct tide_timer *timer;
};

static int pause_push(lua_State *L, struct tide_op *op)
{
    (void)L, (void)op;
    return 0;
}

static bool pause_cancel(struct tide_op *op)
{
    (void)op;
    return true;
}

static void pause_release(struct tide_op *op)
{
    tide_timer_free(((struct pause_op *)op)->timer);
}

static const struct tide_op_type pause_type = {.name = PAUSE,
                                               .size = sizeof(struct pause_op),
                                               .push = pause_push,
                                               .cancel = pause_cancel,
                                               .release = pause_release};

static void on_pause(void *arg)
{
    tide_op_finish(arg);
}

/* spec_pause(ms) */
static int spec_pause(lua_State *L)
{
    int64_t ms = (int64_t)luaL_checknumber(L, 1);
    struct pause_op *self = tide_op_new(L, &pause_type);

    self->timer = tide_timer_new(&tide_spec_run_of(L)->loop, NULL, on_pause, self);
    if (!self->timer)
        abort(); /* 200 bytes: nothing sensible can be done without them */
    tide_timer_start(self->timer, ms);
    return tide_op_wait(L, &self->op);
}

/* ---- at rest ---- */

struct rest {
    size_t asking; /* tasks that wait for a task: of a bundle under test, if there are as many */
    const struct tide_task *busy, *asks; /* one of them, or NULL */
};

static void look(void *arg, const struct tide_task *task)
{
    struct rest *rest = arg;
    const char *what = tide_task_waits_for(task);

    if (!what || strcmp(what, "tide.sleep") == 0 || strcmp(what, PAUSE) == 0)
        return;
    if (strcmp(what, "tide.http") == 0 || strcmp(what, "app:call") == 0) {
        rest->asking++;
        rest->asks = task;
    } else {
        rest->busy = task;
    }
}

/* spec_busy(): what keeps the clock from being moved on, as text; nil when all wait for it. A request may
 * wait for a handler that sleeps; one for which no handler is there yet is under way. */
static int spec_busy(lua_State *L)
{
    const struct run *run = tide_spec_run_of(L);
    struct rest rest = {0};
    size_t asked = tide_bundle_in_flight(run->spec);

    if (tide_timers_next(&run->timers) == 0) {
        lua_pushliteral(L, "a timer");
        return 1;
    }
    tide_state_each_task(tide_bundle_state(run->spec), look, &rest);
    for (const struct app *app = run->apps; app; app = app->next) {
        tide_state_each_task(tide_bundle_state(app->bundle), look, &rest);
        asked += tide_bundle_asked(app->bundle);
    }
    if (!rest.busy && rest.asking > asked)
        rest.busy = rest.asks;
    if (!rest.busy)
        return 0;
    lua_pushfstring(L, "'%s', which waits for %s", tide_task_label(rest.busy),
                    tide_task_waits_for(rest.busy));
    return 1;
}

/* ---- steps ---- */

bool tide_spec_clock_start(struct app *app)
{
    size_t count = tide_bundle_timers(app->bundle);

    app->due_ms = calloc(count + 1, sizeof *app->due_ms);
    for (size_t i = 0; app->due_ms && i < count; i++)
        app->due_ms[i] = app->run->clock_ms + tide_bundle_timer_ms(app->bundle, i);
    return app->due_ms != NULL;
}

/* Of tide.every; at most `limit`. */
static int64_t next_tick(const struct run *run, int64_t limit)
{
    for (const struct app *app = run->apps; app; app = app->next)
        for (size_t i = 0, count = tide_bundle_timers(app->bundle); i < count; i++)
            if (app->due_ms[i] - run->clock_ms < limit)
                limit = app->due_ms[i] - run->clock_ms;
    return limit;
}

static void start_ticks(const struct run *run)
{
    for (const struct app *app = run->apps; app; app = app->next)
        for (size_t i = 0, count = tide_bundle_timers(app->bundle); i < count; i++)
            if (app->due_ms[i] <= run->clock_ms) {
                app->due_ms[i] += tide_bundle_timer_ms(app->bundle, i);
                tide_bundle_tick(app->bundle, i);
            }
}

static void move_time_of_day(struct run *run, int64_t ms)
{
    run->ahead_ms += ms;
    tide_clock_advance_ms(ms);
}

/* spec_jump(ms): moves the time of day on, until the end of the run */
static int spec_jump(lua_State *L)
{
    move_time_of_day(tide_spec_run_of(L), (int64_t)luaL_checknumber(L, 1));
    return 0;
}

/* spec_step(ms): moves the clock on to what is due next, by that at most, and starts it; by how much */
static int spec_step(lua_State *L)
{
    struct run *run = tide_spec_run_of(L);
    int64_t ms = next_tick(run, (int64_t)luaL_checknumber(L, 1)), timer = tide_timers_next(&run->timers);

    if (timer >= 0 && timer < ms)
        ms = timer;
    run->clock_ms += ms;
    move_time_of_day(run, ms);
    tide_timers_advance(&run->timers, ms);
    start_ticks(run);
    lua_pushnumber(L, (lua_Number)ms);
    return 1;
}

/* spec_tick(app): starts every timer's handler */
static int spec_tick(lua_State *L)
{
    const struct app *app = tide_spec_check_app(L);

    for (size_t i = 0, count = tide_bundle_timers(app->bundle); i < count; i++)
        tide_bundle_tick(app->bundle, i);
    return 0;
}

void tide_spec_clock_functions(lua_State *L, struct run *run)
{
    static const luaL_Reg functions[] = {
        {"spec_pause", spec_pause}, {"spec_busy", spec_busy}, {"spec_jump", spec_jump},
        {"spec_step", spec_step},   {"spec_tick", spec_tick}, {NULL, NULL},
    };

    tide_spec_register(L, run, functions);
}
