/*
 * The memory of a state: from LuaJIT's own allocator (a request takes 7 % less time than with malloc, which
 * is made for threads), counted, and capped while a script runs. The engine's own few allocations (a
 * coroutine, an argument) happen outside of protected calls and never fail.
 *
 * An allocation must not simply fail at the cap: LuaJIT lets garbage grow to twice of what is used and does
 * not collect when memory is short, and an allocation that fails in compiled code may crash the process. So
 * what passes the cap is granted, up to twice of it, and an alarm set: the collector is made to bring
 * compiled code back to the interpreter, where a hook collects what is garbage, and ends the script when that
 * was not enough.
 */
#include <lauxlib.h>

#include "script/internal.h"

#define STEPMUL 200 /* LuaJIT's own */

size_t tide_state_memory(const struct tide_state *state)
{
    return state->memory;
}

void tide_script_collect(struct tide_state *state)
{
    state->alarm = false;
    tide_script_set_hook(state);
    lua_gc(state->L, LUA_GCSETSTEPMUL, STEPMUL);
    lua_gc(state->L, LUA_GCCOLLECT, 0);
}

/* A sixteenth has to be free afterwards, lest the script only collects from then on. */
bool tide_script_make_room(struct tide_state *state)
{
    tide_script_collect(state);
    return state->memory <= state->config.memory_max / 16 * 15;
}

/* From within an allocation: all of this only sets numbers and flags. A whole cycle at the collector's next
 * check leaves compiled code, since that can't run its last phase. */
static void set_alarm(struct tide_state *state)
{
    state->alarm = true;
    tide_script_set_hook(state);
    lua_gc(state->L, LUA_GCSETSTEPMUL, 0);
    lua_gc(state->L, LUA_GCRESTART, 0);
}

static bool may_use(struct tide_state *state, size_t bytes)
{
    if (!state->turn.limited || bytes <= state->config.memory_max)
        return true;
    if (!state->alarm)
        set_alarm(state);
    return bytes / 2 <= state->config.memory_max;
}

static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    struct tide_state *state = ud;
    void *fresh;

    if (new_size > old_size && !may_use(state, state->memory + (new_size - old_size)))
        return NULL;
    fresh = state->heap(state->heap_arg, ptr, old_size, new_size);
    if (fresh || new_size == 0)
        state->memory += new_size - old_size;
    return fresh;
}

bool tide_script_open_memory(struct tide_state *state)
{
    lua_State *L = luaL_newstate();

    if (!L)
        return false;
    state->L = L;
    state->heap = lua_getallocf(L, &state->heap_arg);
    state->memory = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
    lua_setallocf(L, allocate, state);
    return true;
}

void tide_script_close_memory(struct tide_state *state)
{
    lua_setallocf(state->L, state->heap, state->heap_arg); /* lua_close destroys its own allocator only */
    lua_close(state->L);
    state->L = NULL;
}
