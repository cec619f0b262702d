/* The parsers that the trusted module "check" uses for quantities. */
#include <lauxlib.h>

#include "base/unit.h"
#include "script/internal.h"

static int push_integer(lua_State *L, bool good, int64_t value)
{
    if (!good)
        return 0;
    lua_pushnumber(L, (lua_Number)value);
    return 1;
}

static int unit_duration(lua_State *L)
{
    int64_t ms = 0;
    bool good = tide_unit_duration(luaL_checkstring(L, 1), &ms, NULL);

    return push_integer(L, good, ms);
}

static int unit_size(lua_State *L)
{
    int64_t bytes = 0;
    bool good = tide_unit_size(luaL_checkstring(L, 1), &bytes, NULL);

    return push_integer(L, good, bytes);
}

static int unit_rate(lua_State *L)
{
    double per_second;

    if (!tide_unit_rate(luaL_checkstring(L, 1), &per_second, NULL))
        return 0;
    lua_pushnumber(L, per_second);
    return 1;
}

void tide_script_setup_check(struct tide_state *state)
{
    lua_State *L = state->L;

    tide_state_native(state, L);
    lua_pushcfunction(L, unit_duration);
    lua_setfield(L, -2, "unit_duration");
    lua_pushcfunction(L, unit_size);
    lua_setfield(L, -2, "unit_size");
    lua_pushcfunction(L, unit_rate);
    lua_setfield(L, -2, "unit_rate");
    lua_pop(L, 1);
}
