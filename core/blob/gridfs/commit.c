#include <string.h>

#include "base/fault.h"
#include "blob/gridfs/gridfs.h"

#define MOVED 128    /* chunks that get another id in one call, which has to end in time */
#define MAX_CLAIMS 5 /* tries when what was in the way of a claim is gone at the second look */

static int64_t length_of(const bson_t *file)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, file, "length") ? bson_iter_as_int64(&iter) : -1;
}

static bson_oid_t oid_of(const bson_t *doc, const char *key)
{
    bson_oid_t none = {{0}};
    bson_iter_t iter;

    return bson_iter_init_find(&iter, doc, key) && BSON_ITER_HOLDS_OID(&iter) ? *bson_iter_oid(&iter) : none;
}

static bool fail_exists(struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_EXISTS, false, "blob: that id is there already");
}

/* After such an error the server may have done it, or may still do it. */
static bool is_unknown(const struct tide_err *err)
{
    return strcmp(err->code, TIDE_ERR_UNAVAILABLE) == 0 || strcmp(err->code, TIDE_ERR_TIMEOUT) == 0 ||
           strcmp(err->code, TIDE_ERR_INTERNAL) == 0;
}

/* ---- the file's document ---- */

static bool is_same(const bson_t *a, const bson_t *b)
{
    bson_iter_t date_a, date_b;

    return length_of(a) == length_of(b) && bson_iter_init_find(&date_a, a, "uploadDate") &&
           bson_iter_init_find(&date_b, b, "uploadDate") &&
           bson_iter_as_int64(&date_a) == bson_iter_as_int64(&date_b);
}

/* There is a document of this id: is it this very one, from an insert whose answer was lost, or by a helper?
 */
static bool expect_same(struct tide_gridfs_bucket *bucket, const bson_t *file, struct tide_err *err)
{
    bson_oid_t id = oid_of(file, "_id");
    bson_t *stored = NULL;
    bool same;

    if (!tide_gridfs_file_get(bucket, &id, &stored, err))
        return false;
    same = stored && is_same(stored, file);
    if (stored)
        bson_destroy(stored);
    return same || fail_exists(err);
}

bool tide_gridfs_insert_file(struct tide_gridfs_bucket *bucket, const bson_t *file, bool *unknown,
                             struct tide_err *err)
{
    bson_error_t error;

    tide_fault("gridfs.chunks", mongoc_collection_get_name(bucket->files));
    *unknown = false;
    if (tide_gridfs_insert(bucket->files, &file, 1, &error))
        return true;
    if (tide_gridfs_is_duplicate(&error))
        return expect_same(bucket, file, err);
    tide_gridfs_fail(bucket->gridfs, err, "commit", &error);
    *unknown = is_unknown(err);
    return false;
}

/* ---- chunks ---- */

bool tide_gridfs_remove_chunks(struct tide_gridfs_bucket *bucket, const bson_oid_t *files_id,
                               const bson_oid_t *staged, struct tide_err *err)
{
    bson_t *mine =
        staged ? BCON_NEW("files_id", BCON_OID(files_id), "staged", BCON_OID(staged))
               : BCON_NEW("files_id", BCON_OID(files_id), "staged", "{", "$exists", BCON_BOOL(false), "}");
    bson_t *last = bson_copy(mine), *others = mine;
    bool ok;

    BCON_APPEND(others, "n", "{", "$gt", BCON_INT32(0), "}");
    BSON_APPEND_INT32(last, "n", 0);
    ok = tide_gridfs_delete_many(bucket, bucket->chunks, others, err) &&
         tide_gridfs_delete_many(bucket, bucket->chunks, last, err);
    bson_destroy(others);
    bson_destroy(last);
    return ok;
}

static bool move_some(struct tide_gridfs_bucket *bucket, const bson_oid_t *from, const bson_oid_t *to,
                      int64_t first, struct tide_err *err)
{
    bson_t *filter = BCON_NEW("files_id", BCON_OID(from), "n", "{", "$gte", BCON_INT64(first), "$lt",
                              BCON_INT64(first + MOVED), "}");
    bson_t *update = BCON_NEW("$set", "{", "files_id", BCON_OID(to), "}");
    bool ok = tide_gridfs_update_many(bucket, bucket->chunks, filter, update, err);

    bson_destroy(filter);
    bson_destroy(update);
    return ok;
}

static bool move_chunks(struct tide_gridfs_bucket *bucket, const bson_oid_t *from, const bson_oid_t *to,
                        int64_t count, struct tide_err *err)
{
    for (int64_t first = 0; first < count; first += MOVED)
        if (!move_some(bucket, from, to, first, err))
            return false;
    return true;
}

/* A claim that stays does no harm: whoever finds it finds all done. */
static void take_claim_away(struct tide_gridfs_bucket *bucket, const bson_oid_t *id)
{
    bson_t *filter = BCON_NEW("files_id", BCON_OID(id), "n", BCON_INT32(0));
    bson_t *update = BCON_NEW("$unset", "{", "claim", BCON_UTF8(""), "}");

    mongoc_collection_update_one(bucket->chunks, filter, update, NULL, NULL, NULL);
    bson_destroy(filter);
    bson_destroy(update);
}

/* ---- what is left to do after a claim ---- */

static bool fulfil(struct tide_gridfs_bucket *bucket, const bson_t *file, const bson_oid_t *staged,
                   struct tide_err *err)
{
    int64_t want = (length_of(file) + TIDE_GRIDFS_CHUNK - 1) / TIDE_GRIDFS_CHUNK, count;
    bson_oid_t id = oid_of(file, "_id");
    struct tide_err ignored;
    bool unknown;

    if (want > 1 && !move_chunks(bucket, staged, &id, want, err))
        return false;
    count = tide_gridfs_count(bucket, &id, err);
    if (count >= 0 && count != want)
        tide_err_set(err, TIDE_ERR_INTERNAL, false, "gridfs: of %d chunks of %s there are %d", (int)want,
                     tide_gridfs_id(&id).hex, (int)count);
    if (count != want)
        return false;
    if (tide_gridfs_insert_file(bucket, file, &unknown, err)) {
        take_claim_away(bucket, &id);
        return true;
    }
    /* An empty file has no chunk that would have stood in the way of the claim. */
    if (strcmp(err->code, TIDE_ERR_EXISTS) == 0)
        tide_gridfs_remove_chunks(bucket, &id, staged, &ignored);
    return false;
}

bool tide_gridfs_fulfil(struct tide_gridfs_bucket *bucket, const bson_t *first, struct tide_err *err)
{
    bson_oid_t staged = oid_of(first, "staged");
    const uint8_t *data;
    bson_iter_t iter;
    uint32_t len;
    bson_t file;

    if (!bson_iter_init_find(&iter, first, "claim") || !BSON_ITER_HOLDS_DOCUMENT(&iter))
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "gridfs: a claim that is none");
    bson_iter_document(&iter, &len, &data);
    if (!bson_init_static(&file, data, len))
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "gridfs: a claim that is none");
    return fulfil(bucket, &file, &staged, err);
}

/* ---- claim ---- */

static bool get_first(struct tide_gridfs_bucket *bucket, const bson_oid_t *id, bson_t **first,
                      struct tide_err *err)
{
    bson_t *filter = BCON_NEW("files_id", BCON_OID(id), "n", BCON_INT32(0));
    bson_t *opts = BCON_NEW("projection", "{", "staged", BCON_INT32(1), "claim", BCON_INT32(1), "}");
    bool ok = tide_gridfs_first(bucket, bucket->chunks, filter, opts, first, err);

    bson_destroy(filter);
    bson_destroy(opts);
    return ok;
}

/* A first chunk without a claim: a file's, or what is left of one whose removal did not come to its end. */
static bool clear_remains(struct tide_gridfs_bucket *bucket, const bson_oid_t *id, const bson_t *first,
                          struct tide_err *err)
{
    bson_oid_t staged = oid_of(first, "staged");
    bson_t *file = NULL;

    if (!tide_gridfs_file_get(bucket, id, &file, err))
        return false;
    if (!file)
        return tide_gridfs_remove_chunks(bucket, id, bson_has_field(first, "staged") ? &staged : NULL, err);
    bson_destroy(file);
    return fail_exists(err);
}

/* Another's first chunk is in the way. True when it isn't any more, or is ours. */
static bool settle(struct tide_gridfs_bucket *bucket, const bson_oid_t *id, const bson_oid_t *staged,
                   bool *mine, struct tide_err *err)
{
    bson_t *first = NULL;
    bson_oid_t whose;
    bool ok;

    if (!get_first(bucket, id, &first, err))
        return false;
    if (!first)
        return true;
    whose = oid_of(first, "staged");
    *mine = bson_oid_equal(&whose, staged);
    if (*mine)
        ok = true;
    else if (bson_has_field(first, "claim"))
        ok = tide_gridfs_fulfil(bucket, first, err) && fail_exists(err);
    else
        ok = clear_remains(bucket, id, first, err);
    bson_destroy(first);
    return ok;
}

static bool insert_claim(struct tide_gridfs_bucket *bucket, const bson_t *chunk, const bson_oid_t *id,
                         const bson_oid_t *staged, bool *unknown, struct tide_err *err)
{
    for (int i = 0; i < MAX_CLAIMS; i++) {
        bson_error_t error;
        bool mine = false;

        if (tide_gridfs_insert(bucket->chunks, &chunk, 1, &error))
            mine = true;
        else if (!tide_gridfs_is_duplicate(&error)) {
            tide_gridfs_fail(bucket->gridfs, err, "commit", &error);
            *unknown = is_unknown(err);
            return false;
        }
        if (!mine && !settle(bucket, id, staged, &mine, err))
            return false;
        if (mine)
            return true;
    }
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "gridfs: too many writers of %s",
                        tide_gridfs_id(id).hex);
}

bool tide_gridfs_claim(struct tide_gridfs_bucket *bucket, const bson_t *file, const bson_oid_t *staged,
                       const void *first, size_t len, bool *unknown, struct tide_err *err)
{
    bson_oid_t id = oid_of(file, "_id");
    bson_t chunk = BSON_INITIALIZER;
    bool ok;

    *unknown = false;
    tide_gridfs_chunk(&chunk, &id, 0, first, len);
    BSON_APPEND_OID(&chunk, "staged", staged);
    BSON_APPEND_DOCUMENT(&chunk, "claim", file);
    ok = insert_claim(bucket, &chunk, &id, staged, unknown, err);
    bson_destroy(&chunk);
    if (!ok)
        return false;
    ok = fulfil(bucket, file, staged, err);
    *unknown = !ok && strcmp(err->code, TIDE_ERR_EXISTS) != 0;
    return ok;
}
