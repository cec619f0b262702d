#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "blob/gridfs/gridfs.h"

struct gridfs_input {
    struct tide_gridfs *gridfs;
    char bucket[TIDE_BLOB_BUCKET_MAX + 1];
    struct tide_id id;
    int64_t length;
    int32_t chunk_size;
};

/* One fetch: chunks [first, last) into the pieces of a block, which begins with the byte `at`. */
struct fetch {
    const struct gridfs_input *in;
    int64_t at, first, last;
    struct tide_blob_block *block;
};

struct tide_blob_input *tide_gridfs_open_input(struct tide_blob_backend *backend, const char *name,
                                               const struct tide_id *id, struct tide_blob_info *info,
                                               struct tide_err *err)
{
    struct gridfs_input *in = calloc(1, sizeof *in);
    bson_oid_t oid = tide_gridfs_oid(id);
    struct tide_gridfs_bucket bucket;
    bson_t *file = NULL;
    bool ok = false;

    if (!in) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        return NULL;
    }
    in->gridfs = (struct tide_gridfs *)backend;
    in->id = *id;
    snprintf(in->bucket, sizeof in->bucket, "%s", name);
    if (tide_gridfs_enter(&bucket, in->gridfs, in->bucket, err)) {
        if (tide_gridfs_file_get(&bucket, &oid, &file, err))
            ok = file ? tide_gridfs_file_info(file, info, &in->chunk_size, err)
                      : tide_gridfs_no_file(&bucket, id, err);
        tide_gridfs_leave(&bucket);
    }
    if (file)
        bson_destroy(file);
    if (ok) {
        in->length = info->length;
        return (struct tide_blob_input *)in;
    }
    free(in);
    return NULL;
}

void tide_gridfs_close_input(struct tide_blob_input *input)
{
    free(input);
}

/* ---- chunks ---- */

static size_t size_of(const struct gridfs_input *in, int64_t n)
{
    int64_t left = in->length - n * in->chunk_size;

    return left < in->chunk_size ? (size_t)left : (size_t)in->chunk_size;
}

static bool fail_chunk(const struct gridfs_input *in, int64_t n, const char *what, struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_INTERNAL, false, "gridfs: chunk %lld of %s in %s %s", (long long)n,
                        in->id.hex, in->bucket, what);
}

static bool take_chunk(struct fetch *f, int64_t n, const bson_iter_t *chunk, struct tide_err *err)
{
    struct tide_blob_block *block = f->block;
    bson_iter_t number, data;
    const uint8_t *bytes;
    uint32_t size, skip = n == f->first ? (uint32_t)(f->at - n * f->in->chunk_size) : 0;

    if (!bson_iter_recurse(chunk, &number) || !bson_iter_find(&number, "n") ||
        bson_iter_as_int64(&number) != n)
        return fail_chunk(f->in, n, "is missing", err);
    if (!bson_iter_recurse(chunk, &data) || !bson_iter_find(&data, "data") || !BSON_ITER_HOLDS_BINARY(&data))
        return fail_chunk(f->in, n, "has no data", err);
    bson_iter_binary(&data, NULL, &size, &bytes);
    if (size != size_of(f->in, n))
        return fail_chunk(f->in, n, "has a wrong size", err);
    block->piece[block->count++] = (struct tide_blob_piece){(const char *)bytes + skip, size - skip};
    return true;
}

/* Also a file that was removed meanwhile has no chunks. */
static bool explain_missing(struct tide_gridfs_bucket *bucket, struct fetch *f, int64_t n,
                            struct tide_err *err)
{
    bson_oid_t id = tide_gridfs_oid(&f->in->id);
    bson_t *file = NULL;

    if (!tide_gridfs_file_get(bucket, &id, &file, err))
        return false;
    if (!file)
        return tide_gridfs_no_file(bucket, &f->in->id, err);
    bson_destroy(file);
    return fail_chunk(f->in, n, "is missing", err);
}

/* There may be fewer than were asked for: a reply has at most 16 MiB. */
static bool take_chunks(struct tide_gridfs_bucket *bucket, struct fetch *f, const bson_t *reply,
                        struct tide_err *err)
{
    bson_iter_t iter, batch, chunk;
    int64_t n = f->first;

    if (!bson_iter_init(&iter, reply) || !bson_iter_find_descendant(&iter, "cursor.firstBatch", &batch) ||
        !bson_iter_recurse(&batch, &chunk))
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "gridfs: an answer to find that is none");
    while (n < f->last && bson_iter_next(&chunk))
        if (!take_chunk(f, n++, &chunk, err))
            return false;
    return n > f->first || explain_missing(bucket, f, n, err);
}

static bool fetch_from(struct tide_gridfs_bucket *bucket, struct fetch *f, bson_t *reply,
                       struct tide_err *err)
{
    bson_oid_t id = tide_gridfs_oid(&f->in->id);
    bson_t *find = BCON_NEW("find", BCON_UTF8(mongoc_collection_get_name(bucket->chunks)), "filter", "{",
                            "files_id", BCON_OID(&id), "n", "{", "$gte", BCON_INT64(f->first), "$lt",
                            BCON_INT64(f->last), "}", "}", "sort", "{", "n", BCON_INT32(1), "}", "projection",
                            "{", "_id", BCON_INT32(0), "n", BCON_INT32(1), "data", BCON_INT32(1), "}",
                            "limit", BCON_INT64(f->last - f->first), "singleBatch", BCON_BOOL(true));
    bson_error_t error;
    bool ok = mongoc_collection_read_command_with_opts(bucket->chunks, find, NULL, NULL, reply, &error);

    bson_destroy(find);
    return ok ? take_chunks(bucket, f, reply, err) : tide_gridfs_fail(bucket->gridfs, err, "read", &error);
}

/* ---- blocks: their pieces are in the reply of the server ---- */

static bson_t *renew_reply(struct tide_blob_block *block)
{
    if (block->memory)
        bson_destroy(block->memory);
    else
        block->memory = aligned_alloc(alignof(bson_t), sizeof(bson_t));
    if (block->memory)
        bson_init(block->memory);
    return block->memory;
}

void tide_gridfs_release_block(struct tide_blob_block *block)
{
    if (block->memory)
        bson_destroy(block->memory);
    free(block->memory);
    *block = (struct tide_blob_block){0};
}

bool tide_gridfs_fetch(struct tide_blob_input *input, int64_t offset, size_t len,
                       struct tide_blob_block *block, struct tide_err *err)
{
    const struct gridfs_input *in = (const struct gridfs_input *)input;
    struct fetch f = {.in = in, .at = offset, .first = offset / in->chunk_size, .block = block};
    int64_t end = (int64_t)len < in->length - offset ? offset + (int64_t)len : in->length;
    bson_t *reply = renew_reply(block);
    struct tide_gridfs_bucket bucket;
    bool ok;

    block->count = 0;
    if (!reply)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
    f.last = (end + in->chunk_size - 1) / in->chunk_size;
    if (f.last > f.first + TIDE_BLOB_PIECES_MAX)
        f.last = f.first + TIDE_BLOB_PIECES_MAX;
    if (!tide_gridfs_enter(&bucket, in->gridfs, in->bucket, err))
        return false;
    ok = fetch_from(&bucket, &f, reply, err);
    tide_gridfs_leave(&bucket);
    return ok;
}
