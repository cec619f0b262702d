/*
 * The insides of the GridFS driver: a bucket is the collections NAME.files and NAME.chunks of the URL's
 * database, in the form of the GridFS specification, so that any other client reads what is written here, and
 * the other way round. It uses the collection API, as libmongoc's own GridFS loses errors.
 *
 *   url.c       the URL, and what it leaves open
 *   gridfs.c    the backend: connections, indexes
 *   error.c     what a failure of libmongoc means
 *   query.c     the calls that may be done twice
 *   metadata.c  metadata between JSON and BSON
 *   files.c     documents of NAME.files: find, annotate, remove
 *   output.c    a file being written
 *   commit.c    its last steps, and what happens when several writers store one id
 *   input.c     a file being read
 *   sweep.c     what dead writers left
 *
 * Two writers may store one id at once (a job that was delivered twice). Whoever chose the id himself is such
 * a writer: its chunks are stored under a files_id of its own, where they meet nobody's. Its commit claims
 * the id by inserting the first chunk under it, which only one can; that chunk carries what is left to do as
 * its `claim`: give the other chunks the id, insert the file's document, take the claim away. A writer that
 * finds the claim of another, perhaps dead, one does what is left itself. So the winner's file is whole
 * whatever happens to either, and readers see it only when it is. Chunks have, beyond the specification,
 * `staged`: the files_id they were written under.
 *
 * A server needs no more than unique indexes and updates of single documents: no transactions. Every write is
 * acknowledged by the majority from its journal. All calls block, for at most the timeouts of the URL.
 */
#ifndef TIDE_BLOB_GRIDFS_H
#define TIDE_BLOB_GRIDFS_H

#include <mongoc/mongoc.h>
#include <pthread.h>

#include "base/buf.h"
#include "blob/driver.h"

#define TIDE_GRIDFS_CHUNK (255 * 1024)            /* bytes of data, as the specification has it */
#define TIDE_GRIDFS_FETCH (4 * TIDE_GRIDFS_CHUNK) /* just fits into the 1 MiB that libmongoc takes for it */
#define TIDE_GRIDFS_CHUNK_MAX (16 * 1024 * 1024)  /* of a chunk that others stored */
#define TIDE_GRIDFS_STALE_MS (24 * 3600 * 1000L)  /* after which chunks without a file are left over */
#define TIDE_GRIDFS_REGISTER "tidemill.buckets"   /* the collection that names the buckets written to */

/* A block is an insert of chunks, a piece one of them. More are hardly faster, and these just fit into the 2
 * MiB that libmongoc takes for them. */
#define TIDE_GRIDFS_PIECES 7
#define TIDE_GRIDFS_LAYOUT                                                                                   \
    {                                                                                                        \
        .pieces = TIDE_GRIDFS_PIECES, .head = 96, .body = TIDE_GRIDFS_CHUNK, .tail = 32                      \
    }

struct tide_gridfs {
    mongoc_uri_t *uri;
    const char *database; /* within uri */
    char *shown;          /* the URL for messages: without user and parameters */
    const struct tide_log *log;

    pthread_mutex_t lock;
    mongoc_client_pool_t *clients; /* made at the first use */
    char (*prepared)[TIDE_BLOB_BUCKET_MAX + 1];
    size_t prepared_count; /* buckets whose indexes are there */
};

/* A bucket with a connection borrowed for it. */
struct tide_gridfs_bucket {
    struct tide_gridfs *gridfs;
    mongoc_client_t *client;
    mongoc_collection_t *files, *chunks;
    const char *name;
};

/* ---- gridfs.c ---- */

bool tide_gridfs_enter(struct tide_gridfs_bucket *bucket, struct tide_gridfs *gridfs, const char *name,
                       struct tide_err *err);
void tide_gridfs_leave(struct tide_gridfs_bucket *bucket);
/* Makes the indexes of a bucket that is written to, once. */
bool tide_gridfs_prepare(struct tide_gridfs_bucket *bucket, struct tide_err *err);
bson_oid_t tide_gridfs_oid(const struct tide_id *id);
struct tide_id tide_gridfs_id(const bson_oid_t *oid);

/* ---- url.c ---- */

/* The URL with all that a store needs, the caller's to destroy. NULL with err. */
mongoc_uri_t *tide_gridfs_url_parse(const char *url, struct tide_err *err);

/* ---- error.c ---- */

/* Fills err with what failed, at which server, and why. Returns false. */
bool tide_gridfs_fail(const struct tide_gridfs *gridfs, struct tide_err *err, const char *what,
                      const bson_error_t *error);
bool tide_gridfs_is_duplicate(const bson_error_t *error);
/* True when the connection broke: nobody knows whether the server did it. */
bool tide_gridfs_is_network(const bson_error_t *error);

/* ---- query.c: each is tried again once when the connection broke, as doing it twice does no harm ---- */

/* The documents bring their _id. */
bool tide_gridfs_insert(mongoc_collection_t *collection, const bson_t **docs, size_t count,
                        bson_error_t *error);
bool tide_gridfs_update_many(struct tide_gridfs_bucket *bucket, mongoc_collection_t *collection,
                             const bson_t *filter, const bson_t *update, struct tide_err *err);
bool tide_gridfs_delete_many(struct tide_gridfs_bucket *bucket, mongoc_collection_t *collection,
                             const bson_t *filter, struct tide_err *err);
/* *doc: the first document that `filter` matches, the caller's to destroy; NULL when there is none. */
bool tide_gridfs_first(struct tide_gridfs_bucket *bucket, mongoc_collection_t *collection,
                       const bson_t *filter, const bson_t *opts, bson_t **doc, struct tide_err *err);
/* How many chunks there are with that files_id; -1 with err. */
int64_t tide_gridfs_count(struct tide_gridfs_bucket *bucket, const bson_oid_t *files_id,
                          struct tide_err *err);

/* ---- metadata.c ---- */

/* A JSON object as a BSON document, the caller's to destroy. NULL with err. */
bson_t *tide_gridfs_metadata_parse(const char *json, struct tide_err *err);
/* The document with the JSON object merged into it (RFC 7396), the caller's to destroy. NULL with err. */
bson_t *tide_gridfs_metadata_merge(const bson_t *old, const char *patch, struct tide_err *err);
/* As compact JSON. What JSON has no word for becomes a string (ids: hex digits) or a number (dates: ms). */
bool tide_gridfs_metadata_print(const bson_t *doc, struct tide_buf *out);

/* ---- files.c ---- */

bool tide_gridfs_file_info(const bson_t *file, struct tide_blob_info *info, int32_t *chunk_size,
                           struct tide_err *err);
/* *file: the file's document, the caller's to destroy; NULL when there is none. */
bool tide_gridfs_file_get(struct tide_gridfs_bucket *bucket, const bson_oid_t *id, bson_t **file,
                          struct tide_err *err);
bool tide_gridfs_no_file(struct tide_gridfs_bucket *bucket, const struct tide_id *id, struct tide_err *err);
bool tide_gridfs_find(struct tide_blob_backend *backend, const char *bucket,
                      const struct tide_blob_query *query, struct tide_blob_list *list, struct tide_err *err);
bool tide_gridfs_annotate(struct tide_blob_backend *backend, const char *bucket,
                          const struct tide_blob_query *query, const char *patch_json, bool *changed,
                          struct tide_err *err);
bool tide_gridfs_remove(struct tide_blob_backend *backend, const char *bucket, const struct tide_id *id,
                        bool *changed, struct tide_err *err);

/* ---- commit.c ---- */

/* Makes `file` visible, whose chunks were stored under its id. TIDE_ERR_EXISTS. *unknown is set when nobody
 * knows whether it is visible. */
bool tide_gridfs_insert_file(struct tide_gridfs_bucket *bucket, const bson_t *file, bool *unknown,
                             struct tide_err *err);
/* Claims the id of `file` with its first chunk, and does what is then to be done. The other chunks are under
 * `staged`. *unknown is set when nobody knows whether the id was claimed. TIDE_ERR_EXISTS. */
bool tide_gridfs_claim(struct tide_gridfs_bucket *bucket, const bson_t *file, const bson_oid_t *staged,
                       const void *first, size_t len, bool *unknown, struct tide_err *err);
/* Does what is left to do for a first chunk with a claim. */
bool tide_gridfs_fulfil(struct tide_gridfs_bucket *bucket, const bson_t *first, struct tide_err *err);
/* Removes the chunks of `files_id` that were staged under `staged` (NULL: weren't staged), the first one
 * last. */
bool tide_gridfs_remove_chunks(struct tide_gridfs_bucket *bucket, const bson_oid_t *files_id,
                               const bson_oid_t *staged, struct tide_err *err);

/* ---- output.c, input.c, sweep.c ---- */

void tide_gridfs_chunk(bson_t *doc, const bson_oid_t *files_id, int32_t n, const void *data, size_t len);
struct tide_blob_output *tide_gridfs_create(struct tide_blob_backend *backend, const char *bucket,
                                            const struct tide_id *id, bool shared, struct tide_err *err);
bool tide_gridfs_append(struct tide_blob_output *output, char *block, size_t len, struct tide_err *err);
bool tide_gridfs_patch(struct tide_blob_output *output, int64_t offset, const void *data, size_t len,
                       struct tide_err *err);
bool tide_gridfs_commit(struct tide_blob_output *output, const char *name, const char *metadata,
                        struct tide_err *err);
void tide_gridfs_drop(struct tide_blob_output *output);

struct tide_blob_input *tide_gridfs_open_input(struct tide_blob_backend *backend, const char *bucket,
                                               const struct tide_id *id, struct tide_blob_info *info,
                                               struct tide_err *err);
bool tide_gridfs_fetch(struct tide_blob_input *input, int64_t offset, size_t len,
                       struct tide_blob_block *block, struct tide_err *err);
void tide_gridfs_release_block(struct tide_blob_block *block);
void tide_gridfs_close_input(struct tide_blob_input *input);

int64_t tide_gridfs_sweep(struct tide_blob_backend *backend, const atomic_bool *stop);

#endif
