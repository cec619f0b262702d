#include <stdlib.h>
#include <string.h>

#include "blob/gridfs/gridfs.h"

#define MAX_RESULT (16 * 1024 * 1024) /* bytes of one find */
#define MAX_METADATA (1024 * 1024)    /* of a file stored by others, as JSON */
#define MAX_MERGES 50                 /* tries to change metadata that others change, too */

/* Metadata that is missing, or no object, is empty. */
static bool metadata_of(const bson_t *file, bson_t *metadata)
{
    const uint8_t *data;
    bson_iter_t iter;
    uint32_t len;

    if (!bson_iter_init_find(&iter, file, "metadata") || !BSON_ITER_HOLDS_DOCUMENT(&iter))
        return false;
    bson_iter_document(&iter, &len, &data);
    return bson_init_static(metadata, data, len);
}

static char *print_metadata(const bson_t *file)
{
    bson_t metadata = BSON_INITIALIZER;
    struct tide_buf json;

    tide_buf_init(&json, MAX_METADATA);
    metadata_of(file, &metadata);
    if (tide_gridfs_metadata_print(&metadata, &json))
        return tide_buf_take(&json, NULL);
    tide_buf_release(&json);
    return NULL;
}

static int64_t number_of(const bson_t *file, const char *key)
{
    bson_iter_t iter;

    if (!bson_iter_init_find(&iter, file, key))
        return -1;
    if (BSON_ITER_HOLDS_DATE_TIME(&iter))
        return bson_iter_date_time(&iter);
    return BSON_ITER_HOLDS_NUMBER(&iter) ? bson_iter_as_int64(&iter) : -1;
}

/* Others may store a longer name than can be told in a header: then its beginning. */
static char *name_of(const bson_t *file)
{
    bson_iter_t iter;
    bool named = bson_iter_init_find(&iter, file, "filename") && BSON_ITER_HOLDS_UTF8(&iter);
    const char *name = named ? bson_iter_utf8(&iter, NULL) : "";
    size_t len = strnlen(name, TIDE_BLOB_NAME_MAX + 1);

    if (len > TIDE_BLOB_NAME_MAX)
        for (len = TIDE_BLOB_NAME_MAX; len > 0 && ((unsigned char)name[len] & 0xC0) == 0x80;)
            len--;
    return strndup(name, len);
}

bool tide_gridfs_file_info(const bson_t *file, struct tide_blob_info *info, int32_t *chunk_size,
                           struct tide_err *err)
{
    int64_t size = number_of(file, "chunkSize");
    bson_iter_t iter;

    *info = (struct tide_blob_info){0};
    if (!bson_iter_init_find(&iter, file, "_id") || !BSON_ITER_HOLDS_OID(&iter))
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "gridfs: a file whose _id is no ObjectId");
    info->id = tide_gridfs_id(bson_iter_oid(&iter));
    info->length = number_of(file, "length");
    info->uploaded_ms = number_of(file, "uploadDate");
    if (info->length < 0 || (info->length > 0 && (size <= 0 || size > TIDE_GRIDFS_CHUNK_MAX)))
        return tide_err_set(err, TIDE_ERR_INTERNAL, false,
                            "gridfs: file %s has no proper length or chunkSize", info->id.hex);
    *chunk_size = size > 0 ? (int32_t)size : 1;
    info->name = name_of(file);
    info->metadata = print_metadata(file);
    if (info->name && info->metadata)
        return true;
    tide_blob_info_release(info);
    return tide_err_set(err, TIDE_ERR_TOO_LARGE, false, "gridfs: the metadata of %s are too large",
                        info->id.hex);
}

bool tide_gridfs_file_get(struct tide_gridfs_bucket *bucket, const bson_oid_t *id, bson_t **file,
                          struct tide_err *err)
{
    bson_t filter = BSON_INITIALIZER;
    bool ok;

    BSON_APPEND_OID(&filter, "_id", id);
    ok = tide_gridfs_first(bucket, bucket->files, &filter, NULL, file, err);
    bson_destroy(&filter);
    return ok;
}

bool tide_gridfs_no_file(struct tide_gridfs_bucket *bucket, const struct tide_id *id, struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_NOT_FOUND, false, "blob: no file %s in %s", id->hex, bucket->name);
}

/* ---- find ---- */

/* As $and, so that no condition takes the place of another. */
static void add_condition(bson_t *all, uint32_t *count, bson_t *condition)
{
    char number[16];
    const char *key;

    bson_uint32_to_string((*count)++, &key, number, sizeof number);
    BSON_APPEND_DOCUMENT(all, key, condition);
    bson_destroy(condition);
}

/* A null meets what isn't there, too. */
static bson_t *where(const char *key, const char *value)
{
    bson_t *condition = bson_new();
    char path[64];

    snprintf(path, sizeof path, "metadata.%s", key);
    if (value)
        BSON_APPEND_UTF8(condition, path, value);
    else
        BSON_APPEND_NULL(condition, path);
    return condition;
}

static void add_query(bson_t *all, uint32_t *count, const struct tide_blob_query *query)
{
    for (size_t i = 0; i < sizeof query->where / sizeof *query->where; i++)
        if (query->where[i].key)
            add_condition(all, count, where(query->where[i].key, query->where[i].value));
    if (query->older_than_ms)
        add_condition(all, count,
                      BCON_NEW("uploadDate", "{", "$lt", BCON_DATE_TIME(query->older_than_ms), "}"));
}

static bool add_before(bson_t *all, uint32_t *count, struct tide_gridfs_bucket *bucket,
                       const struct tide_id *before, struct tide_err *err)
{
    bson_oid_t id = tide_gridfs_oid(before);
    bson_t *file;
    int64_t date;

    if (!tide_gridfs_file_get(bucket, &id, &file, err))
        return false;
    if (!file)
        return tide_gridfs_no_file(bucket, before, err);
    date = number_of(file, "uploadDate");
    bson_destroy(file);
    add_condition(all, count,
                  BCON_NEW("$or", "[", "{", "uploadDate", "{", "$lt", BCON_DATE_TIME(date), "}", "}", "{",
                           "uploadDate", BCON_DATE_TIME(date), "_id", "{", "$lt", BCON_OID(&id), "}", "}",
                           "]"));
    return true;
}

/* Files of others may have an _id of another kind, which no id of ours can name, or be damaged, and then
 * nobody can read them: a list goes on without them. */
static void add_readable(bson_t *all, uint32_t *count)
{
    add_condition(all, count, BCON_NEW("_id", "{", "$type", BCON_INT32(BSON_TYPE_OID), "}"));
    add_condition(all, count,
                  BCON_NEW("length", "{", "$gte", BCON_INT32(0), "$lte", BCON_INT64(INT64_MAX), "}"));
    add_condition(all, count,
                  BCON_NEW("$or", "[", "{", "length", BCON_INT32(0), "}", "{", "chunkSize", "{", "$gte",
                           BCON_INT32(1), "$lte", BCON_INT32(TIDE_GRIDFS_CHUNK_MAX), "}", "}", "]"));
}

static bson_t *make_filter(struct tide_gridfs_bucket *bucket, const struct tide_blob_query *query,
                           struct tide_err *err)
{
    bson_t *filter = bson_new(), all;
    uint32_t count = 0;
    bool ok = true;

    BSON_APPEND_ARRAY_BEGIN(filter, "$and", &all);
    if (query->id) {
        bson_oid_t id = tide_gridfs_oid(query->id);

        add_condition(&all, &count, BCON_NEW("_id", BCON_OID(&id)));
    } else {
        add_readable(&all, &count);
    }
    add_query(&all, &count, query);
    if (query->before)
        ok = add_before(&all, &count, bucket, query->before, err);
    bson_append_array_end(filter, &all);
    if (ok)
        return filter;
    bson_destroy(filter);
    return NULL;
}

static bool push(struct tide_blob_list *list, const bson_t *file, size_t *bytes, struct tide_err *err)
{
    struct tide_blob_info *item = &list->items[list->count];
    int32_t chunk_size;

    if (!tide_gridfs_file_info(file, item, &chunk_size, err))
        return false;
    list->count++;
    *bytes += strlen(item->name) + strlen(item->metadata);
    if (*bytes > MAX_RESULT)
        return tide_err_set(err, TIDE_ERR_TOO_LARGE, false, "blob: over 16 MiB found, ask for fewer files");
    return true;
}

static bool collect(struct tide_gridfs_bucket *bucket, mongoc_cursor_t *cursor, size_t limit,
                    struct tide_blob_list *list, struct tide_err *err)
{
    const bson_t *file;
    bson_error_t error;
    size_t bytes = 0;

    list->items = calloc(limit, sizeof *list->items);
    if (!list->items)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
    while (list->count < limit && mongoc_cursor_next(cursor, &file))
        if (!push(list, file, &bytes, err))
            return false;
    return !mongoc_cursor_error(cursor, &error) || tide_gridfs_fail(bucket->gridfs, err, "find", &error);
}

static bool find_in(struct tide_gridfs_bucket *bucket, const struct tide_blob_query *query,
                    struct tide_blob_list *list, struct tide_err *err)
{
    bson_t *filter = make_filter(bucket, query, err), *opts;
    mongoc_cursor_t *cursor;
    bool ok;

    if (!filter)
        return false;
    opts = BCON_NEW("sort", "{", "uploadDate", BCON_INT32(-1), "_id", BCON_INT32(-1), "}", "limit",
                    BCON_INT64((int64_t)query->limit));
    cursor = mongoc_collection_find_with_opts(bucket->files, filter, opts, NULL);
    ok = collect(bucket, cursor, query->limit, list, err);
    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);
    bson_destroy(opts);
    return ok;
}

bool tide_gridfs_find(struct tide_blob_backend *backend, const char *name,
                      const struct tide_blob_query *query, struct tide_blob_list *list, struct tide_err *err)
{
    struct tide_gridfs_bucket bucket;
    bool ok;

    if (!tide_gridfs_enter(&bucket, (struct tide_gridfs *)backend, name, err))
        return false;
    ok = find_in(&bucket, query, list, err);
    tide_gridfs_leave(&bucket);
    if (!ok)
        tide_blob_list_release(list);
    return ok;
}

/* ---- annotate ---- */

static bool fits(const bson_t *metadata, struct tide_err *err)
{
    struct tide_buf json;
    bool ok;

    tide_buf_init(&json, TIDE_BLOB_METADATA_MAX);
    ok = tide_gridfs_metadata_print(metadata, &json);
    tide_buf_release(&json);
    return ok || tide_err_set(err, TIDE_ERR_INVALID, false,
                              "blob: metadata must be a JSON object of at most 64 KiB");
}

/* The condition that the metadata are still those of `file`. */
static void add_unchanged(bson_t *filter, const bson_t *file)
{
    bson_iter_t iter;
    bson_t missing;

    if (bson_iter_init_find(&iter, file, "metadata")) {
        bson_append_iter(filter, NULL, -1, &iter);
        return;
    }
    BSON_APPEND_DOCUMENT_BEGIN(filter, "metadata", &missing);
    BSON_APPEND_BOOL(&missing, "$exists", false);
    bson_append_document_end(filter, &missing);
}

/* *matched is false when another changed the metadata meanwhile. */
static bool replace_metadata(struct tide_gridfs_bucket *bucket, const bson_oid_t *id, const bson_t *file,
                             const bson_t *metadata, bool *matched, struct tide_err *err)
{
    bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, set, reply;
    bson_error_t error;
    bson_iter_t iter;
    bool ok;

    BSON_APPEND_OID(&filter, "_id", id);
    add_unchanged(&filter, file);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
    BSON_APPEND_DOCUMENT(&set, "metadata", metadata);
    bson_append_document_end(&update, &set);
    ok = mongoc_collection_update_one(bucket->files, &filter, &update, NULL, &reply, &error) ||
         tide_gridfs_fail(bucket->gridfs, err, "annotate", &error);
    *matched = ok && bson_iter_init_find(&iter, &reply, "matchedCount") && bson_iter_as_int64(&iter) > 0;
    bson_destroy(&reply);
    bson_destroy(&filter);
    bson_destroy(&update);
    return ok;
}

/* Merging in place with $set and $unset of paths could not take an object where a number was, nor keep the
 * limit. */
static bool merge_into(struct tide_gridfs_bucket *bucket, const bson_oid_t *id, const bson_t *file,
                       const char *patch, bool *matched, struct tide_err *err)
{
    bson_t old = BSON_INITIALIZER, *metadata;
    bool ok;

    metadata_of(file, &old);
    metadata = tide_gridfs_metadata_merge(&old, patch, err);
    if (!metadata)
        return false;
    ok = fits(metadata, err) && replace_metadata(bucket, id, file, metadata, matched, err);
    bson_destroy(metadata);
    return ok;
}

/* *file: as it is if it meets the query, else NULL. */
static bool get_matching(struct tide_gridfs_bucket *bucket, const struct tide_blob_query *query,
                         bson_t **file, struct tide_err *err)
{
    bson_t *filter = make_filter(bucket, query, err);
    bool ok = filter && tide_gridfs_first(bucket, bucket->files, filter, NULL, file, err);

    if (filter)
        bson_destroy(filter);
    return ok;
}

static bool annotate_in(struct tide_gridfs_bucket *bucket, const struct tide_blob_query *query,
                        const char *patch, bool *changed, struct tide_err *err)
{
    bson_oid_t id = tide_gridfs_oid(query->id);
    bson_t empty = BSON_INITIALIZER, *file = tide_gridfs_metadata_merge(&empty, patch, err);

    if (!file)
        return false;
    bson_destroy(file);
    for (int i = 0; i < MAX_MERGES && !*changed; i++) {
        bool ok;

        if (!get_matching(bucket, query, &file, err))
            return false;
        if (!file)
            return true;
        ok = merge_into(bucket, &id, file, patch, changed, err);
        bson_destroy(file);
        if (!ok)
            return false;
    }
    return *changed || tide_err_set(err, TIDE_ERR_UNAVAILABLE, true,
                                    "gridfs: the metadata of %s change too often", query->id->hex);
}

bool tide_gridfs_annotate(struct tide_blob_backend *backend, const char *name,
                          const struct tide_blob_query *query, const char *patch, bool *changed,
                          struct tide_err *err)
{
    struct tide_gridfs_bucket bucket;
    bool ok;

    *changed = false;
    if (!tide_gridfs_enter(&bucket, (struct tide_gridfs *)backend, name, err))
        return false;
    ok = annotate_in(&bucket, query, patch, changed, err);
    tide_gridfs_leave(&bucket);
    return ok;
}

/* ---- remove ---- */

/* Which writer's chunks are the file's: they alone may go, as another may store the id as soon as it is free.
 */
static bool staged_of(struct tide_gridfs_bucket *bucket, const bson_oid_t *id, bson_oid_t *staged,
                      bool *was_staged, struct tide_err *err)
{
    bson_t *filter = BCON_NEW("files_id", BCON_OID(id), "n", BCON_INT32(0));
    bson_t *opts = BCON_NEW("projection", "{", "staged", BCON_INT32(1), "}");
    bson_t *first = NULL;
    bson_iter_t iter;
    bool ok = tide_gridfs_first(bucket, bucket->chunks, filter, opts, &first, err);

    *was_staged = first && bson_iter_init_find(&iter, first, "staged") && BSON_ITER_HOLDS_OID(&iter);
    if (*was_staged)
        *staged = *bson_iter_oid(&iter);
    if (first)
        bson_destroy(first);
    bson_destroy(filter);
    bson_destroy(opts);
    return ok;
}

static bool remove_file(struct tide_gridfs_bucket *bucket, const bson_oid_t *id, bool *changed,
                        struct tide_err *err)
{
    bson_t filter = BSON_INITIALIZER, reply;
    bson_error_t error;
    bson_iter_t iter;
    bool ok;

    BSON_APPEND_OID(&filter, "_id", id);
    ok = mongoc_collection_delete_one(bucket->files, &filter, NULL, &reply, &error) ||
         tide_gridfs_fail(bucket->gridfs, err, "remove", &error);
    *changed = ok && bson_iter_init_find(&iter, &reply, "deletedCount") && bson_iter_as_int64(&iter) > 0;
    bson_destroy(&reply);
    bson_destroy(&filter);
    return ok;
}

/* The document first: a crash in between leaves chunks for the sweep, never a file without chunks. */
static bool remove_in(struct tide_gridfs_bucket *bucket, const bson_oid_t *id, bool *changed,
                      struct tide_err *err)
{
    bson_oid_t staged;
    struct tide_err left;
    bool was_staged;

    if (!staged_of(bucket, id, &staged, &was_staged, err) || !remove_file(bucket, id, changed, err))
        return false;
    if (*changed && !tide_gridfs_remove_chunks(bucket, id, was_staged ? &staged : NULL, &left))
        tide_log_event(bucket->gridfs->log, TIDE_LOG_WARN, "removed blob's chunks stay until the next sweep",
                       tide_log_str("file", tide_gridfs_id(id).hex), tide_log_str("error", left.message));
    return true;
}

bool tide_gridfs_remove(struct tide_blob_backend *backend, const char *name, const struct tide_id *id,
                        bool *changed, struct tide_err *err)
{
    bson_oid_t oid = tide_gridfs_oid(id);
    struct tide_gridfs_bucket bucket;
    bool ok;

    *changed = false;
    if (!tide_gridfs_enter(&bucket, (struct tide_gridfs *)backend, name, err))
        return false;
    ok = remove_in(&bucket, &oid, changed, err);
    tide_gridfs_leave(&bucket);
    return ok;
}
