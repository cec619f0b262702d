/* What is still open or under way: a test that leaves such things behind fails. */
#include <stdio.h>

#include "script/state.h"
#include "script/task.h"
#include "spec/internal.h"

static void push_resource(void *arg, const struct tide_resource *resource)
{
    lua_State *L = arg;

    lua_pushlightuserdata(L, (void *)resource);
    lua_pushfstring(L, "%s: what %s gave is still open", resource->where ? resource->where : "?",
                    resource->name ? resource->name : "a call");
    lua_rawset(L, -3);
}

static void push_resources(void *arg, const struct tide_task *task)
{
    tide_task_each_resource(task, push_resource, arg);
}

/* spec_open_handles(): what the spec has open: a table of texts, by a key that is a handle's own */
static int spec_open_handles(lua_State *L)
{
    lua_newtable(L);
    tide_state_each_task(tide_bundle_state(tide_spec_run_of(L)->spec), push_resources, L);
    return 1;
}

static void push_task(void *arg, const struct tide_task *task)
{
    lua_State *L = arg;
    const char *what = tide_task_waits_for(task);
    char place[TIDE_PLACE];

    if (task == tide_task_running(L))
        return;
    tide_task_place(task, place);
    lua_pushfstring(L, "%s: '%s' is still under way, and waits for %s", *place ? place : "?",
                    tide_task_label(task), what ? what : "nothing");
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
}

/* spec_under_way(): a list of texts: what the bundles do, and the spec beside the caller */
static int spec_under_way(lua_State *L)
{
    const struct run *run = tide_spec_run_of(L);

    lua_newtable(L);
    tide_state_each_task(tide_bundle_state(run->spec), push_task, L);
    for (const struct app *app = run->apps; app; app = app->next)
        tide_state_each_task(tide_bundle_state(app->bundle), push_task, L);
    return 1;
}

void tide_spec_leak_functions(lua_State *L, struct run *run)
{
    static const luaL_Reg functions[] = {
        {"spec_open_handles", spec_open_handles}, {"spec_under_way", spec_under_way}, {NULL, NULL}};

    tide_spec_register(L, run, functions);
}
