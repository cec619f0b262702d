#include <string.h>

#include "base/clock.h"
#include "blob/gridfs/gridfs.h"

#define EVERY_MS (24 * 60 * 60 * 1000L) /* how often a bucket is swept, by whichever process */
#define AGAIN_MS (60 * 60 * 1000L)      /* how often a process looks whether one is due */

struct sweep {
    struct tide_gridfs_bucket bucket;
    const atomic_bool *stop;
    bool removes; /* else it only does what claims have left to do */
    int64_t removed, completed;
};

/* The files_id that follows in the order of ids. */
static bool next_id(struct sweep *sweep, bson_oid_t *id, bool *found, struct tide_err *err)
{
    bson_t *filter = BCON_NEW("files_id", "{", "$gt", BCON_OID(id), "}");
    bson_t *opts = BCON_NEW("sort", "{", "files_id", BCON_INT32(1), "n", BCON_INT32(1), "}", "projection",
                            "{", "_id", BCON_INT32(0), "files_id", BCON_INT32(1), "}");
    bson_t *chunk = NULL;
    bson_iter_t iter;
    bool ok = tide_gridfs_first(&sweep->bucket, sweep->bucket.chunks, filter, opts, &chunk, err);

    *found = chunk && bson_iter_init_find(&iter, chunk, "files_id") && BSON_ITER_HOLDS_OID(&iter);
    if (*found)
        *id = *bson_iter_oid(&iter);
    if (chunk)
        bson_destroy(chunk);
    bson_destroy(filter);
    bson_destroy(opts);
    return ok;
}

/* The chunk at one end of a file's; NULL also when it can't be had now. */
static bson_t *end_chunk(struct sweep *sweep, const bson_oid_t *id, int order)
{
    bson_t *filter = BCON_NEW("files_id", BCON_OID(id));
    bson_t *opts =
        BCON_NEW("sort", "{", "n", BCON_INT32(order), "}", "projection", "{", "data", BCON_INT32(0), "}");
    bson_t *chunk = NULL;
    struct tide_err err;

    if (!tide_gridfs_first(&sweep->bucket, sweep->bucket.chunks, filter, opts, &chunk, &err))
        chunk = NULL;
    bson_destroy(filter);
    bson_destroy(opts);
    return chunk;
}

/* By the _id of the chunk written last: it is made when the chunk is, also when the file's id is older. */
static bool is_stale(const bson_t *chunk)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, chunk, "_id") && BSON_ITER_HOLDS_OID(&iter) &&
           (int64_t)bson_oid_get_time_t(bson_iter_oid(&iter)) * 1000 <
               tide_clock_now_ms() - TIDE_GRIDFS_STALE_MS;
}

static bool has_no_file(struct sweep *sweep, const bson_oid_t *id)
{
    struct tide_err err;
    bson_t *file = NULL;
    bool known = tide_gridfs_file_get(&sweep->bucket, id, &file, &err);

    if (file)
        bson_destroy(file);
    return known && !file;
}

static bool remove_all(struct sweep *sweep, const bson_oid_t *id, struct tide_err *err)
{
    bson_t *filter = BCON_NEW("files_id", BCON_OID(id));
    bool ok = tide_gridfs_delete_many(&sweep->bucket, sweep->bucket.chunks, filter, err);

    bson_destroy(filter);
    sweep->removed += ok;
    return ok;
}

/* Failures are left to the next sweep. A claim is stored and durable: what is left to do is done, unless
 * chunks are missing, which no one can mend. */
static void sweep_chunks(struct sweep *sweep, const bson_oid_t *id, const bson_t *first)
{
    struct tide_err err;

    if (bson_has_field(first, "claim")) {
        if (tide_gridfs_fulfil(&sweep->bucket, first, &err))
            sweep->completed++;
        else if (strcmp(err.code, TIDE_ERR_INTERNAL) == 0)
            remove_all(sweep, id, &err);
    } else if (sweep->removes) {
        remove_all(sweep, id, &err);
    }
}

static void sweep_id(struct sweep *sweep, const bson_oid_t *id)
{
    bson_t *last, *first;

    if (!has_no_file(sweep, id))
        return;
    last = end_chunk(sweep, id, -1);
    first = end_chunk(sweep, id, 1);
    /* Looked for again: its writer may have come to the end since. */
    if (first && last && is_stale(last) && has_no_file(sweep, id))
        sweep_chunks(sweep, id, first);
    if (first)
        bson_destroy(first);
    if (last)
        bson_destroy(last);
}

static bool pass(struct sweep *sweep, struct tide_err *err)
{
    bson_oid_t id = {{0}};
    bool found;

    while (!atomic_load(sweep->stop)) {
        if (!next_id(sweep, &id, &found, err))
            return false;
        if (!found)
            break;
        sweep_id(sweep, &id);
    }
    return true;
}

/* Claims first: chunks that still have to get their id look like those of a dead writer. */
static bool sweep_bucket(struct sweep *sweep, struct tide_err *err)
{
    bool ok;

    sweep->removes = false;
    ok = pass(sweep, err);
    sweep->removes = true;
    ok = ok && pass(sweep, err);
    if (sweep->removed > 0 || sweep->completed > 0)
        tide_log_event(sweep->bucket.gridfs->log, TIDE_LOG_INFO, "swept what dead writers left",
                       tide_log_str("bucket", sweep->bucket.name), tide_log_int("removed", sweep->removed),
                       tide_log_int("completed", sweep->completed));
    return ok;
}

/* Takes a bucket that is due from the register, so that one process does it. */
static bool take_due(struct tide_gridfs_bucket *any, char name[TIDE_BLOB_BUCKET_MAX + 1],
                     struct tide_err *err)
{
    int64_t now = tide_clock_now_ms();
    mongoc_collection_t *all =
        mongoc_client_get_collection(any->client, any->gridfs->database, TIDE_GRIDFS_REGISTER);
    bson_t *due = BCON_NEW("swept", "{", "$lt", BCON_DATE_TIME(now - EVERY_MS), "}");
    mongoc_find_and_modify_opts_t *opts = mongoc_find_and_modify_opts_new();
    bson_t *update = BCON_NEW("$set", "{", "swept", BCON_DATE_TIME(now), "}"), reply;
    bson_iter_t iter, value;
    bson_error_t error;
    bool ok;

    *name = '\0';
    mongoc_find_and_modify_opts_set_update(opts, update);
    ok = mongoc_collection_find_and_modify_with_opts(all, due, opts, &reply, &error) ||
         tide_gridfs_fail(any->gridfs, err, "the register of buckets", &error);
    if (ok && bson_iter_init(&iter, &reply) && bson_iter_find_descendant(&iter, "value._id", &value) &&
        BSON_ITER_HOLDS_UTF8(&value))
        snprintf(name, TIDE_BLOB_BUCKET_MAX + 1, "%s", bson_iter_utf8(&value, NULL));
    bson_destroy(&reply);
    bson_destroy(due);
    bson_destroy(update);
    mongoc_find_and_modify_opts_destroy(opts);
    mongoc_collection_destroy(all);
    return ok;
}

static bool sweep_next(struct tide_gridfs *gridfs, const atomic_bool *stop, bool *more, struct tide_err *err)
{
    struct sweep sweep = {.stop = stop};
    char name[TIDE_BLOB_BUCKET_MAX + 1];
    bool ok;

    if (!tide_gridfs_enter(&sweep.bucket, gridfs, "tidemill", err))
        return false;
    ok = take_due(&sweep.bucket, name, err);
    tide_gridfs_leave(&sweep.bucket);
    *more = ok && *name;
    if (!*more)
        return ok;
    if (!tide_gridfs_enter(&sweep.bucket, gridfs, name, err))
        return false;
    ok = sweep_bucket(&sweep, err);
    tide_gridfs_leave(&sweep.bucket);
    return ok;
}

int64_t tide_gridfs_sweep(struct tide_blob_backend *backend, const atomic_bool *stop)
{
    struct tide_gridfs *gridfs = (struct tide_gridfs *)backend;
    struct tide_err err;
    bool more = true;

    while (more && !atomic_load(stop))
        if (!sweep_next(gridfs, stop, &more, &err)) {
            tide_log_event(gridfs->log, TIDE_LOG_WARN, "the sweep of left-over chunks failed",
                           tide_log_str("error", err.message));
            break;
        }
    return AGAIN_MS;
}
