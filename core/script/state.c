#include "script/state.h"

#include <assert.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "script/internal.h"

#define DEFAULT_MEMORY (256u << 20)
#define DEFAULT_LOAD_MS 2000

struct tide_state *tide_state_of(lua_State *L)
{
    void *ud;

    lua_getallocf(L, &ud);
    return ud;
}

lua_State *tide_state_main(const struct tide_state *state)
{
    return state->L;
}

const struct tide_state_config *tide_state_config(const struct tide_state *state)
{
    return &state->config;
}

void *tide_state_host(const struct tide_state *state)
{
    return state->config.host;
}

size_t tide_state_tasks(const struct tide_state *state)
{
    return state->task_count;
}

void tide_state_each_task(const struct tide_state *state,
                          void (*each)(void *arg, const struct tide_task *task), void *arg)
{
    for (const struct tide_task *task = state->tasks; task; task = task->next)
        each(arg, task);
}

size_t tide_state_pending(const struct tide_state *state)
{
    return state->pending_ops;
}

void tide_state_native(struct tide_state *state, lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, state->native_ref);
}

/* ---- trusted modules ---- */

static const struct tide_embedded_lua *find_trusted(const struct tide_state *state, const char *name)
{
    const struct tide_embedded_lua *module;
    int i;

    for (i = 0; i < MAX_TRUSTED_TABLES && state->trusted[i]; i++)
        for (module = state->trusted[i]; module->name; module++)
            if (strcmp(module->name, name) == 0)
                return module;
    return NULL;
}

/* load(name): the value of a trusted module, run once as module(native, load). */
static int load_trusted(lua_State *L)
{
    struct tide_state *state = tide_state_of(L);
    const char *name = luaL_checkstring(L, 1);
    const struct tide_embedded_lua *module;

    lua_rawgeti(L, LUA_REGISTRYINDEX, state->trusted_ref);
    lua_getfield(L, -1, name);
    if (!lua_isnil(L, -1))
        return 1;
    lua_pop(L, 1);
    module = find_trusted(state, name);
    if (!module)
        return luaL_error(L, "no trusted module '%s'", name);
    lua_pushfstring(L, "=tide/%s", name);
    if (luaL_loadbuffer(L, module->source, module->len, lua_tostring(L, -1)) != 0)
        return lua_error(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, state->environment_ref);
    lua_setfenv(L, -2);
    tide_state_native(state, L);
    lua_pushcfunction(L, load_trusted);
    lua_call(L, 2, 1);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, -4, name);
    return 1;
}

void tide_state_add_trusted(struct tide_state *state, const struct tide_embedded_lua *table)
{
    int i = 0;

    while (i < MAX_TRUSTED_TABLES && state->trusted[i])
        i++;
    assert(i < MAX_TRUSTED_TABLES);
    state->trusted[i] = table;
}

bool tide_state_require_trusted(struct tide_state *state, const char *name, struct tide_err *err)
{
    lua_State *L = state->L;

    lua_pushcfunction(L, load_trusted);
    lua_pushstring(L, name);
    if (lua_pcall(L, 1, 1, 0) == 0)
        return true;
    tide_err_set(err, TIDE_ERR_INTERNAL, false, "%s", lua_tostring(L, -1) ? lua_tostring(L, -1) : name);
    lua_pop(L, 1);
    return false;
}

int tide_script_pcall(struct tide_state *state, int nargs, int nresults, int64_t cpu_ms)
{
    struct tide_turn before;
    int rc;

    tide_script_begin_turn(state, NULL, cpu_ms, &before);
    rc = lua_pcall(state->L, nargs, nresults, 0);
    tide_script_end_turn(state, &before);
    return rc;
}

int tide_state_pcall(struct tide_state *state, int nargs, int nresults)
{
    return tide_script_pcall(state, nargs, nresults, 0);
}

/* ---- life ---- */

static void *copy_string(const char *text)
{
    return text ? strdup(text) : NULL;
}

static void release_config(struct tide_state_config *config)
{
    free((char *)config->bundle);
    free((char *)config->directory);
    free((char *)config->library);
    free((char *)config->plugins);
}

static void make_tables(struct tide_state *state)
{
    lua_State *L = state->L;

    lua_newtable(L);
    state->native_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    state->trusted_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* The globals of trusted modules: the libraries as they are now, whatever a script does to its own. */
static void make_environment(struct tide_state *state)
{
    lua_State *L = state->L;

    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, LUA_GLOBALSINDEX);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    state->environment_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

static bool prepare(struct tide_state *state, struct tide_err *err)
{
    if (state->config.budget && !tide_script_make_stoppable(state))
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "not enough memory");
    luaL_openlibs(state->L);
    make_tables(state);
    make_environment(state);
    tide_script_setup_ops(state);
    tide_script_setup_stack(state);
    tide_script_setup_limit(state);
    tide_script_setup_loader(state);
    tide_script_setup_check(state);
    tide_state_add_trusted(state, core_script_lua);
    if (!tide_state_require_trusted(state, "failure", err))
        return false;
    state->failure_ref = luaL_ref(state->L, LUA_REGISTRYINDEX);
    if (!tide_state_require_trusted(state, "sandbox", err))
        return false;
    lua_pop(state->L, 1);
    if (state->config.coverage)
        tide_script_cover(state);
    return true;
}

struct tide_state *tide_state_new(const struct tide_state_config *config, struct tide_err *err)
{
    struct tide_state *state = calloc(1, sizeof *state);

    if (!state) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "not enough memory");
        return NULL;
    }
    state->config = *config;
    state->config.bundle = copy_string(config->bundle);
    state->config.directory = copy_string(config->directory);
    state->config.library = copy_string(config->library);
    state->config.plugins = copy_string(config->plugins);
    if (!state->config.memory_max)
        state->config.memory_max = DEFAULT_MEMORY;
    if (!state->config.load_ms)
        state->config.load_ms = DEFAULT_LOAD_MS;
    if (!tide_script_open_memory(state)) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "not enough memory");
        release_config(&state->config);
        free(state);
        return NULL;
    }
    if (!prepare(state, err)) {
        tide_state_free(state);
        return NULL;
    }
    return state;
}

void tide_script_maybe_free(struct tide_state *state)
{
    if (!state->closed || state->pending_ops)
        return;
    release_config(&state->config);
    free(state);
}

void tide_state_free(struct tide_state *state)
{
    tide_script_close_tasks(state);
    tide_script_close_memory(state);
    state->closed = true;
    tide_script_maybe_free(state);
}
