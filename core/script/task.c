#include "script/task.h"

#include <assert.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/guards.h"
#include "script/internal.h"

struct tide_task *tide_task_running(lua_State *L)
{
    return tide_state_of(L)->turn.task;
}

struct tide_state *tide_task_state(const struct tide_task *task)
{
    return task->state;
}

void *tide_task_arg(const struct tide_task *task)
{
    return task->arg;
}

const char *tide_task_label(const struct tide_task *task)
{
    return task->label;
}

const char *tide_task_traceback(const struct tide_task *task)
{
    return task->traceback ? task->traceback : "";
}

const char *tide_task_waits_for(const struct tide_task *task)
{
    return task->op ? task->op->type->name : NULL;
}

void tide_task_push_thread(const struct tide_task *task, lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, task->co_ref);
}

void tide_task_place(const struct tide_task *task, char text[TIDE_PLACE])
{
    text[0] = '\0';
    tide_state_place(task->co, text, TIDE_PLACE);
}

/* ---- resources ---- */

/* A spec, which nobody confines, wants to know it. */
static void note_place(lua_State *L, const struct tide_task *task, struct tide_resource *resource)
{
    char text[TIDE_PLACE];

    resource->where = NULL;
    if (task->state->config.sandbox)
        return;
    text[0] = '\0';
    tide_state_place(L, text, TIDE_PLACE);
    resource->where = strdup(text);
}

static void own(lua_State *L, struct tide_task *task, struct tide_resource *resource)
{
    note_place(L, task, resource);
    resource->next = task->resources;
    resource->prev = &task->resources;
    if (resource->next)
        resource->next->prev = &resource->next;
    task->resources = resource;
}

void tide_resource_own(lua_State *L, struct tide_resource *resource)
{
    struct tide_task *task = tide_task_running(L);

    resource->prev = NULL;
    if (task)
        own(L, task, resource);
}

void tide_resource_own_by(struct tide_task *task, struct tide_resource *resource)
{
    own(task->co, task, resource);
}

void tide_resource_disown(struct tide_resource *resource)
{
    if (!resource->prev)
        return;
    *resource->prev = resource->next;
    if (resource->next)
        resource->next->prev = resource->prev;
    resource->prev = NULL;
    free(resource->where);
    resource->where = NULL;
}

void tide_task_each_resource(const struct tide_task *task,
                             void (*each)(void *arg, const struct tide_resource *resource), void *arg)
{
    for (const struct tide_resource *resource = task->resources; resource; resource = resource->next)
        each(arg, resource);
}

static void close_resources(struct tide_task *task)
{
    struct tide_resource *resource;

    while ((resource = task->resources)) {
        tide_resource_disown(resource);
        resource->close(resource);
    }
}

/* ---- deadlines ---- */

static void on_deadline(void *arg)
{
    struct tide_task *task = arg;
    struct tide_err err;

    tide_err_set(&err, TIDE_ERR_TIMEOUT, true, "%s did not end within its timeout of %.6g s", task->label,
                 (double)task->limits.timeout_ms / 1000);
    tide_task_cancel(task, &err);
}

static void arm_deadline(struct tide_task *task)
{
    const struct tide_state_config *config = &task->state->config;

    if (task->limits.timeout_ms <= 0 || !tide_guards_on())
        return;
    if (!task->deadline)
        task->deadline = tide_timer_new(config->loop, config->timers, on_deadline, task);
    if (!task->deadline)
        return;
    tide_timer_start(task->deadline, task->limits.timeout_ms);
}

/* ---- life ---- */

static struct tide_task *task_take(struct tide_state *state)
{
    struct tide_task *task = state->spare;

    if (task) {
        state->spare = task->next;
        return task;
    }
    task = calloc(1, sizeof *task);
    if (!task)
        abort(); /* 100 bytes: nothing sensible can be done without them */
    task->state = state;
    task->co_ref = LUA_NOREF;
    return task;
}

static void task_link(struct tide_task *task)
{
    struct tide_state *state = task->state;

    task->next = state->tasks;
    task->prev = &state->tasks;
    if (task->next)
        task->next->prev = &task->next;
    state->tasks = task;
    state->task_count++;
}

static void task_unlink(struct tide_task *task)
{
    *task->prev = task->next;
    if (task->next)
        task->next->prev = task->prev;
    task->state->task_count--;
}

static void drop_coroutine(struct tide_task *task)
{
    luaL_unref(task->state->L, LUA_REGISTRYINDEX, task->co_ref);
    task->co_ref = LUA_NOREF;
    task->co = NULL;
}

static void task_free(struct tide_task *task)
{
    tide_timer_free(task->deadline);
    free(task->traceback);
    free(task);
}

/* Tells the owner, closes what the task left open, and keeps the struct (with a clean coroutine) for the
 * next. */
static void task_over(struct tide_task *task, enum tide_task_end end, int nresults,
                      const struct tide_err *err)
{
    struct tide_state *state = task->state;

    if (task->deadline)
        tide_timer_stop(task->deadline);
    if (task->over)
        *task->over = true;
    task->over = NULL;
    task_unlink(task);
    task->end(task->arg, task, end, end == TIDE_TASK_ENDED ? NULL : task->co, nresults, err);
    close_resources(task);
    if (end == TIDE_TASK_RETURNED)
        lua_settop(task->co, 0);
    else
        drop_coroutine(task);
    free(task->traceback);
    task->traceback = NULL;
    task->next = state->spare;
    state->spare = task;
}

static void keep_traceback(struct tide_task *task)
{
    lua_State *L = task->state->L;
    const char *text;

    luaL_traceback(L, task->co, NULL, 0);
    text = lua_tostring(L, -1);
    task->traceback = text ? strdup(text) : NULL;
    lua_pop(L, 1);
}

static void task_raised(struct tide_task *task)
{
    struct tide_err err;

    keep_traceback(task);
    tide_err_set(&err, TIDE_ERR_INTERNAL, true, "%s raised an error", task->label);
    task_over(task, TIDE_TASK_RAISED, 1, &err);
}

void tide_script_resume(struct tide_task *task, int nargs)
{
    struct tide_state *state = task->state;
    struct tide_turn before;
    int rc;

    if (state->memory > state->config.memory_max)
        tide_script_collect(state); /* what a script left that ended at the cap, or before it heard of it */
    tide_script_begin_turn(state, task, task->limits.cpu_ms, &before);
    rc = lua_resume(task->co, nargs);
    tide_script_end_turn(state, &before);
    if (rc == LUA_YIELD && task->op)
        return;
    if (rc == LUA_YIELD) {
        lua_settop(task->co, 0);
        lua_pushliteral(task->co, "coroutine.yield outside a coroutine of the script's own");
        task_raised(task);
    } else if (rc == 0) {
        task_over(task, TIDE_TASK_RETURNED, lua_gettop(task->co), NULL);
    } else {
        task_raised(task);
    }
}

struct tide_task *tide_task_start(struct tide_state *state, int nargs, const char *label,
                                  struct tide_task_limits limits, tide_task_end_cb *end, void *arg)
{
    struct tide_task *task = task_take(state);
    lua_State *L = state->L;
    bool over = false;

    if (task->co_ref == LUA_NOREF) {
        task->co = lua_newthread(L);
        task->co_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    task->label = label;
    task->end = end;
    task->arg = arg;
    task->op = NULL;
    task->resources = NULL;
    task_link(task);
    lua_xmove(L, task->co, nargs + 1);
    task->limits = limits;
    arm_deadline(task);
    task->over = &over;
    tide_script_resume(task, nargs);
    if (over)
        return NULL;
    task->over = NULL;
    return task;
}

void tide_task_cancel(struct tide_task *task, const struct tide_err *why)
{
    assert(task != task->state->turn.task && task->op);
    tide_script_op_canceled(task);
    task_over(task, TIDE_TASK_ENDED, 0, why);
}

void tide_state_end_tasks(struct tide_state *state)
{
    struct tide_err err;

    tide_err_set(&err, TIDE_ERR_CANCELED, true, "the bundle '%s' is being closed", state->config.bundle);
    while (state->tasks)
        tide_task_cancel(state->tasks, &err);
}

void tide_script_close_tasks(struct tide_state *state)
{
    struct tide_task *task;

    tide_state_end_tasks(state);
    while ((task = state->spare)) {
        state->spare = task->next;
        task_free(task);
    }
}
