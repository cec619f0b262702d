/* Sound for an object of a plugin: a sink that takes it on the pool. */
#include <stdlib.h>
#include <string.h>

#include "bind/plugin.h"

#define FRAME (TIDEMILL_PCM_CHANNELS * sizeof(float)) /* bytes */

struct plugin_sink {
    struct tide_sink sink;
    struct tide_plugin_object *object;
    struct tide_pool *pool;
    struct tide_job job;
    float *samples; /* a copy: the writer's bytes are gone when the sink is closed in mid-write */
    size_t size, len;
    tide_write_cb *cb;
    void *arg;
    bool busy, closed, good;
};

static struct plugin_sink *of_job(struct tide_job *job)
{
    return (struct plugin_sink *)((char *)job - offsetof(struct plugin_sink, job));
}

static void sink_free(struct plugin_sink *self)
{
    tide_plugin_give_back(self->object);
    free(self->samples);
    free(self);
}

static void work(struct tide_job *job)
{
    struct plugin_sink *self = of_job(job);

    self->good = self->object->type->pcm(self->object->object, self->samples, self->len / FRAME);
}

static void done(struct tide_job *job)
{
    struct plugin_sink *self = of_job(job);
    struct tide_err err;

    self->busy = false;
    if (self->closed) {
        sink_free(self);
        return;
    }
    if (!self->good)
        tide_err_set(&err, TIDE_ERR_INTERNAL, false, "the plugin's %s has refused the sound",
                     self->object->type->name);
    self->cb(self->arg, self->good ? NULL : &err);
}

static bool keep(struct plugin_sink *self, const void *data, size_t len)
{
    if (len > self->size) {
        float *grown = realloc(self->samples, len);
        if (!grown)
            return false;
        self->samples = grown;
        self->size = len;
    }
    memcpy(self->samples, data, len);
    self->len = len;
    return true;
}

static void sink_write(struct tide_sink *sink, const void *data, size_t len, tide_write_cb *cb, void *arg)
{
    struct plugin_sink *self = (struct plugin_sink *)sink;
    struct tide_err err;
    bool good = true;

    self->cb = cb;
    self->arg = arg;
    if (len % FRAME != 0)
        good = tide_err_set(&err, TIDE_ERR_INTERNAL, false, "sound that is no whole frames");
    else if (!keep(self, data, len))
        good = tide_err_set(&err, TIDE_ERR_UNAVAILABLE, true, "not enough memory");
    self->job = (struct tide_job){.work = work, .done = done};
    good = good && tide_pool_submit(self->pool, &self->job, &err);
    self->busy = good;
    if (!good)
        cb(arg, &err);
}

static void sink_close(struct tide_sink *sink)
{
    struct plugin_sink *self = (struct plugin_sink *)sink;

    self->closed = true;
    if (!self->busy)
        sink_free(self);
}

struct tide_sink *tide_plugin_sink(struct tide_plugin_object *object, struct tide_pool *pool)
{
    static const struct tide_sink_ops ops = {.write = sink_write, .close = sink_close};
    struct plugin_sink *self = calloc(1, sizeof *self);

    if (!self)
        abort();
    *self = (struct plugin_sink){.sink.ops = &ops, .object = object, .pool = pool};
    return &self->sink;
}
