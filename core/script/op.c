#include "script/op.h"

#include <assert.h>
#include <lauxlib.h>
#include <stdlib.h>

#include "script/internal.h"

#define MAX_RESULTS 8

/* Yielded by every wait, so that the wrapped coroutine.resume can tell it from a script's own yield. */
static char wait_mark;

static int run_push(lua_State *L)
{
    struct tide_op *op = lua_touserdata(L, 1);

    lua_settop(L, 0);
    return op->type->push(L, op);
}

/* coroutine.running() of scripts: nil in the task's own coroutine as in a main thread, since a script that
 * had it could resume it from another task, or after its end. */
static int running(lua_State *L)
{
    struct tide_task *task = tide_task_running(L);

    if (lua_pushthread(L) || (task && task->co == L))
        lua_pushnil(L);
    return 1;
}

void tide_script_setup_ops(struct tide_state *state)
{
    lua_State *L = state->L;

    lua_pushcfunction(L, run_push);
    state->trampoline_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    tide_state_native(state, L);
    lua_pushcfunction(L, running);
    lua_setfield(L, -2, "running");
    lua_pushlightuserdata(L, &wait_mark);
    lua_setfield(L, -2, "wait_mark");
    lua_pop(L, 1);
}

void tide_op_need_task(lua_State *L, const char *name)
{
    if (!tide_task_running(L))
        luaL_error(L, "%s waits, which is not possible while a bundle loads: call it in a handler", name);
}

void *tide_op_new(lua_State *L, const struct tide_op_type *type)
{
    struct tide_task *task = tide_task_running(L);
    struct tide_op *op;

    tide_op_need_task(L, type->name);
    if (!lua_isyieldable(L))
        luaL_error(L,
                   "%s waits, which is not possible inside string.gsub, table.sort, require or a "
                   "metamethod called from C: collect the values first, then wait",
                   type->name);
    assert(type->size >= sizeof *op);
    op = calloc(1, type->size);
    if (!op)
        luaL_error(L, "not enough memory");
    op->type = type;
    op->task = task;
    task->state->pending_ops++;
    return op;
}

/* The arguments are yielded too, so that they stay on the coroutine's stack: a file that the script no longer
 * holds, as in `return bucket:create{}:commit()`, is not collected while the work uses it. */
int tide_op_wait(lua_State *L, struct tide_op *op)
{
    op->task->op = op;
    lua_pushlightuserdata(L, &wait_mark);
    lua_insert(L, 1);
    return lua_yield(L, lua_gettop(L));
}

static void op_free(struct tide_op *op, struct tide_state *state)
{
    if (op->type->release)
        op->type->release(op);
    free(op);
    state->pending_ops--;
}

void tide_op_drop(struct tide_op *op)
{
    op_free(op, op->task->state);
}

static int push_results(struct tide_state *state, struct tide_op *op)
{
    lua_State *L = state->L;
    int base = lua_gettop(L), rc;
    struct tide_err err;

    lua_rawgeti(L, LUA_REGISTRYINDEX, state->trampoline_ref);
    lua_pushlightuserdata(L, op);
    state->turn.limited = true;
    rc = lua_pcall(L, 1, LUA_MULTRET, 0);
    state->turn.limited = false;
    if (rc != 0) {
        tide_err_set(&err, TIDE_ERR_LIMIT, false, "%s: the result could not be handed over: %s",
                     op->type->name, lua_tostring(L, -1) ? lua_tostring(L, -1) : "?");
        lua_settop(L, base);
        return tide_push_failure(L, &err);
    }
    assert(lua_gettop(L) - base <= MAX_RESULTS);
    return lua_gettop(L) - base;
}

void tide_op_finish(struct tide_op *op)
{
    struct tide_task *task = op->task;
    struct tide_state *state = task->state;
    int count;

    if (task->op != op) { /* the task is gone: `task` is the tombstone of tide_script_op_canceled */
        op_free(op, state);
        free(task);
        tide_script_maybe_free(state);
        return;
    }
    count = push_results(state, op);
    lua_settop(task->co, 0);
    lua_xmove(state->L, task->co, count);
    task->op = NULL;
    op_free(op, state);
    tide_script_resume(task, count);
}

void tide_script_op_canceled(struct tide_task *task)
{
    struct tide_op *op = task->op;
    struct tide_task *tombstone;

    if (!op)
        return;
    task->op = NULL;
    if (op->type->cancel && op->type->cancel(op)) {
        op_free(op, task->state);
        return;
    }
    tombstone = calloc(1, sizeof *tombstone);
    if (!tombstone)
        abort(); /* 100 bytes: nothing sensible can be done without them */
    tombstone->state = task->state;
    op->task = tombstone;
}

int tide_push_failure(lua_State *L, const struct tide_err *err)
{
    struct tide_state *state = tide_state_of(L);

    lua_pushnil(L);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, err->code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, err->message);
    lua_setfield(L, -2, "message");
    lua_pushboolean(L, err->retryable);
    lua_setfield(L, -2, "retryable");
    lua_rawgeti(L, LUA_REGISTRYINDEX, state->failure_ref);
    lua_setmetatable(L, -2);
    return 2;
}
