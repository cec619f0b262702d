#include <stdlib.h>
#include <string.h>

#include "blob/store.h"

#define MAX_WHERE 4
#define MAX_KEY 32
#define MAX_VALUE 1024

enum kind { CALL_OPEN, CALL_FIND, CALL_ANNOTATE, CALL_REMOVE };

struct tide_blob_call {
    struct tide_job job;
    struct tide_blob_store *store;
    enum kind kind;
    bool canceled, telling;
    union {
        tide_blob_open_cb *open;
        tide_blob_find_cb *find;
        tide_blob_change_cb *change;
    } cb;
    void *arg;

    /* Copies of what the caller gave; query points to them. */
    char bucket[TIDE_BLOB_BUCKET_MAX + 1];
    struct tide_id id, before;
    struct tide_blob_query query;
    char *patch;

    /* The result. */
    struct tide_blob_input *input;
    struct tide_blob_info info;
    struct tide_blob_list list;
    bool changed;
    struct tide_err err;
};

static void work(struct tide_job *job)
{
    struct tide_blob_call *call = (struct tide_blob_call *)job;
    const struct tide_blob_driver *driver = call->store->driver;
    struct tide_blob_backend *backend = call->store->backend;
    bool ok = true;

    switch (call->kind) {
    case CALL_OPEN:
        call->input = driver->open_input(backend, call->bucket, &call->id, &call->info, &call->err);
        ok = call->input != NULL;
        break;
    case CALL_FIND:
        ok = driver->find(backend, call->bucket, &call->query, &call->list, &call->err);
        break;
    case CALL_ANNOTATE:
        ok = driver->annotate(backend, call->bucket, &call->query, call->patch, &call->changed, &call->err);
        break;
    case CALL_REMOVE:
        ok = driver->remove(backend, call->bucket, &call->id, &call->changed, &call->err);
        break;
    }
    if (ok)
        call->err.code = NULL;
}

static void free_call(struct tide_blob_call *call)
{
    for (size_t i = 0; i < MAX_WHERE; i++) {
        free((char *)call->query.where[i].key);
        free((char *)call->query.where[i].value);
    }
    tide_blob_list_release(&call->list);
    tide_blob_info_release(&call->info);
    free(call->patch);
    free(call);
}

/* Makes the reader also for a canceled call: closing it is what closes the input. */
static struct tide_blob_reader *take_reader(struct tide_blob_call *call)
{
    struct tide_blob_reader *reader;

    if (!call->input)
        return NULL;
    reader = tide_blob_reader_new(call->store, call->input, &call->info);
    if (reader) {
        call->info.name = call->info.metadata = NULL;
    } else {
        call->store->driver->close_input(call->input);
        tide_err_set(&call->err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
    }
    return reader;
}

static void tell(struct tide_blob_call *call)
{
    const struct tide_err *err;
    struct tide_blob_reader *reader = take_reader(call);

    if (call->canceled) {
        tide_blob_reader_close(reader);
        return;
    }
    err = call->err.code ? &call->err : NULL;
    call->telling = true;
    if (call->kind == CALL_OPEN)
        call->cb.open(call->arg, reader, err);
    else if (call->kind == CALL_FIND)
        call->cb.find(call->arg, call->list.items, call->list.count, err);
    else
        call->cb.change(call->arg, call->changed, err);
}

static void done(struct tide_job *job)
{
    struct tide_blob_call *call = (struct tide_blob_call *)job;

    if (!call->canceled)
        call->store->handles--;
    tell(call);
    free_call(call);
}

static struct tide_blob_call *new_call(struct tide_blob_store *store, enum kind kind, const char *bucket,
                                       void *arg, struct tide_err *err)
{
    struct tide_blob_call *call;

    if (!tide_blob_store_admit(store, bucket, err))
        return NULL;
    call = calloc(1, sizeof *call);
    if (!call) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        return NULL;
    }
    call->job = (struct tide_job){.work = work, .done = done};
    call->store = store;
    call->kind = kind;
    call->arg = arg;
    memcpy(call->bucket, bucket, strlen(bucket) + 1);
    return call;
}

static struct tide_blob_call *start(struct tide_blob_call *call)
{
    bool changes = call->kind == CALL_ANNOTATE || call->kind == CALL_REMOVE;

    call->store->handles++;
    tide_blob_store_run(changes ? call->store->writers : call->store->readers, &call->job);
    return call;
}

static bool copy_where(struct tide_blob_call *call, size_t i, const char *key, const char *value,
                       struct tide_err *err)
{
    size_t len = strspn(key, "abcdefghijklmnopqrstuvwxyz_");

    if (len == 0 || len > MAX_KEY || key[len])
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "blob: '%.40s' is no metadata key to look for (1 to 32 of a-z and _)", key);
    if (value && strlen(value) > MAX_VALUE)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "blob: %s: a value of at most %d bytes is wanted",
                            key, MAX_VALUE);
    call->query.where[i].key = strdup(key);
    call->query.where[i].value = value ? strdup(value) : NULL;
    if (call->query.where[i].key && !call->query.where[i].value == !value)
        return true;
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
}

static bool copy_query(struct tide_blob_call *call, const struct tide_blob_query *query, struct tide_err *err)
{
    if (query->limit > 1000)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "blob: limit %zu is over 1000", query->limit);
    call->query.limit = query->limit ? query->limit : 100;
    call->query.older_than_ms = query->older_than_ms;
    if (query->id) {
        call->id = *query->id;
        call->query.id = &call->id;
    }
    if (query->before) {
        call->before = *query->before;
        call->query.before = &call->before;
    }
    for (size_t i = 0; i < MAX_WHERE; i++)
        if (query->where[i].key && !copy_where(call, i, query->where[i].key, query->where[i].value, err))
            return false;
    return true;
}

static bool copy_patch(struct tide_blob_call *call, const char *patch, struct tide_err *err)
{
    if (!call->query.id)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "blob: annotate wants an id");
    if (strlen(patch) > TIDE_BLOB_METADATA_MAX)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "blob: metadata of over 64 KiB");
    call->patch = strdup(patch);
    return call->patch || tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
}

struct tide_blob_call *tide_blob_open(struct tide_blob_store *store, const char *bucket,
                                      const struct tide_id *id, tide_blob_open_cb *cb, void *arg,
                                      struct tide_err *err)
{
    struct tide_blob_call *call = new_call(store, CALL_OPEN, bucket, arg, err);

    if (!call)
        return NULL;
    call->cb.open = cb;
    call->id = *id;
    return start(call);
}

struct tide_blob_call *tide_blob_find(struct tide_blob_store *store, const char *bucket,
                                      const struct tide_blob_query *query, tide_blob_find_cb *cb, void *arg,
                                      struct tide_err *err)
{
    struct tide_blob_call *call = new_call(store, CALL_FIND, bucket, arg, err);

    if (!call)
        return NULL;
    call->cb.find = cb;
    if (copy_query(call, query, err))
        return start(call);
    free_call(call);
    return NULL;
}

struct tide_blob_call *tide_blob_annotate(struct tide_blob_store *store, const char *bucket,
                                          const struct tide_blob_query *query, const char *patch_json,
                                          tide_blob_change_cb *cb, void *arg, struct tide_err *err)
{
    struct tide_blob_call *call = new_call(store, CALL_ANNOTATE, bucket, arg, err);

    if (!call)
        return NULL;
    call->cb.change = cb;
    if (copy_query(call, query, err) && copy_patch(call, patch_json, err))
        return start(call);
    free_call(call);
    return NULL;
}

struct tide_blob_call *tide_blob_remove(struct tide_blob_store *store, const char *bucket,
                                        const struct tide_id *id, tide_blob_change_cb *cb, void *arg,
                                        struct tide_err *err)
{
    struct tide_blob_call *call = new_call(store, CALL_REMOVE, bucket, arg, err);

    if (!call)
        return NULL;
    call->cb.change = cb;
    call->id = *id;
    return start(call);
}

void tide_blob_call_cancel(struct tide_blob_call *call)
{
    if (call->telling || call->canceled)
        return;
    call->canceled = true;
    call->store->handles--;
}
