#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/utf8.h"
#include "blob/store.h"

/* What the pool is asked to do next. */
enum step { STEP_NOTHING, STEP_APPEND, STEP_PATCH, STEP_COMMIT, STEP_DROP };

/* What the caller waits for. */
enum call { CALL_NONE, CALL_WRITE, CALL_PATCH, CALL_COMMIT };

struct tide_blob_writer {
    struct tide_job job;
    struct tide_sink sink;
    struct tide_blob_store *store;
    char bucket[TIDE_BLOB_BUCKET_MAX + 1];
    struct tide_id id;
    int64_t taken, flushed; /* bytes copied from the caller; bytes handed to the pool */
    bool shared;            /* the id is the caller's */
    bool closed, committed;
    struct tide_err err; /* the first failure; nothing can be written after it */

    /* One buffer is filled on the loop while the pool stores the other. */
    char *buf[2];
    size_t len[2];
    int fill;

    enum call call;
    bool begun; /* the step of a patch or commit is in the pool */
    const char *data;
    size_t left;
    tide_write_cb *cb; /* tide_blob_commit_cb is the same type */
    void *arg;
    char *patch, *name, *metadata;
    size_t patch_len;
    int64_t patch_offset;

    /* The pool's while busy. */
    bool busy;
    enum step step;
    struct tide_blob_output *output;
    char *job_data;
    size_t job_len;
    struct tide_err job_err;
};

static const char out_of_memory[] = "blob: out of memory";

static bool append(struct tide_blob_writer *w)
{
    const struct tide_blob_driver *driver = w->store->driver;

    if (!w->output)
        w->output = driver->create(w->store->backend, w->bucket, &w->id, w->shared, &w->job_err);
    if (!w->output)
        return false;
    return w->job_len == 0 || driver->append(w->output, w->job_data, w->job_len, &w->job_err);
}

static bool commit(struct tide_blob_writer *w)
{
    if (!append(w))
        return false;
    tide_fault("blob.written", w->bucket);
    if (!w->store->driver->commit(w->output, w->name, w->metadata, &w->job_err))
        return false;
    tide_fault("blob.committed", w->bucket);
    return true;
}

static bool run_step(struct tide_blob_writer *w)
{
    const struct tide_blob_driver *driver = w->store->driver;

    switch (w->step) {
    case STEP_APPEND:
        return append(w);
    case STEP_PATCH:
        return driver->patch(w->output, w->patch_offset, w->patch, w->patch_len, &w->job_err);
    case STEP_COMMIT:
        return commit(w);
    case STEP_NOTHING:
    case STEP_DROP:
        break;
    }
    return true;
}

static void work(struct tide_job *job)
{
    struct tide_blob_writer *w = (struct tide_blob_writer *)job;
    bool ok = run_step(w);

    if (w->output && ((ok && w->step == STEP_COMMIT) || w->step == STEP_DROP)) {
        w->store->driver->drop(w->output);
        w->output = NULL;
    }
}

static void start(struct tide_blob_writer *w, enum step step)
{
    w->step = step;
    w->job_err.code = NULL;
    w->busy = true;
    tide_blob_store_run(w->store->writers, &w->job);
}

static void finish_call(struct tide_blob_writer *w)
{
    w->call = CALL_NONE;
    w->cb(w->arg, w->err.code ? &w->err : NULL);
}

static void flush(struct tide_blob_writer *w)
{
    w->job_data = w->buf[w->fill];
    w->job_len = w->len[w->fill];
    w->flushed += (int64_t)w->job_len;
    w->fill ^= 1;
    w->len[w->fill] = 0;
    start(w, STEP_APPEND);
}

static const struct tide_blob_layout *layout_of(const struct tide_blob_writer *w)
{
    return &w->store->driver->layout;
}

static bool is_full(const struct tide_blob_writer *w)
{
    return w->len[w->fill] == layout_of(w)->pieces * layout_of(w)->body;
}

/* Makes room in the buffer being filled; false when that has to wait for the pool, or failed. */
static bool make_room(struct tide_blob_writer *w)
{
    const struct tide_blob_layout *layout = layout_of(w);

    if (is_full(w)) {
        if (w->busy)
            return false;
        flush(w);
    }
    if (!w->buf[w->fill])
        w->buf[w->fill] = malloc(layout->pieces * (layout->head + layout->body + layout->tail));
    if (w->buf[w->fill])
        return true;
    return tide_err_set(&w->err, TIDE_ERR_UNAVAILABLE, true, out_of_memory);
}

/* Where the next byte goes, and for how many there is room. */
static char *next_place(struct tide_blob_writer *w, size_t *room)
{
    const struct tide_blob_layout *layout = layout_of(w);
    size_t piece = w->len[w->fill] / layout->body, at = w->len[w->fill] % layout->body;

    *room = layout->body - at;
    return w->buf[w->fill] + piece * (layout->head + layout->body + layout->tail) + layout->head + at;
}

static void take_bytes(struct tide_blob_writer *w)
{
    while (w->left > 0 && !w->err.code && make_room(w)) {
        size_t room, n;
        char *place = next_place(w, &room);

        n = w->left < room ? w->left : room;
        memcpy(place, w->data, n);
        w->len[w->fill] += n;
        w->data += n;
        w->left -= n;
        w->taken += (int64_t)n;
    }
    if (!w->busy && !w->err.code && is_full(w))
        flush(w);
    if (w->left == 0 || w->err.code)
        finish_call(w);
}

/* Gives a waiting patch or commit to the pool, also when there is nothing to do for it: a callback never
 * runs inside its call. */
static void begin_call(struct tide_blob_writer *w)
{
    enum step step = STEP_NOTHING;

    w->begun = true;
    if (w->err.code) {
        step = STEP_NOTHING;
    } else if (w->call == CALL_COMMIT) {
        w->job_data = w->buf[w->fill];
        w->job_len = w->len[w->fill];
        step = STEP_COMMIT;
    } else if (w->flushed > 0) {
        step = STEP_PATCH;
    } else if (w->patch_len > 0) {
        memcpy(w->buf[w->fill] + layout_of(w)->head + w->patch_offset, w->patch, w->patch_len);
    }
    start(w, step);
}

static void free_writer(struct tide_blob_writer *w)
{
    free(w->buf[0]);
    free(w->buf[1]);
    free(w->patch);
    free(w->name);
    free(w->metadata);
    free(w);
}

static void release(struct tide_blob_writer *w)
{
    if (w->output)
        start(w, STEP_DROP);
    else
        free_writer(w);
}

static void done(struct tide_job *job)
{
    struct tide_blob_writer *w = (struct tide_blob_writer *)job;

    w->busy = false;
    if (w->closed) {
        release(w);
        return;
    }
    if (w->job_err.code && !w->err.code)
        w->err = w->job_err;
    /* At once: a full disk needs the room. Beside the caller's being told: a server that is away takes its
     * time. */
    if (w->err.code && w->output)
        start(w, STEP_DROP);
    if (w->call == CALL_WRITE) {
        take_bytes(w);
    } else if (w->call != CALL_NONE && !w->begun) {
        if (!w->busy)
            begin_call(w);
    } else if (w->call != CALL_NONE) {
        w->committed = w->call == CALL_COMMIT && !w->err.code;
        finish_call(w);
    }
}

static void set_call(struct tide_blob_writer *w, enum call call, tide_write_cb *cb, void *arg)
{
    assert(w->call == CALL_NONE && !w->closed && !w->committed);
    w->call = call;
    w->begun = false;
    w->cb = cb;
    w->arg = arg;
}

static struct tide_blob_writer *writer_of(struct tide_sink *sink)
{
    return (struct tide_blob_writer *)((char *)sink - offsetof(struct tide_blob_writer, sink));
}

static void sink_write(struct tide_sink *sink, const void *data, size_t len, tide_write_cb *cb, void *arg)
{
    struct tide_blob_writer *w = writer_of(sink);

    set_call(w, CALL_WRITE, cb, arg);
    w->data = data;
    w->left = len;
    take_bytes(w);
}

static void sink_close(struct tide_sink *sink)
{
    tide_blob_writer_close(writer_of(sink));
}

static const struct tide_sink_ops sink_ops = {.write = sink_write, .close = sink_close};

struct tide_blob_writer *tide_blob_create(struct tide_blob_store *store, const char *bucket,
                                          const struct tide_id *id, struct tide_err *err)
{
    struct tide_blob_writer *w;

    if (!tide_blob_store_admit(store, bucket, err))
        return NULL;
    w = calloc(1, sizeof *w);
    if (!w) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, out_of_memory);
        return NULL;
    }
    w->job = (struct tide_job){.work = work, .done = done};
    w->sink.ops = &sink_ops;
    w->store = store;
    memcpy(w->bucket, bucket, strlen(bucket) + 1);
    w->id = id ? *id : tide_id_new();
    w->shared = id != NULL;
    store->handles++;
    return w;
}

const struct tide_id *tide_blob_writer_id(const struct tide_blob_writer *w)
{
    return &w->id;
}

int64_t tide_blob_writer_length(const struct tide_blob_writer *w)
{
    return w->taken;
}

struct tide_sink *tide_blob_writer_sink(struct tide_blob_writer *w)
{
    return &w->sink;
}

void tide_blob_writer_patch(struct tide_blob_writer *w, int64_t offset, const void *data, size_t len,
                            tide_write_cb *cb, void *arg)
{
    assert(offset >= 0 && len <= TIDE_BLOB_PATCH_MAX && offset <= TIDE_BLOB_PATCH_MAX - (int64_t)len &&
           offset + (int64_t)len <= w->taken);
    set_call(w, CALL_PATCH, cb, arg);
    free(w->patch);
    w->patch = malloc(len + 1);
    w->patch_len = len;
    w->patch_offset = offset;
    if (w->patch)
        memcpy(w->patch, data, len);
    else if (!w->err.code)
        tide_err_set(&w->err, TIDE_ERR_UNAVAILABLE, true, out_of_memory);
    if (!w->busy)
        begin_call(w);
}

static bool check_commit(const char *name, const char *metadata, struct tide_err *err)
{
    if (strlen(name) > TIDE_BLOB_NAME_MAX || !tide_utf8_valid(name, strlen(name)))
        return tide_err_set(err, TIDE_ERR_INVALID, false, "blob: a file name is UTF-8 of at most %d bytes",
                            TIDE_BLOB_NAME_MAX);
    if (strlen(metadata) > TIDE_BLOB_METADATA_MAX || !tide_utf8_valid(metadata, strlen(metadata)))
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "blob: metadata must be a JSON object of at most 64 KiB");
    return true;
}

void tide_blob_commit(struct tide_blob_writer *w, const char *name, const char *metadata_json,
                      tide_blob_commit_cb *cb, void *arg)
{
    if (!metadata_json)
        metadata_json = "{}";
    set_call(w, CALL_COMMIT, cb, arg);
    if (!w->err.code)
        check_commit(name, metadata_json, &w->err);
    free(w->name);
    free(w->metadata);
    w->name = strdup(name);
    w->metadata = strdup(metadata_json);
    if ((!w->name || !w->metadata) && !w->err.code)
        tide_err_set(&w->err, TIDE_ERR_UNAVAILABLE, true, out_of_memory);
    if (!w->busy)
        begin_call(w);
}

void tide_blob_writer_close(struct tide_blob_writer *w)
{
    if (!w)
        return;
    assert(!w->closed);
    w->closed = true;
    w->store->handles--;
    if (!w->busy)
        release(w);
}
