/* Transcoding between an open file and a file being written (media/media.h). */
#include "media/media.h"

#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "bind/blob.h"
#include "bind/plugin.h"

struct media_op;

/* The task that runs on_progress; it may outlive the op when that is canceled. */
struct progress {
    struct media_op *media; /* NULL: canceled */
    bool busy;
};

struct media_op {
    struct tide_op op;
    struct tide_media_input input; /* &input -> this */
    struct tide_blob_reader *reader;
    void *from, *to;         /* userdata of the files; `to` NULL: only a look, or a sound */
    struct tide_sink *sound; /* of a plugin's object, or NULL */
    struct tide_media_job *job;
    struct tide_state *state;
    struct progress *progress;
    int on_progress; /* registry reference or LUA_NOREF */
    bool over, failed;
    struct tide_media_result result;
    struct tide_err err;
    char *format, *quality, *title;
};

static struct media_op *of_input(struct tide_media_input *input)
{
    return (struct media_op *)((char *)input - offsetof(struct media_op, input));
}

static void read_input(struct tide_media_input *input, int64_t offset, void *buf, size_t len,
                       tide_read_cb *cb, void *arg)
{
    tide_blob_read_at(of_input(input)->reader, offset, buf, len, cb, arg);
}

static void patch_output(void *patch_arg, int64_t offset, const void *data, size_t len, tide_write_cb *cb,
                         void *arg)
{
    tide_blob_writer_patch(patch_arg, offset, data, len, cb, arg);
}

/* ---- progress ---- */

static void on_progress_end(void *arg, struct tide_task *task, enum tide_task_end end, lua_State *L,
                            int nresults, const struct tide_err *err)
{
    struct progress *progress = arg;

    (void)task, (void)end, (void)L, (void)nresults, (void)err;
    progress->busy = false;
    if (!progress->media) {
        free(progress);
    } else if (progress->media->over) {
        /* Results came meanwhile; a late report of progress must not overtake what the script does next. */
        tide_op_finish(&progress->media->op);
    }
}

static void on_progress(void *arg, int percent)
{
    struct media_op *self = arg;
    lua_State *L = tide_state_main(self->state);

    if (self->on_progress == LUA_NOREF || self->progress->busy || self->over)
        return;
    self->progress->busy = true;
    lua_rawgeti(L, LUA_REGISTRYINDEX, self->on_progress);
    lua_pushinteger(L, percent);
    tide_task_start(self->state, 1, "on_progress", (struct tide_task_limits){.timeout_ms = 30000},
                    on_progress_end, self->progress);
}

/* ---- the op ---- */

static void set_int(lua_State *L, const char *name, int64_t value)
{
    lua_pushnumber(L, (lua_Number)value);
    lua_setfield(L, -2, name);
}

static int media_push(lua_State *L, struct tide_op *op)
{
    struct media_op *self = (struct media_op *)op;

    if (self->failed)
        return tide_push_failure(L, &self->err);
    lua_createtable(L, 0, 8);
    lua_pushnumber(L, (lua_Number)self->result.duration_ms / 1000);
    lua_setfield(L, -2, "duration");
    set_int(L, "bytes", self->result.output_bytes);
    set_int(L, "cpu_ms", self->result.cpu_ms);
    set_int(L, "peak_memory", self->result.peak_memory);
    set_int(L, "sample_rate", self->result.sample_rate);
    set_int(L, "channels", self->result.channels);
    lua_pushstring(L, self->result.container);
    lua_setfield(L, -2, "container");
    lua_pushstring(L, self->result.codec);
    lua_setfield(L, -2, "codec");
    return 1;
}

/* The job's buffer is in the hands of reader and writer: both must be closed at once. */
static bool media_cancel(struct tide_op *op)
{
    struct media_op *self = (struct media_op *)op;

    if (self->over)
        return true;
    tide_media_cancel(self->job);
    tide_bind_file_close(self->from);
    if (self->to)
        tide_bind_file_close(self->to);
    return true;
}

static void media_release(struct tide_op *op)
{
    struct media_op *self = (struct media_op *)op;

    if (self->on_progress != LUA_NOREF)
        luaL_unref(tide_state_main(self->state), LUA_REGISTRYINDEX, self->on_progress);
    if (self->progress && self->progress->busy)
        self->progress->media = NULL;
    else
        free(self->progress);
    free(self->format);
    free(self->quality);
    free(self->title);
    if (self->sound)
        tide_sink_close(self->sound);
}

static const struct tide_op_type media_type = {.name = "media.transcode",
                                               .size = sizeof(struct media_op),
                                               .push = media_push,
                                               .cancel = media_cancel,
                                               .release = media_release};

static void on_done(void *arg, const struct tide_media_result *result, const struct tide_err *err)
{
    struct media_op *self = arg;

    self->over = true;
    self->failed = err != NULL;
    if (err)
        self->err = *err;
    else
        self->result = *result;
    if (!err)
        tide_fault("media.transcoded", NULL);
    tide_bind_file_end(self->from);
    if (self->to)
        (err ? tide_bind_file_close : tide_bind_file_end)(self->to);
    if (!self->progress->busy)
        tide_op_finish(&self->op);
}

static char *opt_copy(lua_State *L, int table, const char *name)
{
    const char *text;
    char *copy;

    lua_getfield(L, table, name);
    text = lua_tostring(L, -1);
    copy = text ? strdup(text) : NULL;
    lua_pop(L, 1);
    return copy;
}

static double opt_real(lua_State *L, int table, const char *name)
{
    double value;

    lua_getfield(L, table, name);
    value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

static int64_t opt_number(lua_State *L, int table, const char *name)
{
    return (int64_t)opt_real(L, table, name);
}

static void take_options(lua_State *L, int table, struct media_op *self, struct tide_media_options *options)
{
    options->format = self->format = opt_copy(L, table, "format");
    options->quality = self->quality = opt_copy(L, table, "quality");
    options->title = self->title = opt_copy(L, table, "title");
    options->gain_db = opt_real(L, table, "gain");
    options->channels = (int)opt_number(L, table, "channels");
    options->sample_rate = (int)opt_number(L, table, "sample_rate");
    options->max_duration_ms = opt_number(L, table, "max_duration");
    options->max_output = opt_number(L, table, "max_output");
    options->max_memory = opt_number(L, table, "max_memory");
    options->timeout_ms = opt_number(L, table, "timeout");
}

static void begin(lua_State *L, struct media_op *self)
{
    self->from = lua_touserdata(L, 1);
    self->to = self->sound ? NULL : lua_touserdata(L, 2); /* NULL for nil */
    tide_bind_file_begin(self->from);
    if (self->to)
        tide_bind_file_begin(self->to);
}

static int start(lua_State *L, struct tide_blob_writer *writer, struct tide_plugin_object *object)
{
    const struct tide_services *services = tide_bind_services(L);
    struct tide_blob_reader *reader = tide_bind_check_reader(L, 1);
    struct tide_media_request request = {.helper = services->media_helper};
    struct media_op *self;
    struct tide_err err;

    luaL_checktype(L, 3, LUA_TTABLE);
    self = tide_op_new(L, &media_type);
    self->state = tide_state_of(L);
    self->reader = reader;
    self->input = (struct tide_media_input){read_input, tide_blob_reader_info(reader)->length};
    self->progress = calloc(1, sizeof *self->progress);
    if (!self->progress)
        abort();
    self->progress->media = self;
    self->on_progress = LUA_NOREF;
    if (lua_isfunction(L, 4)) {
        lua_pushvalue(L, 4);
        self->on_progress = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    take_options(L, 3, self, &request.options);
    request.input = &self->input;
    if (object)
        request.output = self->sound = tide_plugin_sink(tide_plugin_take(object), services->plugins);
    else
        request.output = writer ? tide_blob_writer_sink(writer) : NULL;
    request.patch = writer ? patch_output : NULL;
    request.patch_arg = writer;
    request.progress = on_progress;
    request.done = on_done;
    request.arg = self;
    self->job = tide_media_start(services->loop, services->log, &request, &err);
    if (!self->job) {
        tide_op_drop(&self->op);
        return tide_push_failure(L, &err);
    }
    begin(L, self);
    return tide_op_wait(L, &self->op);
}

/* media_run(reader, writer|nil, options, on_progress|nil): result, or nil and the failure */
static int media_run(lua_State *L)
{
    return start(L, lua_isnil(L, 2) ? NULL : tide_bind_check_writer(L, 2), NULL);
}

/* media_decode(reader, object of a plugin, options, on_progress|nil): the same */
static int media_decode(lua_State *L)
{
    struct tide_plugin_object *object = tide_plugin_check(L, 2);

    tide_bind_need(L, tide_bind_services(L)->plugins, "plugins", "tide.media.decode");
    if (!object->type->pcm)
        return luaL_error(L, "a %s takes no sound", object->type->name);
    return start(L, NULL, object);
}

void tide_bind_media(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"media_run", media_run}, {"media_decode", media_decode}, {NULL, NULL}};

    tide_bind_register(L, functions);
}
