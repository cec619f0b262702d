#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "blob/gridfs/gridfs.h"

/* Chunks in an insert: more are hardly faster, and these just fit into the 2 MiB that libmongoc takes for
 * them. */
#define BATCH 7

/* A chunk's document, filled in place. */
struct slot {
    bson_t doc;
    bson_iter_t id, n; /* what is new in each chunk */
    char *data;        /* room for TIDE_GRIDFS_CHUNK bytes */
};

struct gridfs_output {
    struct tide_gridfs *gridfs;
    char bucket[TIDE_BLOB_BUCKET_MAX + 1];
    bson_oid_t id, staged; /* equal when nobody else writes this id */
    bool keep;             /* the chunks are a file's, or may be */
    int64_t length;

    char *first; /* the first chunk waits for the commit: it can be patched, and it claims the id */
    size_t first_len;
    struct slot slots[BATCH]; /* the chunks that follow, gathered for an insert */
    int ready;                /* slots that were made */
    size_t batch_len;         /* bytes in them */
    int32_t stored;           /* chunks inserted */
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

static void find_data(struct slot *slot)
{
    const uint8_t *data;
    bson_iter_t iter;
    uint32_t len;

    bson_iter_init_find(&slot->id, &slot->doc, "_id");
    bson_iter_init_find(&slot->n, &slot->doc, "n");
    bson_iter_init_find(&iter, &slot->doc, "data");
    bson_iter_binary(&iter, NULL, &len, &data);
    slot->data = (char *)data; /* within the document, which is ours */
}

/* Any bytes will do for data that are still to come: those of the first chunk, which is full. */
static void make_slot(struct gridfs_output *out, struct slot *slot, const char *data, size_t len)
{
    bson_init(&slot->doc);
    if (is_staged(out))
        BSON_APPEND_OID(&slot->doc, "staged", &out->staged);
    tide_gridfs_chunk(&slot->doc, &out->staged, 0, data, len);
    find_data(slot);
}

/* The file's last chunk is shorter than its slot. */
static void shorten_slot(struct gridfs_output *out, struct slot *slot, size_t len)
{
    struct slot shorter;

    make_slot(out, &shorter, slot->data, len);
    bson_destroy(&slot->doc);
    bson_copy_to(&shorter.doc, &slot->doc);
    bson_destroy(&shorter.doc);
    find_data(slot);
}

static bool insert_chunks(struct tide_gridfs_bucket *bucket, struct gridfs_output *out, struct tide_err *err)
{
    size_t count = (out->batch_len + TIDE_GRIDFS_CHUNK - 1) / TIDE_GRIDFS_CHUNK;
    size_t last = out->batch_len - (count - 1) * TIDE_GRIDFS_CHUNK;
    const bson_t *docs[BATCH];
    bson_error_t error;

    if (last < TIDE_GRIDFS_CHUNK)
        shorten_slot(out, &out->slots[count - 1], last);
    for (size_t i = 0; i < count; i++) {
        bson_oid_t id;

        bson_oid_init(&id, NULL);
        bson_iter_overwrite_oid(&out->slots[i].id, &id);
        bson_iter_overwrite_int32(&out->slots[i].n, out->stored + 1 + (int32_t)i);
        docs[i] = &out->slots[i].doc;
    }
    out->stored += (int32_t)count;
    out->batch_len = 0;
    return tide_gridfs_insert(bucket->chunks, docs, count, &error) ||
           tide_gridfs_fail(err, "insert of chunks", &error);
}

static bool flush(struct gridfs_output *out, struct tide_err *err)
{
    struct tide_gridfs_bucket bucket;
    bool ok;

    if (!tide_gridfs_enter(&bucket, out->gridfs, out->bucket, err))
        return false;
    ok = tide_gridfs_prepare(&bucket, err) && insert_chunks(&bucket, out, err);
    tide_gridfs_leave(&bucket);
    return ok;
}

static size_t take_first(struct gridfs_output *out, const char *data, size_t len)
{
    size_t room = TIDE_GRIDFS_CHUNK - out->first_len, n = len < room ? len : room;

    if (!out->first)
        out->first = malloc(TIDE_GRIDFS_CHUNK);
    if (!out->first)
        return 0;
    memcpy(out->first + out->first_len, data, n);
    out->first_len += n;
    return n;
}

static size_t take_next(struct gridfs_output *out, const char *data, size_t len)
{
    int which = (int)(out->batch_len / TIDE_GRIDFS_CHUNK);
    size_t at = out->batch_len % TIDE_GRIDFS_CHUNK, room = TIDE_GRIDFS_CHUNK - at,
           n = len < room ? len : room;

    if (which == out->ready)
        make_slot(out, &out->slots[out->ready++], out->first, TIDE_GRIDFS_CHUNK);
    memcpy(out->slots[which].data + at, data, n);
    out->batch_len += n;
    return n;
}

bool tide_gridfs_append(struct tide_blob_output *output, const void *data, size_t len, struct tide_err *err)
{
    struct gridfs_output *out = output_of(output);

    while (len > 0) {
        size_t n =
            out->first_len < TIDE_GRIDFS_CHUNK ? take_first(out, data, len) : take_next(out, data, len);

        if (n == 0)
            return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        data = (const char *)data + n;
        len -= n;
        out->length += (int64_t)n;
        if (out->batch_len == BATCH * TIDE_GRIDFS_CHUNK && !flush(out, err))
            return false;
    }
    return true;
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
    bson_error_t error;
    bool ok;

    tide_gridfs_chunk(&doc, &out->id, 0, out->first, out->first_len);
    ok = tide_gridfs_insert(bucket->chunks, &docs, 1, &error) ||
         tide_gridfs_fail(err, "insert of chunks", &error);
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
    if (!tide_gridfs_prepare(bucket, err) || (out->batch_len > 0 && !insert_chunks(bucket, out, err)))
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
    for (int i = 0; i < out->ready; i++)
        bson_destroy(&out->slots[i].doc);
    free(out->first);
    free(out);
}
