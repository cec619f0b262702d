#include "bind/copy.h"

#include <stdlib.h>
#include <string.h>

/* ---- a source that a script holds (a part of a request, its raw body) ---- */

struct held_source {
    struct tide_resource resource;
    struct tide_source *source; /* NULL: taken or closed */
};

static const char held_type[] = "tide.source";

static void close_held(struct tide_resource *resource)
{
    struct held_source *held = (struct held_source *)resource;

    if (held->source)
        tide_source_close(held->source);
    held->source = NULL;
}

static int held_gc(lua_State *L)
{
    struct held_source *held = lua_touserdata(L, 1);

    tide_resource_disown(&held->resource);
    close_held(&held->resource);
    return 0;
}

static struct tide_source *take_held(void *userdata, struct tide_err *err)
{
    struct held_source *held = userdata;
    struct tide_source *source = held->source;

    if (!source)
        tide_err_set(err, TIDE_ERR_INVALID, false, "this source was read already");
    tide_resource_disown(&held->resource);
    held->source = NULL;
    return source;
}

static const struct tide_bind_stream held_stream = {.open_source = take_held, .from_client = true};

void tide_bind_push_source(lua_State *L, struct tide_source *source)
{
    struct held_source *held = tide_bind_new(L, sizeof *held, held_type, held_gc);

    tide_bind_set_stream(L, &held_stream);
    held->resource.close = close_held;
    held->resource.name = "a source of bytes";
    held->source = source;
    tide_resource_own(L, &held->resource);
}

void tide_bind_set_stream(lua_State *L, const struct tide_bind_stream *stream)
{
    lua_getmetatable(L, -1);
    lua_pushlightuserdata(L, (void *)stream);
    lua_setfield(L, -2, "__tide_stream");
    lua_pop(L, 1);
}

static const struct tide_bind_stream *stream_of(lua_State *L, int index)
{
    const struct tide_bind_stream *stream = NULL;

    if (lua_type(L, index) == LUA_TUSERDATA && luaL_getmetafield(L, index, "__tide_stream")) {
        stream = lua_touserdata(L, -1);
        lua_pop(L, 1);
    }
    return stream;
}

/* ---- copy ---- */

struct copy_op {
    struct tide_op op;
    struct tide_pump *pump;
    struct tide_source *source;
    const struct tide_bind_stream *from, *to;
    void *from_userdata, *to_userdata;
    int64_t bytes;
    bool failed;
    struct tide_err err;
};

static int copy_push(lua_State *L, struct tide_op *op)
{
    struct copy_op *copy = (struct copy_op *)op;

    if (copy->failed)
        return tide_push_failure(L, &copy->err);
    lua_pushnumber(L, (lua_Number)copy->bytes);
    return 1;
}

static void begin(struct copy_op *copy)
{
    if (copy->from->begin)
        copy->from->begin(copy->from_userdata);
    copy->to->begin(copy->to_userdata);
}

static void end_source(struct copy_op *copy)
{
    if (copy->from->end)
        copy->from->end(copy->from_userdata);
}

/* Cancel closes both ends; the sink's owner, which the coroutine still holds, is there to be told. */
static bool copy_cancel(struct tide_op *op)
{
    struct copy_op *copy = (struct copy_op *)op;

    tide_pump_cancel(copy->pump);
    copy->to->sink_closed(copy->to_userdata);
    end_source(copy);
    return true;
}

static const struct tide_op_type copy_type = {
    .name = "tide.copy", .size = sizeof(struct copy_op), .push = copy_push, .cancel = copy_cancel};

static void on_copied(void *arg, int64_t bytes, const struct tide_err *err)
{
    struct copy_op *copy = arg;

    copy->bytes = bytes;
    copy->failed = err != NULL;
    if (err)
        copy->err = *err;
    if (err && copy->from->from_client && strcmp(err->code, TIDE_ERR_INVALID) == 0)
        copy->err.code = "bad_request";
    tide_source_close(copy->source);
    end_source(copy);
    (err ? copy->to->spoil : copy->to->end)(copy->to_userdata);
    tide_op_finish(&copy->op);
}

/* copy(source, sink, limit|-1): bytes, or nil and the failure */
static int copy(lua_State *L)
{
    const struct tide_bind_stream *from = stream_of(L, 1), *to = stream_of(L, 2);
    int64_t limit = (int64_t)luaL_optnumber(L, 3, -1);
    struct tide_source *source;
    struct tide_sink *sink;
    struct copy_op *op;
    struct tide_err err;

    luaL_argcheck(L, from && from->open_source, 1, "a source expected: a part, a body or an open file");
    luaL_argcheck(L, to && to->sink, 2, "a file being created expected");
    op = tide_op_new(L, &copy_type);
    sink = to->sink(lua_touserdata(L, 2), &err);
    source = sink ? from->open_source(lua_touserdata(L, 1), &err) : NULL;
    if (!source) {
        tide_op_drop(&op->op);
        return tide_push_failure(L, &err);
    }
    op->source = source;
    op->from = from;
    op->to = to;
    op->from_userdata = lua_touserdata(L, 1);
    op->to_userdata = lua_touserdata(L, 2);
    op->pump = tide_pump_start(tide_bind_services(L)->loop, source, sink, limit, on_copied, op, &err);
    if (!op->pump) {
        tide_source_close(source);
        tide_op_drop(&op->op);
        return tide_push_failure(L, &err);
    }
    begin(op);
    return tide_op_wait(L, &op->op);
}

void tide_bind_stream_functions(lua_State *L)
{
    static const luaL_Reg functions[] = {{"copy", copy}, {NULL, NULL}};

    tide_bind_register(L, functions);
}
