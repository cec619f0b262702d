/* Calls one function of a bundle's module from outside of requests and messages: the command line, specs. */
#include <stdlib.h>
#include <string.h>

#include "bind/bundle_internal.h"

#define CALL_TIMEOUT_MS 60000

struct outside_call {
    struct tide_bundle *bundle;
    tide_bundle_call_cb *cb;
    void *arg;
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
                        const struct tide_err *why)
{
    struct outside_call *call = arg;
    struct failure failure;
    const char *result = NULL;
    struct tide_err err;

    if (end == TIDE_TASK_RAISED) {
        tide_bundle_failure(call->bundle, task, L, &failure);
        tide_err_set(&err, TIDE_ERR_INTERNAL, failure.retryable, "%s", failure.message);
    } else if (end == TIDE_TASK_ENDED) {
        err = *why;
    } else if (nresults > 1) {
        tide_err_set(&err, code_of(lua_tostring(L, -1)), false, "%s", lua_tostring(L, -2));
    } else {
        result = lua_tostring(L, -1);
    }
    call->cb(call->arg, result, &err);
    free(call);
}

void tide_bundle_call_start(struct tide_bundle *bundle, const char *module, const char *function,
                            const char *args_json, tide_bundle_call_cb *cb, void *arg)
{
    lua_State *L = tide_state_main(bundle->state);
    struct outside_call *call = malloc(sizeof *call);

    if (!call)
        abort();
    *call = (struct outside_call){bundle, cb, arg};
    lua_rawgeti(L, LUA_REGISTRYINDEX, bundle->entry_call);
    lua_pushstring(L, module);
    lua_pushstring(L, function);
    lua_pushstring(L, args_json);
    tide_task_start(bundle->state, 3, "call", (struct tide_task_limits){.timeout_ms = CALL_TIMEOUT_MS},
                    on_call_end, call);
}

/* ---- and waited for ---- */

struct waiting {
    struct tide_buf *result;
    struct tide_err *err;
    bool over, good;
};

static void on_result(void *arg, const char *result_json, const struct tide_err *err)
{
    struct waiting *waiting = arg;

    waiting->over = true;
    waiting->good = result_json != NULL;
    if (!result_json)
        *waiting->err = *err;
    else if (!tide_buf_puts(waiting->result, result_json))
        waiting->good = tide_err_set(waiting->err, TIDE_ERR_TOO_LARGE, false,
                                     "the result is larger than its reader takes");
}

bool tide_bundle_call(struct tide_bundle *bundle, const char *module, const char *function,
                      const char *args_json, struct tide_buf *result_json, struct tide_err *err)
{
    struct waiting waiting = {.result = result_json, .err = err};

    tide_bundle_call_start(bundle, module, function, args_json, on_result, &waiting);
    while (!waiting.over)
        uv_run(bundle->config.services->loop, UV_RUN_ONCE);
    return waiting.good;
}
