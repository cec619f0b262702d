/*
 * How a script is stopped in the middle of what it does: a hook before its next instruction, which raises an
 * error. It stays until the turn is over, so that no pcall in a loop keeps the script going. The same hook
 * notes the lines that run, for the coverage of specs.
 *
 * Compiled code has no hooks. But LuaJIT's own profiler can reach it: a state that was told to be profiled by
 * lines compiles each line with a look at a flag, which costs nothing that could be measured, and leaves
 * compiled code when the profiler's signal has set it. There is one profiler in a process, and it belongs to
 * one state. So the states are told to compile that way while it is in use by another one, and it is started
 * only for the script that has to be stopped.
 */
#include <lauxlib.h>
#include <luajit.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "script/internal.h"

#define NEVER "i1000000000" /* the profiler's interval in ms: its own timer is not wanted */
#define SPARED_TICKS 4      /* for the engine's own functions to tell the failure */
#define WORDS_S 3           /* for the last words of a process */

/* ---- where ---- */

/* The script's function that one of the engine's was called with first: a handler. */
static bool find_handler(lua_State *L, lua_Debug *at, char *place, size_t size)
{
    bool found = strncmp(at->source, "=tide/", 6) == 0 && lua_getlocal(L, at, 1);

    if (!found)
        return false;
    found = lua_isfunction(L, -1);
    if (!found || !lua_getinfo(L, ">S", at)) {
        lua_pop(L, 1);
        return false;
    }
    if (at->source[0] == '@')
        snprintf(place, size, "%s:%d", at->source + 1, at->linedefined);
    return at->source[0] == '@';
}

/* Where the script is, behind the engine's own functions that it may have called; or else where its handler
 * begins, since `return f()` leaves nothing of it on the stack. */
void tide_state_place(lua_State *L, char *place, size_t size)
{
    lua_Debug at;

    for (int level = 0; lua_getstack(L, level, &at); level++) {
        if (!lua_getinfo(L, "Sl", &at))
            continue;
        if (at.source[0] == '@') {
            snprintf(place, size, "%s:%d", at.source + 1, at.currentline);
            return;
        }
        if (find_handler(L, &at, place, size))
            return;
    }
}

/* ---- what it logs ---- */

size_t tide_state_logged(struct tide_state *state, size_t bytes)
{
    size_t before = state->turn.logged;

    state->turn.logged += bytes;
    return before;
}

/* ---- the hook ---- */

static void raise_late(lua_State *L, lua_Debug *where)
{
    struct tide_state *state = tide_state_of(L);
    const struct tide_turn *turn = &state->turn;

    if (!lua_getinfo(L, "S", where) ||
        (strncmp(where->source, "=tide/", 6) == 0 && state->late <= SPARED_TICKS))
        return;
    if (!state->place[0])
        tide_state_place(L, state->place, sizeof state->place);
    lua_pushfstring(L, "%s%s", state->place, state->place[0] ? ": " : "");
    if (turn->task)
        lua_pushfstring(L,
                        "the handler used %f s of CPU time without a wait: it has to wait in between "
                        "(tide.sleep), or to be given more (the option cpu, the setting limits.script_cpu)",
                        (lua_Number)turn->cpu_ms / 1000);
    else
        lua_pushfstring(L,
                        "the file did not end within %f s of CPU time: what repeats belongs in a handler, "
                        "tide.every or a queue",
                        (lua_Number)turn->cpu_ms / 1000);
    lua_concat(L, 2);
    lua_error(L);
}

static void raise_full(lua_State *L)
{
    char place[sizeof tide_state_of(L)->place] = "";

    tide_state_place(L, place, sizeof place);
    luaL_error(L, "%s%snot enough memory", place, place[0] ? ": " : "");
}

static void count_line(lua_State *L, lua_Debug *where)
{
    if (lua_getinfo(L, "Sl", where) && where->source[0] == '@')
        tide_coverage_hit(tide_state_of(L)->config.coverage, where->source + 1, where->currentline);
}

static void on_hook(lua_State *L, lua_Debug *where)
{
    struct tide_state *state = tide_state_of(L);

    if (where->event == LUA_HOOKLINE) {
        count_line(L, where);
        return;
    }
    if (state->alarm && !tide_script_make_room(state))
        raise_full(L);
    if (state->late)
        raise_late(L, where);
}

void tide_script_set_hook(struct tide_state *state)
{
    int mask =
        (state->alarm || state->late ? LUA_MASKCOUNT : 0) | (state->config.coverage ? LUA_MASKLINE : 0);

    lua_sethook(state->L, mask ? on_hook : NULL, mask, 1);
}

/* Whether the script is to be ended. */
static int is_over(lua_State *L)
{
    const struct tide_state *state = tide_state_of(L);

    lua_pushboolean(L, state->late || state->alarm);
    return 1;
}

void tide_script_setup_limit(struct tide_state *state)
{
    lua_State *L = state->L;

    tide_state_native(state, L);
    lua_pushcfunction(L, is_over);
    lua_setfield(L, -2, "is_over");
    lua_pop(L, 1);
}

void tide_script_cover(struct tide_state *state)
{
    luaJIT_setmode(state->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    tide_script_set_hook(state);
}

/* ---- compiled code ---- */

static void ignore(void *data, lua_State *L, int samples, int vmstate)
{
    (void)data;
    (void)L;
    (void)samples;
    (void)vmstate;
}

bool tide_script_make_stoppable(struct tide_state *state)
{
    lua_State *other = luaL_newstate();

    if (!other)
        return false;
    luaJIT_profile_start(other, NEVER, ignore, NULL);
    luaJIT_profile_start(state->L, "l", ignore, NULL);
    luaJIT_profile_stop(other);
    lua_close(other);
    return true;
}

/* In the handler of a signal, for which luajit.c shows lua_sethook, and the profiler is made for signals. */
void tide_script_stop(struct tide_state *state)
{
    state->late++;
    tide_script_set_hook(state);
    if (!state->profiled)
        luaJIT_profile_start(state->L, NEVER, ignore, NULL);
    state->profiled = true;
    raise(SIGPROF);
}

void tide_script_calm(struct tide_state *state)
{
    state->late = 0;
    state->place[0] = '\0';
    tide_script_set_hook(state);
    if (!state->profiled)
        return;
    luaJIT_profile_stop(state->L);
    state->profiled = false;
    tide_script_make_stoppable(state);
}

/* ---- the end of the process ---- */

/* In the handler of a signal, too; but what it interrupts is the script's, in a function of Lua's library,
 * and never goes on. Should that hold a lock that is needed here, the alarm ends the process. */
void tide_script_give_up(struct tide_state *state)
{
    const struct tide_state_config *config = &state->config;
    const struct tide_task *task = state->turn.task;
    struct tide_err why;

    alarm(WORDS_S);
    if (!state->place[0])
        tide_state_place(task ? task->co : state->L, state->place, sizeof state->place);
    tide_log_event(
        config->log, TIDE_LOG_ERROR, "a script can't be stopped: its process ends",
        tide_log_str("bundle", config->bundle),
        tide_log_str("generation", config->content ? tide_content_generation(config->content) : NULL),
        tide_log_str("handler", task ? task->label : NULL),
        tide_log_str("at", state->place[0] ? state->place : NULL),
        tide_log_int("cpu_ms", state->turn.cpu_ms));
    if (config->log)
        tide_log_flush(config->log);
    tide_err_set(&why, TIDE_ERR_INTERNAL, true,
                 "%s%sthe handler used %.6g s of CPU time without a wait and could not be stopped: its "
                 "process ended",
                 state->place, state->place[0] ? ": " : "", (double)state->turn.cpu_ms / 1000);
    if (task && task->limits.fatal)
        task->limits.fatal(task->arg, &why);
    _exit(EX_SOFTWARE);
}
