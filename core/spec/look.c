/* What a spec sees of the backends beside what scripts do: messages where they lie, bytes as a source. */
#include <stdio.h>

#include "bind/copy.h"
#include "bind/native.h"
#include "spec/internal.h"

#define MAX_MESSAGES 10000

static void set_count(lua_State *L, const char *name, int64_t count)
{
    lua_pushnumber(L, (lua_Number)count);
    lua_setfield(L, -2, name);
}

/* spec_queue(name): { ready, delayed, leased, dead }; leased is 0, too, where the driver can't tell */
static int spec_queue(lua_State *L)
{
    struct tide_queue_stat stat = {0};
    struct tide_err err;

    snprintf(stat.queue, sizeof stat.queue, "%s", luaL_checkstring(L, 1));
    if (tide_queue_stats(tide_spec_run_of(L)->services.queue, &stat, 1, 1, &err) < 0)
        return luaL_error(L, "%s", err.message);
    lua_createtable(L, 0, 4);
    set_count(L, "ready", stat.ready);
    set_count(L, "delayed", stat.delayed);
    set_count(L, "leased", stat.leased < 0 ? 0 : stat.leased);
    set_count(L, "dead", stat.dead);
    return 1;
}

static void push_message(lua_State *L, const struct tide_queue_dead *message)
{
    lua_createtable(L, 0, 5);
    set_count(L, "attempts", message->attempts);
    lua_pushlstring(L, message->payload, message->len);
    lua_setfield(L, -2, "payload");
    lua_pushstring(L, message->code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message->reason);
    lua_setfield(L, -2, "reason");
    lua_pushstring(L, message->detail);
    lua_setfield(L, -2, "detail");
}

/* spec_messages(queue, state): a list of { payload, attempts, code, reason, detail }, oldest first */
static int spec_messages(lua_State *L)
{
    const char *queue = luaL_checkstring(L, 1), *state = luaL_checkstring(L, 2);
    struct tide_queue_dead *list = NULL;
    struct tide_err err;
    int count = tide_queue_list(tide_spec_run_of(L)->services.queue, queue, state, MAX_MESSAGES, &list, &err);

    if (count < 0)
        return luaL_error(L, "%s", err.message);
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        push_message(L, &list[i]);
        lua_rawseti(L, -2, i + 1);
    }
    tide_queue_dead_free(list, count);
    return 1;
}

/* spec_source(bytes): a source for tide.copy */
static int spec_source(lua_State *L)
{
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);
    struct tide_source *source = tide_source_from_bytes(bytes, len);

    if (!source)
        return luaL_error(L, "not enough memory");
    tide_bind_push_source(L, source);
    return 1;
}

/* spec_metrics(): all metrics of the bundles under test, in Prometheus' text format */
static int spec_metrics(lua_State *L)
{
    struct run *run = tide_spec_run_of(L);
    struct tide_buf text;

    tide_buf_init(&text, 16 << 20);
    tide_metrics_render(&run->metrics, 1, &text);
    lua_pushlstring(L, text.data ? text.data : "", text.len);
    tide_buf_release(&text);
    return 1;
}

/* spec_watch(name, place): the test, or the file, that has the whole time from now on, and where it stands */
static int spec_watch(lua_State *L)
{
    tide_watchdog_watch(tide_spec_run_of(L)->watchdog, luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    return 0;
}

void tide_spec_look_functions(lua_State *L, struct run *run)
{
    static const luaL_Reg functions[] = {
        {"spec_queue", spec_queue},     {"spec_messages", spec_messages}, {"spec_source", spec_source},
        {"spec_metrics", spec_metrics}, {"spec_watch", spec_watch},       {NULL, NULL},
    };

    tide_spec_register(L, run, functions);
}
