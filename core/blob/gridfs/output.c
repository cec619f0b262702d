#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "blob/gridfs/gridfs.h"

static const struct tide_blob_layout layout = TIDE_GRIDFS_LAYOUT;

struct gridfs_output {
    struct tide_gridfs *gridfs;
    char bucket[TIDE_BLOB_BUCKET_MAX + 1];
    bson_oid_t id, staged; /* equal when nobody else writes this id */
    bool keep;             /* the chunks are a file's, or may be */
    int64_t length;

    char *first; /* the first chunk waits for the commit: it can be patched, and it claims the id */
    size_t first_len;
    int32_t stored; /* chunks inserted */
};

static struct gridfs_output *output_of(struct tide_blob_output *output)
{
    return (struct gridfs_output *)output;
}

void tide_gridfs_chunk(bson_t *doc, const bson_oid_t *files_id, int32_t n, const void *data, size_t len)
{
    bson_oid_t id;

    bson_oid_init(&id, NULL);
    BSON_APPEND_OID(doc, "_id", &id);
    BSON_APPEND_OID(doc, "files_id", files_id);
    BSON_APPEND_INT32(doc, "n", n);
    BSON_APPEND_BINARY(doc, "data", BSON_SUBTYPE_BINARY, data, (uint32_t)len);
}

struct tide_blob_output *tide_gridfs_create(struct tide_blob_backend *backend, const char *bucket,
                                            const struct tide_id *id, bool shared, struct tide_err *err)
{
    struct gridfs_output *out = calloc(1, sizeof *out);

    if (!out) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        return NULL;
    }
    out->gridfs = (struct tide_gridfs *)backend;
    snprintf(out->bucket, sizeof out->bucket, "%s", bucket);
    out->id = out->staged = tide_gridfs_oid(id);
    if (shared)
        bson_oid_init(&out->staged, NULL);
    return (struct tide_blob_output *)out;
}

static bool is_staged(const struct gridfs_output *out)
{
    return !bson_oid_equal(&out->id, &out->staged);
}

/* ---- append ---- */

/* Makes the document of a chunk around its data, where they are. */
static void make_chunk(const struct gridfs_output *out, bson_t *doc, char *data, size_t len, int32_t n)
{
    bson_t empty = BSON_INITIALIZER;
    uint32_t before, size;
    uint8_t *start;

    if (is_staged(out))
        BSON_APPEND_OID(&empty, "staged", &out->staged);
    tide_gridfs_chunk(&empty, &out->staged, n, "", 0);
    before = empty.len - 1; /* a document ends with a zero */
    assert(before <= layout.head);
    start = (uint8_t *)data - before;
    memcpy(start, bson_get_data(&empty), before);
    bson_destroy(&empty);
    size = BSON_UINT32_TO_LE((uint32_t)len); /* before the data: their length, and a byte for their kind */
    memcpy(data - 1 - sizeof size, &size, sizeof size);
    size = BSON_UINT32_TO_LE(before + (uint32_t)len + 1);
    memcpy(start, &size, sizeof size);
    data[len] = 0;
    bson_init_static(doc, start, before + len + 1);
}

/* Nobody else writes these: one that is there came with a request whose answer was lost, and was sent again.
 */
static bool insert(struct tide_gridfs_bucket *bucket, const bson_t **chunks, size_t count,
                   struct tide_err *err)
{
    bson_error_t error;

    return tide_gridfs_insert(bucket->chunks, chunks, count, &error) || tide_gridfs_is_duplicate(&error) ||
           tide_gridfs_fail(bucket->gridfs, err, "insert of chunks", &error);
}

/* The pieces of a block from `piece` on. */
static bool insert_chunks(struct tide_gridfs_bucket *bucket, struct gridfs_output *out, char *block,
                          size_t piece, size_t len, struct tide_err *err)
{
    size_t count = 0, stride = layout.head + layout.body + layout.tail;
    bson_t docs[TIDE_GRIDFS_PIECES];
    const bson_t *list[TIDE_GRIDFS_PIECES];

    for (; piece * layout.body < len; piece++, count++) {
        size_t left = len - piece * layout.body;

        make_chunk(out, &docs[count], block + piece * stride + layout.head,
                   left < layout.body ? left : layout.body, out->stored + 1 + (int32_t)count);
        list[count] = &docs[count];
    }
    out->stored += (int32_t)count;
    return insert(bucket, list, count, err);
}

static bool keep_first(struct gridfs_output *out, const char *block, size_t len, struct tide_err *err)
{
    out->first_len = len < layout.body ? len : layout.body;
    out->first = malloc(out->first_len);
    if (!out->first)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
    memcpy(out->first, block + layout.head, out->first_len);
    return true;
}

bool tide_gridfs_append(struct tide_blob_output *output, char *block, size_t len, struct tide_err *err)
{
    struct gridfs_output *out = output_of(output);
    struct tide_gridfs_bucket bucket;
    size_t piece = out->length == 0 ? 1 : 0;
    bool ok;

    if (out->length == 0 && !keep_first(out, block, len, err))
        return false;
    out->length += (int64_t)len;
    if (len <= piece * layout.body)
        return true;
    if (!tide_gridfs_enter(&bucket, out->gridfs, out->bucket, err))
        return false;
    ok = tide_gridfs_prepare(&bucket, err) && insert_chunks(&bucket, out, block, piece, len, err);
    tide_gridfs_leave(&bucket);
    return ok;
}

/* TIDE_BLOB_PATCH_MAX is within the first chunk. */
bool tide_gridfs_patch(struct tide_blob_output *output, int64_t offset, const void *data, size_t len,
                       struct tide_err *err)
{
    (void)err;
    if (len > 0)
        memcpy(output_of(output)->first + offset, data, len);
    return true;
}

/* ---- commit ---- */

static void make_file(const struct gridfs_output *out, const char *name, const bson_t *metadata, bson_t *file)
{
    BSON_APPEND_OID(file, "_id", &out->id);
    BSON_APPEND_INT64(file, "length", out->length);
    BSON_APPEND_INT32(file, "chunkSize", TIDE_GRIDFS_CHUNK);
    BSON_APPEND_DATE_TIME(file, "uploadDate", tide_clock_now_ms());
    BSON_APPEND_UTF8(file, "filename", name);
    BSON_APPEND_DOCUMENT(file, "metadata", metadata);
}

/* Whether the server has what it acknowledged. */
static bool count_stored(struct tide_gridfs_bucket *bucket, const struct gridfs_output *out, int32_t want,
                         struct tide_err *err)
{
    int64_t count = want > 0 ? tide_gridfs_count(bucket, &out->staged, err) : 0;

    if (count == want)
        return true;
    return count >= 0 && tide_err_set(err, TIDE_ERR_UNAVAILABLE, true,
                                      "gridfs: of %d chunks stored there are %d", (int)want, (int)count);
}

static bool insert_first(struct tide_gridfs_bucket *bucket, struct gridfs_output *out, struct tide_err *err)
{
    bson_t doc = BSON_INITIALIZER;
    const bson_t *docs = &doc;
    bool ok;

    tide_gridfs_chunk(&doc, &out->id, 0, out->first, out->first_len);
    ok = insert(bucket, &docs, 1, err);
    bson_destroy(&doc);
    out->stored++;
    return ok;
}

static bool publish_own(struct tide_gridfs_bucket *bucket, struct gridfs_output *out, const bson_t *file,
                        struct tide_err *err)
{
    bool unknown = false, ok;

    if (out->length > 0 && !insert_first(bucket, out, err))
        return false;
    if (!count_stored(bucket, out, out->stored, err))
        return false;
    ok = tide_gridfs_insert_file(bucket, file, &unknown, err);
    out->keep = ok || unknown;
    return ok;
}

static bool publish_staged(struct tide_gridfs_bucket *bucket, struct gridfs_output *out, const bson_t *file,
                           struct tide_err *err)
{
    bool unknown = false, ok;

    if (!count_stored(bucket, out, out->stored, err))
        return false;
    ok = tide_gridfs_claim(bucket, file, &out->staged, out->first, out->first_len, &unknown, err);
    out->keep = ok || unknown;
    return ok;
}

static bool publish(struct tide_gridfs_bucket *bucket, struct gridfs_output *out, const bson_t *file,
                    struct tide_err *err)
{
    if (!tide_gridfs_prepare(bucket, err))
        return false;
    if (is_staged(out) && out->length > 0)
        return publish_staged(bucket, out, file, err);
    return publish_own(bucket, out, file, err);
}

bool tide_gridfs_commit(struct tide_blob_output *output, const char *name, const char *metadata,
                        struct tide_err *err)
{
    struct gridfs_output *out = output_of(output);
    bson_t file = BSON_INITIALIZER, *doc = tide_gridfs_metadata_parse(metadata, err);
    struct tide_gridfs_bucket bucket;
    bool ok;

    if (!doc)
        return false;
    make_file(out, name, doc, &file);
    ok = tide_gridfs_enter(&bucket, out->gridfs, out->bucket, err);
    if (ok) {
        ok = publish(&bucket, out, &file, err);
        tide_gridfs_leave(&bucket);
    }
    bson_destroy(doc);
    bson_destroy(&file);
    return ok;
}

/* What can't be removed now is left to the sweep. */
static void remove_stored(struct gridfs_output *out)
{
    struct tide_gridfs_bucket bucket;
    struct tide_err err;

    if (!tide_gridfs_enter(&bucket, out->gridfs, out->bucket, &err))
        return;
    tide_gridfs_remove_chunks(&bucket, &out->staged, is_staged(out) ? &out->staged : NULL, &err);
    tide_gridfs_leave(&bucket);
}

void tide_gridfs_drop(struct tide_blob_output *output)
{
    struct gridfs_output *out = output_of(output);

    if (!out->keep && out->stored > 0)
        remove_stored(out);
    free(out->first);
    free(out);
}
