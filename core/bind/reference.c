/* Runs lua/reference.lua in a state of its own, in which the descriptions keep their prose. */
#include "bind/reference.h"

#include <lauxlib.h>

#include "script/state.h"

/* Takes the results of the function: text, or nil and why not. */
static bool take(lua_State *L, struct tide_buf *out, struct tide_err *err)
{
    size_t len;
    const char *text = lua_tolstring(L, -2, &len);

    if (!text)
        return tide_err_set(err, TIDE_ERR_NOT_FOUND, false, "%s", lua_tostring(L, -1));
    if (!tide_buf_append(out, text, len))
        return tide_err_set(err, TIDE_ERR_LIMIT, false, "the reference is too long");
    return true;
}

static bool write_form(const char *form, const char *name, const char *plugins, struct tide_buf *out,
                       struct tide_err *err)
{
    struct tide_state_config config = {
        .bundle = "reference", .directory = ".", .plugins = plugins, .sandbox = true};
    struct tide_state *state = tide_state_new(&config, err);
    lua_State *L;
    bool good;

    if (!state)
        return false;
    tide_state_add_trusted(state, core_bind_lua);
    good = tide_state_require_trusted(state, "reference", err);
    if (good) {
        L = tide_state_main(state);
        lua_getfield(L, -1, form);
        lua_pushstring(L, name);
        good = lua_pcall(L, 1, 2, 0) == 0
                   ? take(L, out, err)
                   : tide_err_set(err, TIDE_ERR_INTERNAL, false, "%s", lua_tostring(L, -1));
    }
    tide_state_free(state);
    return good;
}

bool tide_reference_markdown(struct tide_buf *out, struct tide_err *err)
{
    return write_form("markdown", NULL, NULL, out, err);
}

bool tide_reference_annotations(const char *plugins, struct tide_buf *out, struct tide_err *err)
{
    return write_form("annotations", NULL, plugins, out, err);
}

bool tide_reference_help(const char *name, const char *plugins, struct tide_buf *out, struct tide_err *err)
{
    return write_form("help", name, plugins, out, err);
}
