#include "bind/native.h"

#include <string.h>

#include "bind/bundle_internal.h"

struct tide_bundle *tide_bind_bundle(lua_State *L)
{
    return tide_state_host(tide_state_of(L));
}

const struct tide_services *tide_bind_services(lua_State *L)
{
    return tide_bind_bundle(L)->config.services;
}

void tide_bind_register(lua_State *L, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_setfield(L, -2, functions->name);
    }
}

void *tide_bind_new(lua_State *L, size_t size, const char *type, lua_CFunction gc)
{
    void *data = lua_newuserdata(L, size);

    memset(data, 0, size);
    if (luaL_newmetatable(L, type)) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
    return data;
}

int tide_bind_push_outcome(lua_State *L, bool good, const struct tide_err *err)
{
    if (!good)
        return tide_push_failure(L, err);
    lua_pushboolean(L, 1);
    return 1;
}

bool tide_bind_no_zero(lua_State *L, int first, int last, struct tide_err *err)
{
    for (int i = first; i <= last; i++) {
        size_t len = 0;
        const char *text = lua_type(L, i) == LUA_TSTRING ? lua_tolstring(L, i, &len) : "";

        if (memchr(text, 0, len))
            return tide_err_set(err, TIDE_ERR_INVALID, false, "a byte of 0 in the text '%.40s'", text);
    }
    return true;
}

void tide_bind_need(lua_State *L, const void *service, const char *setting, const char *name)
{
    tide_op_need_task(L, name);
    if (!service)
        luaL_error(L, "the setting '%s' is needed for this and is not given", setting);
}
