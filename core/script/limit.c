/*
 * The end of a load that does not end by itself, as with `while true do end` at the top of a file. A hook
 * counts instructions and looks at the CPU's time now and then; compiled code has no hooks, so the load is
 * interpreted.
 */
#include <lauxlib.h>
#include <luajit.h>
#include <string.h>
#include <time.h>

#include "script/internal.h"

#define DEFAULT_LOAD_MS 10000
#define LOOK_EVERY 100000 /* instructions */

static int64_t cpu_ms(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* Where the script is, behind the engine's own functions that it may have called. */
static void push_place(lua_State *L)
{
    lua_Debug at;

    for (int level = 0; lua_getstack(L, level, &at); level++)
        if (lua_getinfo(L, "Sl", &at) && at.source[0] == '@') {
            lua_pushfstring(L, "%s:%d: ", at.source + 1, at.currentline);
            return;
        }
    lua_pushliteral(L, "");
}

/* Once late, before every instruction of the script, so that no pcall in a loop keeps it going; but not of
 * the engine's, which has the failure to tell. */
void tide_script_check_load(lua_State *L, lua_Debug *where)
{
    struct tide_state *state = tide_state_of(L);

    if (!state->load_end_ms || cpu_ms() < state->load_end_ms)
        return;
    lua_sethook(L, tide_script_check_load, LUA_MASKCOUNT, 1);
    if (!lua_getinfo(L, "S", where) || strncmp(where->source, "=tide/", 6) == 0)
        return;
    push_place(L);
    lua_pushfstring(L,
                    "the file did not end within %d s of CPU time: what repeats belongs in a handler, "
                    "tide.every or a queue",
                    (int)((state->config.load_ms + 999) / 1000));
    lua_concat(L, 2);
    lua_error(L);
}

void tide_script_watch_load(struct tide_state *state)
{
    if (state->load_end_ms)
        lua_sethook(state->L, tide_script_check_load, LUA_MASKCOUNT, LOOK_EVERY);
    else
        lua_sethook(state->L, NULL, 0, 0);
}

void tide_script_begin_load(struct tide_state *state)
{
    if (!state->config.load_ms)
        state->config.load_ms = DEFAULT_LOAD_MS;
    state->load_end_ms = cpu_ms() + state->config.load_ms;
    luaJIT_setmode(state->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    tide_script_watch_load(state);
}

void tide_script_end_load(struct tide_state *state)
{
    state->load_end_ms = 0;
    if (!state->alarm) /* memory.c: its hook has still to run */
        tide_script_watch_load(state);
    luaJIT_setmode(state->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
}
