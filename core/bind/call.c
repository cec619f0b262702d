/* Calls one function of a bundle's module from outside of requests and messages: the command line. */
#include <string.h>

#include "bind/bundle_internal.h"

struct outside_call {
    struct tide_bundle *bundle;
    struct tide_buf *result;
    struct tide_err *err;
    bool over, good;
};

/* The static string of the codes that callers tell apart. */
static const char *code_of(const char *code)
{
    if (code && strcmp(code, TIDE_ERR_EXISTS) == 0)
        return TIDE_ERR_EXISTS;
    if (code && strcmp(code, TIDE_ERR_NOT_FOUND) == 0)
        return TIDE_ERR_NOT_FOUND;
    return TIDE_ERR_INVALID;
}

static void on_call_end(void *arg, struct tide_task *task, enum tide_task_end end, lua_State *L, int nresults,
                        const struct tide_err *err)
{
    struct outside_call *call = arg;
    struct failure failure;
    const char *text;
    size_t len;

    call->over = true;
    if (end == TIDE_TASK_RAISED) {
        tide_bundle_failure(call->bundle, task, L, &failure);
        tide_err_set(call->err, TIDE_ERR_INTERNAL, failure.retryable, "%s", failure.message);
    } else if (end == TIDE_TASK_ENDED) {
        *call->err = *err;
    } else if (nresults > 1) {
        tide_err_set(call->err, code_of(lua_tostring(L, -1)), false, "%s", lua_tostring(L, -2));
    } else {
        text = lua_tolstring(L, -1, &len);
        call->good = text && tide_buf_append(call->result, text, len);
    }
}

bool tide_bundle_call(struct tide_bundle *bundle, const char *module, const char *function,
                      const char *args_json, struct tide_buf *result_json, struct tide_err *err)
{
    struct outside_call call = {.bundle = bundle, .result = result_json, .err = err};
    lua_State *L = tide_state_main(bundle->state);

    tide_err_set(err, TIDE_ERR_INTERNAL, false, "%s.%s returned nothing", module, function);
    lua_rawgeti(L, LUA_REGISTRYINDEX, bundle->entry_call);
    lua_pushstring(L, module);
    lua_pushstring(L, function);
    lua_pushstring(L, args_json);
    tide_task_start(bundle->state, 3, function, 60000, on_call_end, &call);
    while (!call.over)
        uv_run(bundle->config.services->loop, UV_RUN_ONCE);
    return call.good;
}
