/* Buckets: files by id with metadata (blob/blob.h). Open files and files being written are resources of their
 * task. */
#include "bind/blob.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/copy.h"
#include "bind/request.h"

/* ---- handles ---- */

/* What both kinds begin with. Another task may use a handle when its own ends: then it is closed at the end
 * of that use. */
struct held {
    struct tide_resource resource;
    bool in_use, close_later;
};

struct held_reader {
    struct held held;
    struct tide_blob_reader *reader; /* NULL: closed or handed on */
};

struct held_writer {
    struct held held;
    struct tide_blob_writer *writer; /* NULL: closed */
};

static const char reader_type[] = "tide.file";
static const char writer_type[] = "tide.new_file";

static bool must_wait(struct held *held)
{
    held->close_later = held->in_use;
    return held->in_use;
}

static void close_reader(struct tide_resource *resource)
{
    struct held_reader *held = (struct held_reader *)resource;

    if (must_wait(&held->held))
        return;
    if (held->reader)
        tide_blob_reader_close(held->reader);
    held->reader = NULL;
}

static void close_writer(struct tide_resource *resource)
{
    struct held_writer *held = (struct held_writer *)resource;

    if (must_wait(&held->held))
        return;
    if (held->writer)
        tide_blob_writer_close(held->writer);
    held->writer = NULL;
}

static int resource_gc(lua_State *L)
{
    struct tide_resource *resource = lua_touserdata(L, 1);

    tide_resource_disown(resource);
    if (resource->close)
        resource->close(resource);
    return 0;
}

static const char closed[] = "this file is closed";
static const char in_use[] = "this file is in use: another call has not yet returned";

static const char *why_not(const struct held *held, const void *open)
{
    return !open ? closed : held->in_use ? in_use : NULL;
}

struct tide_blob_reader *tide_bind_check_reader(lua_State *L, int index)
{
    struct held_reader *held = luaL_checkudata(L, index, reader_type);
    const char *problem = why_not(&held->held, held->reader);

    if (problem)
        luaL_error(L, "%s", problem);
    return held->reader;
}

struct tide_blob_writer *tide_bind_check_writer(lua_State *L, int index)
{
    struct held_writer *held = luaL_checkudata(L, index, writer_type);
    const char *problem = why_not(&held->held, held->writer);

    if (problem)
        luaL_error(L, "%s", problem);
    return held->writer;
}

void tide_bind_file_begin(void *userdata)
{
    ((struct held *)userdata)->in_use = true;
}

void tide_bind_file_end(void *userdata)
{
    struct held *held = userdata;

    held->in_use = false;
    if (held->close_later)
        held->resource.close(&held->resource);
}

void tide_bind_file_close(void *userdata)
{
    struct held *held = userdata;

    held->in_use = false;
    tide_resource_disown(&held->resource);
    held->resource.close(&held->resource);
}

static struct tide_source *reader_source(void *userdata, struct tide_err *err)
{
    struct held_reader *held = userdata;
    const char *problem = why_not(&held->held, held->reader);

    if (!problem)
        return tide_blob_source(held->reader, 0, -1);
    tide_err_set(err, TIDE_ERR_INVALID, false, "%s", problem);
    return NULL;
}

static struct tide_sink *writer_sink(void *userdata, struct tide_err *err)
{
    struct held_writer *held = userdata;
    const char *problem = why_not(&held->held, held->writer);

    if (!problem)
        return tide_blob_writer_sink(held->writer);
    tide_err_set(err, TIDE_ERR_INVALID, false, "%s", problem);
    return NULL;
}

/* A canceled copy has closed the sink, which is the writer. */
static void writer_sink_closed(void *userdata)
{
    ((struct held_writer *)userdata)->writer = NULL;
    tide_bind_file_close(userdata);
}

static const struct tide_bind_stream reader_stream = {
    .open_source = reader_source, .begin = tide_bind_file_begin, .end = tide_bind_file_end};
static const struct tide_bind_stream writer_stream = {.sink = writer_sink,
                                                      .sink_closed = writer_sink_closed,
                                                      .begin = tide_bind_file_begin,
                                                      .end = tide_bind_file_end,
                                                      .spoil = tide_bind_file_close};

static struct tide_blob_store *store_of(lua_State *L)
{
    struct tide_blob_store *store = tide_bind_services(L)->blob;

    tide_bind_need(L, store, "blob", "tide.bucket");
    return store;
}

static const struct tide_id *opt_id(lua_State *L, int index, struct tide_id *id)
{
    if (lua_isnoneornil(L, index))
        return NULL;
    if (!tide_id_parse(luaL_checkstring(L, index), id))
        luaL_argerror(L, index, "an id (24 hex digits) expected");
    return id;
}

/* ---- one op for every call ---- */

struct blob_op {
    struct tide_op op;
    struct tide_blob_call *call;
    struct held_writer *writer; /* of commit */
    struct tide_blob_reader *reader;
    struct tide_blob_info *infos;
    size_t count;
    bool changed, failed;
    struct tide_err err;
};

static void take_error(struct blob_op *self, const struct tide_err *err)
{
    self->failed = err != NULL;
    if (err)
        self->err = *err;
}

static bool cancel_call(struct tide_op *op)
{
    tide_blob_call_cancel(((struct blob_op *)op)->call);
    return true;
}

static void release(struct tide_op *op)
{
    struct blob_op *self = (struct blob_op *)op;
    size_t i;

    if (self->reader)
        tide_blob_reader_close(self->reader);
    for (i = 0; i < self->count; i++)
        tide_blob_info_release(&self->infos[i]);
    free(self->infos);
}

static int finish_start(lua_State *L, struct blob_op *self, struct tide_err *err)
{
    if (self->call)
        return tide_op_wait(L, &self->op);
    tide_op_drop(&self->op);
    return tide_push_failure(L, err);
}

/* ---- write ---- */

/* blob_create(bucket, id|nil): userdata, id; or nil and the failure */
static int blob_create(lua_State *L)
{
    struct tide_blob_store *store = store_of(L);
    const char *bucket = luaL_checkstring(L, 1);
    struct tide_id id;
    const struct tide_id *wanted = opt_id(L, 2, &id);
    struct held_writer *held = tide_bind_new(L, sizeof *held, writer_type, resource_gc);
    struct tide_err err;

    tide_bind_set_stream(L, &writer_stream);
    held->held.resource.close = close_writer;
    held->held.resource.name = "bucket:create";
    held->writer = tide_blob_create(store, bucket, wanted, &err);
    if (!held->writer)
        return tide_push_failure(L, &err);
    tide_resource_own(L, &held->held.resource);
    lua_pushstring(L, tide_blob_writer_id(held->writer)->hex);
    return 2;
}

static int commit_push(lua_State *L, struct tide_op *op)
{
    struct blob_op *self = (struct blob_op *)op;

    return tide_bind_push_outcome(L, !self->failed, &self->err);
}

static bool commit_cancel(struct tide_op *op)
{
    tide_bind_file_close(((struct blob_op *)op)->writer);
    return true;
}

static const struct tide_op_type commit_type = {
    .name = "file:commit", .size = sizeof(struct blob_op), .push = commit_push, .cancel = commit_cancel};

static void on_committed(void *arg, const struct tide_err *err)
{
    struct blob_op *self = arg;

    take_error(self, err);
    tide_bind_file_close(self->writer);
    tide_op_finish(&self->op);
}

/* blob_commit(userdata, name, metadata_json): true, or nil and the failure. The userdata is closed after. */
static int blob_commit(lua_State *L)
{
    struct tide_blob_writer *writer = tide_bind_check_writer(L, 1);
    const char *name = luaL_checkstring(L, 2), *metadata = luaL_checkstring(L, 3);
    struct blob_op *self = tide_op_new(L, &commit_type);

    self->writer = lua_touserdata(L, 1);
    tide_bind_file_begin(self->writer);
    tide_blob_commit(writer, name, metadata, on_committed, self);
    return tide_op_wait(L, &self->op);
}

/* blob_length(userdata of a file being written): bytes */
static int blob_length(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)tide_blob_writer_length(tide_bind_check_writer(L, 1)));
    return 1;
}

/* blob_close(userdata): drops a file being written, closes an open one; idempotent */
static int blob_close(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TUSERDATA);
    if (((struct held *)lua_touserdata(L, 1))->in_use)
        return luaL_error(L, "%s", in_use);
    return resource_gc(L);
}

/* ---- read ---- */

static void push_info(lua_State *L, const struct tide_blob_info *info)
{
    lua_createtable(L, 0, 5);
    lua_pushstring(L, info->id.hex);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, info->name);
    lua_setfield(L, -2, "name");
    lua_pushnumber(L, (lua_Number)info->length);
    lua_setfield(L, -2, "length");
    lua_pushnumber(L, (lua_Number)info->uploaded_ms / 1000);
    lua_setfield(L, -2, "uploaded");
    lua_pushstring(L, info->metadata);
    lua_setfield(L, -2, "metadata");
}

static int open_push(lua_State *L, struct tide_op *op)
{
    struct blob_op *self = (struct blob_op *)op;
    struct held_reader *held;

    if (self->failed)
        return tide_push_failure(L, &self->err);
    held = tide_bind_new(L, sizeof *held, reader_type, resource_gc);
    tide_bind_set_stream(L, &reader_stream);
    held->held.resource.close = close_reader;
    held->held.resource.name = "bucket:open";
    held->reader = self->reader;
    self->reader = NULL;
    tide_resource_own_by(op->task, &held->held.resource);
    push_info(L, tide_blob_reader_info(held->reader));
    return 2;
}

static const struct tide_op_type open_type = {.name = "bucket:open",
                                              .size = sizeof(struct blob_op),
                                              .push = open_push,
                                              .cancel = cancel_call,
                                              .release = release};

static void on_opened(void *arg, struct tide_blob_reader *reader, const struct tide_err *err)
{
    struct blob_op *self = arg;

    take_error(self, err);
    self->reader = reader;
    tide_op_finish(&self->op);
}

/* blob_open(bucket, id): userdata, info; or nil and the failure */
static int blob_open(lua_State *L)
{
    struct tide_blob_store *store = store_of(L);
    const char *bucket = luaL_checkstring(L, 1);
    struct tide_id id;
    const struct tide_id *wanted = opt_id(L, 2, &id);
    struct blob_op *self = tide_op_new(L, &open_type);
    struct tide_err err;

    self->call = tide_blob_open(store, bucket, wanted, on_opened, self, &err);
    return finish_start(L, self, &err);
}

/* A source that owns its reader, for a response that outlives the task. */
struct response_source {
    struct tide_source source;
    struct tide_source *inner;
    struct tide_blob_reader *reader;
};

static void response_read(struct tide_source *source, void *buf, size_t cap, tide_read_cb *cb, void *arg)
{
    tide_source_read(((struct response_source *)source)->inner, buf, cap, cb, arg);
}

static void response_lend(struct tide_source *source, tide_lend_cb *cb, void *arg)
{
    tide_source_lend(((struct response_source *)source)->inner, cb, arg);
}

static void response_close(struct tide_source *source)
{
    struct response_source *self = (struct response_source *)source;

    tide_source_close(self->inner);
    tide_blob_reader_close(self->reader);
    free(self);
}

static const struct tide_source_ops response_ops = {response_read, response_close, response_lend};

static struct tide_source *response_source_new(struct tide_blob_reader *reader, int64_t offset,
                                               int64_t length)
{
    struct response_source *self = calloc(1, sizeof *self);

    if (!self)
        return NULL;
    self->source = (struct tide_source){&response_ops, length};
    self->reader = reader;
    self->inner = tide_blob_source(reader, offset, length);
    if (self->inner)
        return &self->source;
    free(self);
    return NULL;
}

/* respond_blob(handle, status, headers|nil, userdata, offset, length): the userdata is handed on */
static int respond_blob(lua_State *L)
{
    struct tide_http_header headers[TIDE_BIND_MAX_HEADERS];
    struct tide_http_response response = {.status = (int)luaL_checkinteger(L, 2), .headers = headers};
    struct tide_blob_reader *reader = tide_bind_check_reader(L, 4);
    struct held_reader *held = lua_touserdata(L, 4);
    int fd = tide_blob_reader_fd(reader);

    tide_bind_check_request(L, 1);
    response.header_count = tide_bind_check_answer(L, response.status, 3, headers);
    response.offset = (int64_t)luaL_checknumber(L, 5);
    response.length = (int64_t)luaL_checknumber(L, 6);
    if (fd >= 0) {
        response.fd = dup(fd);
        if (response.fd < 0)
            return luaL_error(L, "out of file descriptors");
    } else {
        response.source = response_source_new(reader, response.offset, response.length);
        if (!response.source)
            return luaL_error(L, "not enough memory");
        tide_resource_disown(&held->held.resource);
        held->reader = NULL;
    }
    tide_bind_respond(L, 1, &response);
    return 0;
}

/* ---- look up and change ---- */

static int find_push(lua_State *L, struct tide_op *op)
{
    struct blob_op *self = (struct blob_op *)op;
    size_t i;

    if (self->failed)
        return tide_push_failure(L, &self->err);
    lua_createtable(L, (int)self->count, 0);
    for (i = 0; i < self->count; i++) {
        push_info(L, &self->infos[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static const struct tide_op_type find_type = {.name = "bucket:find",
                                              .size = sizeof(struct blob_op),
                                              .push = find_push,
                                              .cancel = cancel_call,
                                              .release = release};

static void on_found(void *arg, const struct tide_blob_info *infos, size_t count, const struct tide_err *err)
{
    struct blob_op *self = arg;
    size_t i;

    take_error(self, err);
    self->infos = count ? calloc(count, sizeof *infos) : NULL;
    for (i = 0; self->infos && i < count; i++) {
        self->infos[i] = infos[i];
        self->infos[i].name = strdup(infos[i].name ? infos[i].name : "");
        self->infos[i].metadata = strdup(infos[i].metadata ? infos[i].metadata : "{}");
        self->count++;
    }
    tide_op_finish(&self->op);
}

/* Reads {key = value} at `index` into query->where; the strings stay the table's. A light userdata is
 * tide.json.null: the description lets no other one through. */
static void check_where(lua_State *L, int index, struct tide_blob_query *query)
{
    size_t count = 0, max = sizeof query->where / sizeof *query->where;

    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING ||
            (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TLIGHTUSERDATA))
            luaL_error(L, "a condition compares a metadata key with a string or null");
        if (count == max)
            luaL_error(L, "at most %d conditions", (int)max);
        query->where[count].key = lua_tostring(L, -2);
        query->where[count++].value = lua_tostring(L, -1);
    }
}

/* blob_find(bucket, where|nil, before|nil, older_than_ms|nil, limit|nil): {info}, or nil and the failure */
static int blob_find(lua_State *L)
{
    struct tide_blob_store *store = store_of(L);
    const char *bucket = luaL_checkstring(L, 1);
    struct tide_blob_query query = {0};
    struct tide_id before;
    struct blob_op *self;
    struct tide_err err;

    check_where(L, 2, &query);
    query.before = opt_id(L, 3, &before);
    query.older_than_ms = (int64_t)luaL_optnumber(L, 4, 0);
    query.limit = (size_t)luaL_optinteger(L, 5, 0);
    self = tide_op_new(L, &find_type);
    self->call = tide_blob_find(store, bucket, &query, on_found, self, &err);
    return finish_start(L, self, &err);
}

static int change_push(lua_State *L, struct tide_op *op)
{
    struct blob_op *self = (struct blob_op *)op;

    if (self->failed)
        return tide_push_failure(L, &self->err);
    lua_pushboolean(L, self->changed);
    return 1;
}

static const struct tide_op_type change_type = {
    .name = "bucket:annotate", .size = sizeof(struct blob_op), .push = change_push, .cancel = cancel_call};

static void on_changed(void *arg, bool changed, const struct tide_err *err)
{
    struct blob_op *self = arg;

    take_error(self, err);
    self->changed = changed;
    tide_op_finish(&self->op);
}

/* blob_annotate(bucket, id, where|nil, patch_json): changed, or nil and the failure */
static int blob_annotate(lua_State *L)
{
    struct tide_blob_store *store = store_of(L);
    const char *bucket = luaL_checkstring(L, 1), *patch = luaL_checkstring(L, 4);
    struct tide_blob_query query = {0};
    struct tide_id id;
    struct blob_op *self;
    struct tide_err err;

    query.id = opt_id(L, 2, &id);
    check_where(L, 3, &query);
    self = tide_op_new(L, &change_type);
    self->call = tide_blob_annotate(store, bucket, &query, patch, on_changed, self, &err);
    return finish_start(L, self, &err);
}

/* blob_remove(bucket, id): was it there, or nil and the failure */
static int blob_remove(lua_State *L)
{
    struct tide_blob_store *store = store_of(L);
    const char *bucket = luaL_checkstring(L, 1);
    struct tide_id id;
    const struct tide_id *wanted = opt_id(L, 2, &id);
    struct blob_op *self = tide_op_new(L, &change_type);
    struct tide_err err;

    self->call = tide_blob_remove(store, bucket, wanted, on_changed, self, &err);
    return finish_start(L, self, &err);
}

void tide_bind_blob(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"blob_create", blob_create}, {"blob_commit", blob_commit},
        {"blob_length", blob_length}, {"blob_close", blob_close},
        {"blob_open", blob_open},     {"respond_blob", respond_blob},
        {"blob_find", blob_find},     {"blob_annotate", blob_annotate},
        {"blob_remove", blob_remove}, {NULL, NULL},
    };

    tide_bind_register(L, functions);
}
