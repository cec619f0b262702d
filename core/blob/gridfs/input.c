#include <stdlib.h>
#include <string.h>

#include "blob/gridfs/gridfs.h"

struct gridfs_input {
    struct tide_gridfs *gridfs;
    char bucket[TIDE_BLOB_BUCKET_MAX + 1];
    struct tide_id id;
    int64_t length;
    int32_t chunk_size;

    pthread_mutex_t lock; /* a reader and its sources read side by side; what follows is theirs together */
    int64_t next;         /* where the last read ended: one that goes on there will go on */

    /* What was fetched and not asked for: chunks come whole. */
    char *kept;
    int64_t kept_at;
    size_t kept_len, kept_cap;
};

/* One fetch: bytes [at, end) of the file, the first `len` of them for the reader. */
struct fetch {
    struct gridfs_input *in;
    int64_t at, end, first, last; /* of chunks: [first, last) */
    char *buf;
    size_t len;
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
        pthread_mutex_init(&in->lock, NULL);
        in->length = info->length;
        in->next = -1;
        return (struct tide_blob_input *)in;
    }
    free(in);
    return NULL;
}

void tide_gridfs_close_input(struct tide_blob_input *input)
{
    struct gridfs_input *in = (struct gridfs_input *)input;

    pthread_mutex_destroy(&in->lock);
    free(in->kept);
    free(in);
}

/* ---- chunks ---- */

static bool keep(struct gridfs_input *in, int64_t at, const uint8_t *data, size_t len, struct tide_err *err)
{
    if (in->kept_len == 0)
        in->kept_at = at;
    if (in->kept_len + len > in->kept_cap) {
        char *more = realloc(in->kept, in->kept_len + len);

        if (!more)
            return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        in->kept = more;
        in->kept_cap = in->kept_len + len;
    }
    memcpy(in->kept + in->kept_len, data, len);
    in->kept_len += len;
    return true;
}

/* The bytes of chunk n: what the reader wants of it goes to him, what is behind that is kept. */
static bool take_chunk(struct fetch *f, int64_t n, const uint8_t *data, size_t size, struct tide_err *err)
{
    int64_t start = n * f->in->chunk_size;
    size_t skip = f->at > start ? (size_t)(f->at - start) : 0;
    int64_t wanted = f->at + (int64_t)f->len - start;
    size_t upto = wanted < (int64_t)size ? (size_t)wanted : size;

    if (wanted <= 0)
        return keep(f->in, start, data, size, err);
    memcpy(f->buf + (start + (int64_t)skip - f->at), data + skip, upto - skip);
    return upto == size || keep(f->in, start + (int64_t)upto, data + upto, size - upto, err);
}

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

static bool check_chunk(struct fetch *f, int64_t n, const bson_t *chunk, struct tide_err *err)
{
    bson_iter_t number, data;
    const uint8_t *bytes;
    uint32_t size;

    if (!bson_iter_init_find(&number, chunk, "n") || bson_iter_as_int64(&number) != n)
        return fail_chunk(f->in, n, "is missing", err);
    if (!bson_iter_init_find(&data, chunk, "data") || !BSON_ITER_HOLDS_BINARY(&data))
        return fail_chunk(f->in, n, "has no data", err);
    bson_iter_binary(&data, NULL, &size, &bytes);
    if (size != size_of(f->in, n))
        return fail_chunk(f->in, n, "has a wrong size", err);
    return take_chunk(f, n, bytes, size, err);
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

static bool take_chunks(struct tide_gridfs_bucket *bucket, struct fetch *f, mongoc_cursor_t *cursor,
                        struct tide_err *err)
{
    const bson_t *chunk;
    bson_error_t error;
    int64_t n = f->first;

    while (n < f->last && mongoc_cursor_next(cursor, &chunk))
        if (!check_chunk(f, n++, chunk, err))
            return false;
    if (mongoc_cursor_error(cursor, &error))
        return tide_gridfs_fail(bucket->gridfs, err, "read", &error);
    return n == f->last || explain_missing(bucket, f, n, err);
}

static bool fetch_from(struct tide_gridfs_bucket *bucket, struct fetch *f, struct tide_err *err)
{
    bson_oid_t id = tide_gridfs_oid(&f->in->id);
    int64_t count = f->last - f->first;
    bson_t *filter = BCON_NEW("files_id", BCON_OID(&id), "n", "{", "$gte", BCON_INT64(f->first), "$lt",
                              BCON_INT64(f->last), "}");
    bson_t *opts = BCON_NEW("sort", "{", "n", BCON_INT32(1), "}", "projection", "{", "_id", BCON_INT32(0),
                            "n", BCON_INT32(1), "data", BCON_INT32(1), "}", "limit", BCON_INT64(count));
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(bucket->chunks, filter, opts, NULL);
    bool ok = take_chunks(bucket, f, cursor, err);

    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);
    bson_destroy(opts);
    return ok;
}

static bool fetch(struct gridfs_input *in, int64_t at, char *buf, size_t len, int64_t ahead,
                  struct tide_err *err)
{
    struct fetch f = {.in = in, .at = at, .buf = buf, .len = len};
    struct tide_gridfs_bucket bucket;
    bool ok;

    f.end = at + (int64_t)len + ahead < in->length ? at + (int64_t)len + ahead : in->length;
    f.first = at / in->chunk_size;
    f.last = (f.end + in->chunk_size - 1) / in->chunk_size;
    in->kept_len = 0;
    if (!tide_gridfs_enter(&bucket, in->gridfs, in->bucket, err))
        return false;
    ok = fetch_from(&bucket, &f, err);
    tide_gridfs_leave(&bucket);
    if (!ok)
        in->kept_len = 0;
    return ok;
}

/* How much of the beginning is there already. */
static size_t take_kept(struct gridfs_input *in, int64_t offset, char *buf, size_t len)
{
    int64_t skip = offset - in->kept_at;
    size_t n;

    if (skip < 0 || skip >= (int64_t)in->kept_len)
        return 0;
    n = in->kept_len - (size_t)skip < len ? in->kept_len - (size_t)skip : len;
    memcpy(buf, in->kept + skip, n);
    return n;
}

/* One who reads on in small steps gets more than he asks for. */
static int64_t ahead_of(size_t len, bool goes_on)
{
    return goes_on && len < TIDE_GRIDFS_READ ? TIDE_GRIDFS_READ - (int64_t)len : 0;
}

static ssize_t read_locked(struct gridfs_input *in, int64_t offset, void *buf, size_t len,
                           struct tide_err *err)
{
    bool goes_on = offset == in->next;
    size_t got;

    if (offset >= in->length)
        return 0;
    if ((int64_t)len > in->length - offset)
        len = (size_t)(in->length - offset);
    got = take_kept(in, offset, buf, len);
    in->next = offset + (int64_t)len;
    if (got < len &&
        !fetch(in, offset + (int64_t)got, (char *)buf + got, len - got, ahead_of(len - got, goes_on), err))
        return -1;
    return (ssize_t)len;
}

ssize_t tide_gridfs_read(struct tide_blob_input *input, int64_t offset, void *buf, size_t len,
                         struct tide_err *err)
{
    struct gridfs_input *in = (struct gridfs_input *)input;
    ssize_t n;

    pthread_mutex_lock(&in->lock);
    n = read_locked(in, offset, buf, len, err);
    pthread_mutex_unlock(&in->lock);
    return n;
}
