/* Plugins in C (bind/tidemill_plugin.h): loads them, and makes Lua functions of theirs. */
#include "bind/plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/driver.h"

#define MAX_ARGUMENTS 8
#define MAX_FIELDS 16

/* ---- handles ---- */

static const char handle_type[] = "tide.plugin";

static void let_go(struct tide_plugin_object *object)
{
    if (--object->references)
        return;
    if (object->type->free)
        object->type->free(object->object);
    free(object);
}

static int handle_gc(lua_State *L)
{
    struct tide_plugin_object **handle = lua_touserdata(L, 1);

    if (*handle)
        let_go(*handle);
    *handle = NULL;
    return 0;
}

static void push_handle(lua_State *L, struct tide_plugin_object *object)
{
    struct tide_plugin_object **handle = tide_bind_new(L, sizeof(void *), handle_type, handle_gc);

    *handle = object;
    object->references++;
}

struct tide_plugin_object *tide_plugin_check(lua_State *L, int index)
{
    struct tide_plugin_object **handle = luaL_checkudata(L, index, handle_type);

    if ((*handle)->busy)
        luaL_error(L, "this %s is in use by another call that waits", (*handle)->type->name);
    return *handle;
}

struct tide_plugin_object *tide_plugin_take(struct tide_plugin_object *object)
{
    object->busy = true;
    object->references++;
    return object;
}

void tide_plugin_give_back(struct tide_plugin_object *object)
{
    object->busy = false;
    let_go(object);
}

/* ---- a call ---- */

enum kind { NOTHING, BOOLEAN, NUMBER, TEXT, OBJECT };

struct value {
    enum kind kind;
    const char *name; /* of a field */
    double number;    /* of a BOOLEAN too */
    char *text;
    size_t len;
    struct tide_plugin_object *object;
};

struct tidemill_call {
    const struct tidemill_function *function;
    struct value arguments[MAX_ARGUMENTS];
    struct value result;
    struct value fields[MAX_FIELDS];
    size_t field_count;
    bool failed;
    struct tide_err err;
};

static const struct value *argument(const struct tidemill_call *call, int index, enum kind kind)
{
    static const struct value nothing;

    if (index < 1 || index > MAX_ARGUMENTS || call->arguments[index - 1].kind != kind)
        return &nothing;
    return &call->arguments[index - 1];
}

static bool host_is_nil(const struct tidemill_call *call, int index)
{
    return index < 1 || index > MAX_ARGUMENTS || call->arguments[index - 1].kind == NOTHING;
}

static bool host_boolean(const struct tidemill_call *call, int index)
{
    return argument(call, index, BOOLEAN)->number != 0;
}

static double host_number(const struct tidemill_call *call, int index)
{
    return argument(call, index, NUMBER)->number;
}

static const char *host_text(const struct tidemill_call *call, int index, size_t *len)
{
    const struct value *value = argument(call, index, TEXT);

    if (len)
        *len = value->len;
    return value->text;
}

static void *host_object(const struct tidemill_call *call, int index, const struct tidemill_handle_type *type)
{
    const struct value *value = argument(call, index, OBJECT);

    return value->object && value->object->type == type ? value->object->object : NULL;
}

static void release_value(struct value *value)
{
    free(value->text);
    if (value->object)
        tide_plugin_give_back(value->object);
}

static void set_result(struct tidemill_call *call, struct value value)
{
    release_value(&call->result);
    call->result = value;
}

static void host_return_boolean(struct tidemill_call *call, bool value)
{
    set_result(call, (struct value){.kind = BOOLEAN, .number = value});
}

static void host_return_number(struct tidemill_call *call, double value)
{
    set_result(call, (struct value){.kind = NUMBER, .number = value});
}

static char *copy_text(const char *text, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy)
        abort();
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

static void host_return_text(struct tidemill_call *call, const char *text, size_t len)
{
    set_result(call, (struct value){.kind = TEXT, .text = copy_text(text, len), .len = len});
}

static void host_return_object(struct tidemill_call *call, void *object,
                               const struct tidemill_handle_type *type)
{
    struct tide_plugin_object *made = malloc(sizeof *made);

    if (!made)
        abort();
    *made = (struct tide_plugin_object){.type = type, .object = object, .references = 1};
    set_result(call, (struct value){.kind = OBJECT, .object = made});
}

static void host_return_field(struct tidemill_call *call, const char *name, double value)
{
    if (call->field_count < MAX_FIELDS)
        call->fields[call->field_count++] = (struct value){.kind = NUMBER, .name = name, .number = value};
}

static void host_fail(struct tidemill_call *call, const char *code, const char *message, bool retryable)
{
    call->failed = true;
    tide_err_set(&call->err, code, retryable, "%s", message);
}

static const struct tidemill_host host = {
    .is_nil = host_is_nil,
    .boolean = host_boolean,
    .number = host_number,
    .text = host_text,
    .object = host_object,
    .return_boolean = host_return_boolean,
    .return_number = host_return_number,
    .return_text = host_return_text,
    .return_object = host_return_object,
    .return_field = host_return_field,
    .fail = host_fail,
};

/* ---- from Lua and back ---- */

/* Raises, and then holds nothing, when one can't be handed over. */
static void check_arguments(lua_State *L, const struct tidemill_function *function)
{
    if (lua_gettop(L) > MAX_ARGUMENTS)
        luaL_error(L, "%s takes at most %d arguments", function->name, MAX_ARGUMENTS);
    for (int i = 1; i <= lua_gettop(L); i++) {
        if (lua_type(L, i) == LUA_TTABLE || lua_type(L, i) == LUA_TFUNCTION)
            luaL_error(L, "%s takes no %s", function->name, luaL_typename(L, i));
        for (int k = 1; k < i && lua_type(L, i) == LUA_TUSERDATA; k++)
            if (lua_rawequal(L, i, k))
                luaL_error(L, "the same %s twice", tide_plugin_check(L, i)->type->name);
        if (lua_type(L, i) == LUA_TUSERDATA)
            tide_plugin_check(L, i);
    }
}

static void take_arguments(lua_State *L, int count, struct tidemill_call *call)
{
    for (int i = 1; i <= count; i++) {
        struct value *value = &call->arguments[i - 1];

        switch (lua_type(L, i)) {
        case LUA_TBOOLEAN:
            *value = (struct value){.kind = BOOLEAN, .number = lua_toboolean(L, i)};
            break;
        case LUA_TNUMBER:
            *value = (struct value){.kind = NUMBER, .number = lua_tonumber(L, i)};
            break;
        case LUA_TSTRING:
            value->kind = TEXT;
            value->text = copy_text(lua_tostring(L, i), lua_objlen(L, i));
            value->len = lua_objlen(L, i);
            break;
        case LUA_TUSERDATA:
            *value = (struct value){.kind = OBJECT, .object = tide_plugin_take(tide_plugin_check(L, i))};
            break;
        default:
            break;
        }
    }
}

static int push_value(lua_State *L, const struct value *value)
{
    if (value->kind == NUMBER)
        lua_pushnumber(L, value->number);
    else if (value->kind == TEXT)
        lua_pushlstring(L, value->text, value->len);
    else if (value->kind == OBJECT)
        push_handle(L, value->object);
    else
        lua_pushboolean(L, value->kind == NOTHING || value->number != 0);
    return 1;
}

static int push_result(lua_State *L, const struct tidemill_call *call)
{
    if (call->failed)
        return tide_push_failure(L, &call->err);
    if (call->field_count == 0)
        return push_value(L, &call->result);
    lua_createtable(L, 0, (int)call->field_count);
    for (size_t i = 0; i < call->field_count; i++) {
        lua_pushnumber(L, call->fields[i].number);
        lua_setfield(L, -2, call->fields[i].name);
    }
    return 1;
}

static void release_call(struct tidemill_call *call)
{
    for (int i = 0; i < MAX_ARGUMENTS; i++)
        release_value(&call->arguments[i]);
    release_value(&call->result);
    memset(call, 0, sizeof *call);
}

/* ---- on the pool ---- */

struct plugin_op {
    struct tide_op op;
    struct tide_job job;
    struct tidemill_call call;
};

static struct plugin_op *of_job(struct tide_job *job)
{
    return (struct plugin_op *)((char *)job - offsetof(struct plugin_op, job));
}

static void work(struct tide_job *job)
{
    struct tidemill_call *call = &of_job(job)->call;

    call->function->run(&host, call);
}

static void done(struct tide_job *job)
{
    tide_op_finish(&of_job(job)->op);
}

static int plugin_push(lua_State *L, struct tide_op *op)
{
    return push_result(L, &((struct plugin_op *)op)->call);
}

static bool plugin_cancel(struct tide_op *op)
{
    (void)op;
    return false; /* it goes on and its result is dropped */
}

static void plugin_release(struct tide_op *op)
{
    release_call(&((struct plugin_op *)op)->call);
}

static const struct tide_op_type plugin_type = {.name = "a plugin's function",
                                                .size = sizeof(struct plugin_op),
                                                .push = plugin_push,
                                                .cancel = plugin_cancel,
                                                .release = plugin_release};

static int call_blocking(lua_State *L, const struct tidemill_function *function)
{
    struct tide_pool *pool = tide_bind_services(L)->plugins;
    struct plugin_op *self;
    struct tide_err err;

    tide_bind_need(L, pool, "plugins", function->name);
    self = tide_op_new(L, &plugin_type);
    self->call.function = function;
    take_arguments(L, lua_gettop(L), &self->call);
    self->job = (struct tide_job){.work = work, .done = done};
    if (tide_pool_submit(pool, &self->job, &err))
        return tide_op_wait(L, &self->op);
    tide_op_drop(&self->op);
    return tide_push_failure(L, &err);
}

/* ---- at once ---- */

static const char call_type[] = "tide.plugin.call";

static int call_gc(lua_State *L)
{
    release_call(lua_touserdata(L, 1));
    return 0;
}

/* The call is a userdata, so that what it holds is freed also when a push raises. */
static int call_now(lua_State *L, const struct tidemill_function *function)
{
    int count = lua_gettop(L), results;
    struct tidemill_call *call = tide_bind_new(L, sizeof *call, call_type, call_gc);

    take_arguments(L, count, call);
    function->run(&host, call);
    results = push_result(L, call);
    release_call(call);
    return results;
}

static int call_function(lua_State *L)
{
    const struct tidemill_function *function = lua_touserdata(L, lua_upvalueindex(1));

    check_arguments(L, function);
    return function->blocks ? call_blocking(L, function) : call_now(L, function);
}

/* ---- loading ---- */

static const struct tidemill_plugin *open_library(const char *path, const char *name, struct tide_err *err)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct tidemill_plugin *plugin = library ? dlsym(library, "tidemill_plugin") : NULL;

    if (!library)
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, false, "the plugin can't be loaded: %s", dlerror());
    else if (!plugin)
        tide_err_set(err, TIDE_ERR_INVALID, false,
                     "%s exports no `tidemill_plugin`: define it with TIDEMILL_PLUGIN of tidemill_plugin.h",
                     path);
    else if (plugin->abi != TIDEMILL_PLUGIN_ABI)
        tide_err_set(
            err, TIDE_ERR_INVALID, false,
            "%s was built for version %u of tidemill_plugin.h, and this tidemill has version %u: build "
            "it again",
            path, plugin->abi, TIDEMILL_PLUGIN_ABI);
    else if (strcmp(plugin->name, name) != 0)
        tide_err_set(err, TIDE_ERR_INVALID, false, "%s is the plugin '%.40s', not '%s'", path, plugin->name,
                     name);
    else
        return plugin;
    return NULL; /* the library stays: it may have registered what runs at the exit */
}

static const struct tidemill_plugin *open_plugin(const char *directory, const char *name,
                                                 struct tide_err *err)
{
    char own[PATH_MAX], module[64], shipped[2 * PATH_MAX];

    snprintf(own, sizeof own, "%s/%s.so", directory, name);
    snprintf(module, sizeof module, "plugin-%s", name);
    tide_driver_module(module, shipped, sizeof shipped);
    if (access(own, F_OK) != 0 && access(shipped, F_OK) != 0) {
        tide_err_set(err, TIDE_ERR_NOT_FOUND, false,
                     "the plugin '%s' is not built: there is neither %s nor %s", name, own, shipped);
        return NULL;
    }
    return open_library(access(own, F_OK) == 0 ? own : shipped, name, err);
}

/* plugin_open(directory, name): the plugin's functions by name; raises why it can't be loaded */
static int plugin_open(lua_State *L)
{
    const char *directory = luaL_checkstring(L, 1), *name = luaL_checkstring(L, 2);
    const struct tidemill_plugin *plugin;
    struct tide_err err;

    plugin = open_plugin(directory, name, &err);
    if (!plugin)
        return luaL_error(L, "%s", err.message);
    lua_newtable(L);
    for (const struct tidemill_function *f = plugin->functions; f->name; f++) {
        lua_pushlightuserdata(L, (void *)f);
        lua_pushcclosure(L, call_function, 1);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}

void tide_bind_plugin(lua_State *L)
{
    static const luaL_Reg functions[] = {{"plugin_open", plugin_open}, {NULL, NULL}};

    tide_bind_register(L, functions);
}
