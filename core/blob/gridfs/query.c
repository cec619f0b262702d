#include "blob/gridfs/gridfs.h"

bool tide_gridfs_insert(mongoc_collection_t *collection, const bson_t **docs, size_t count,
                        bson_error_t *error)
{
    bson_t *opts = BCON_NEW("ordered", BCON_BOOL(false)); /* the second time some may be there */
    bool ok = mongoc_collection_insert_many(collection, docs, count, opts, NULL, error);

    if (!ok && tide_gridfs_is_network(error))
        ok = mongoc_collection_insert_many(collection, docs, count, opts, NULL, error) ||
             tide_gridfs_is_duplicate(error);
    bson_destroy(opts);
    return ok;
}

bool tide_gridfs_update_many(struct tide_gridfs_bucket *bucket, mongoc_collection_t *collection,
                             const bson_t *filter, const bson_t *update, struct tide_err *err)
{
    bson_error_t error;

    return mongoc_collection_update_many(collection, filter, update, NULL, NULL, &error) ||
           (tide_gridfs_is_network(&error) &&
            mongoc_collection_update_many(collection, filter, update, NULL, NULL, &error)) ||
           tide_gridfs_fail(bucket->gridfs, err, "update", &error);
}

bool tide_gridfs_delete_many(struct tide_gridfs_bucket *bucket, mongoc_collection_t *collection,
                             const bson_t *filter, struct tide_err *err)
{
    bson_error_t error;

    return mongoc_collection_delete_many(collection, filter, NULL, NULL, &error) ||
           (tide_gridfs_is_network(&error) &&
            mongoc_collection_delete_many(collection, filter, NULL, NULL, &error)) ||
           tide_gridfs_fail(bucket->gridfs, err, "delete", &error);
}

bool tide_gridfs_first(struct tide_gridfs_bucket *bucket, mongoc_collection_t *collection,
                       const bson_t *filter, const bson_t *opts, bson_t **doc, struct tide_err *err)
{
    bson_t first = BSON_INITIALIZER;
    mongoc_cursor_t *cursor;
    const bson_t *found;
    bson_error_t error;
    bool ok = true;

    if (opts)
        bson_concat(&first, opts);
    BSON_APPEND_INT64(&first, "limit", 1);
    cursor = mongoc_collection_find_with_opts(collection, filter, &first, NULL);
    *doc = mongoc_cursor_next(cursor, &found) ? bson_copy(found) : NULL;
    if (!*doc && mongoc_cursor_error(cursor, &error))
        ok = tide_gridfs_fail(bucket->gridfs, err, "find", &error);
    mongoc_cursor_destroy(cursor);
    bson_destroy(&first);
    return ok;
}

int64_t tide_gridfs_count(struct tide_gridfs_bucket *bucket, const bson_oid_t *files_id, struct tide_err *err)
{
    bson_t filter = BSON_INITIALIZER;
    bson_error_t error;
    int64_t count;

    BSON_APPEND_OID(&filter, "files_id", files_id);
    count = mongoc_collection_count_documents(bucket->chunks, &filter, NULL, NULL, NULL, &error);
    bson_destroy(&filter);
    if (count < 0)
        tide_gridfs_fail(bucket->gridfs, err, "count", &error);
    return count;
}
