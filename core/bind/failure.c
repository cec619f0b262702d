/* What becomes of an error that a script did not catch. */
#include <stdio.h>
#include <string.h>

#include "bind/bundle_internal.h"

/* What a client did wrong is its business: the answer says it, and the event of its request counts it. */
static enum tide_log_level level_of(const struct failure *failure, bool bug)
{
    if (bug)
        return TIDE_LOG_ERROR;
    return strcmp(failure->code, "bad_request") == 0 ? TIDE_LOG_DEBUG : TIDE_LOG_WARN;
}

/* Where memory is out there is none for longer words. */
static void name_setting(char *message, size_t size)
{
    static const char words[] = "not enough memory";
    size_t len = strlen(message);

    if (len >= sizeof words - 1 && strcmp(message + len - (sizeof words - 1), words) == 0)
        snprintf(message + len, size - len, " (the setting limits.script_memory)");
}

void tide_bundle_failure(struct tide_bundle *bundle, struct tide_task *task, lua_State *from,
                         struct failure *failure)
{
    lua_State *L = tide_state_main(bundle->state);
    char place[160] = "";
    bool bug = true;

    /* Nothing is pushed on `from`: where its stack has overflowed that would end the process. */
    lua_xmove(from, L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, bundle->entry_failure);
    lua_pushvalue(L, -2);
    tide_task_push_thread(task, L); /* its stack tells where */
    if (tide_state_pcall(bundle->state, 2, 6) == 0) {
        snprintf(failure->code, sizeof failure->code, "%s", lua_tostring(L, -6));
        snprintf(failure->message, sizeof failure->message, "%s", lua_tostring(L, -5));
        failure->retryable = lua_toboolean(L, -4);
        bug = lua_toboolean(L, -3); /* not a failure that the script passed on */
        failure->primitive = lua_toboolean(L, -2);
        if (lua_isstring(L, -1))
            snprintf(place, sizeof place, "%s", lua_tostring(L, -1));
        lua_pop(L, 6);
    } else {
        *failure =
            (struct failure){.code = TIDE_ERR_INTERNAL, .retryable = true}; /* no memory or time for words */
        snprintf(failure->message, sizeof failure->message, "%s",
                 lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "unreadable error");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    name_setting(failure->message, sizeof failure->message);
    tide_log_event(bundle->config.services->log, level_of(failure, bug), "handler failed",
                   tide_log_str("bundle", bundle->config.name),
                   tide_log_str("generation", bundle->generation),
                   tide_log_str("handler", tide_task_label(task)), tide_log_str("code", failure->code),
                   tide_log_str("message", failure->message), tide_log_str("at", place[0] ? place : NULL),
                   tide_log_str("traceback", bug ? tide_task_traceback(task) : NULL));
}
