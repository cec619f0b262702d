/*
 * Named buckets of immutable files with metadata, in the shape of GridFS (a file: id, name, length, upload
 * date, metadata document). Used by scripts (bind/blob.c) and the media runner. Everything on the loop
 * thread; drivers do their blocking work on a pool of their own. A driver is chosen by the URL's scheme:
 *   file:DIR    files named by id below DIR/<bucket>/, and an index in SQLite (blob/file.c)
 *   mongodb://  GridFS, shared with other clients (blob/gridfs/gridfs.h)
 * A file is visible only after its commit, which is durable: bytes and index are synced before the callback.
 *
 * Every callback runs exactly once, never inside the call, unless its handle is closed first (then not at
 * all).
 */
#ifndef TIDE_BLOB_BLOB_H
#define TIDE_BLOB_BLOB_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/id.h"
#include "base/log.h"
#include "stream/stream.h"

struct tide_blob_store;
struct tide_blob_reader;
struct tide_blob_writer;

/* What is known of a file. Strings are owned by the struct. */
struct tide_blob_info {
    struct tide_id id;
    char *name; /* file name as given, UTF-8 */
    int64_t length;
    int64_t uploaded_ms; /* wall clock */
    char *metadata;      /* a JSON object: owner, state, ... */
};
void tide_blob_info_release(struct tide_blob_info *info);

/* Whether the URL is right: what tide_blob_store_open would say of it. Reaches and makes nothing. Any thread.
 */
TIDE_WARN_UNUSED bool tide_blob_store_check(const char *url, struct tide_err *err);
/* Opens the store of a URL, creating what is missing. Blocks; call at start only. */
struct tide_blob_store *tide_blob_store_open(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                             struct tide_err *err);
/* Handles must be closed before. Blocks until its pool is idle. */
void tide_blob_store_close(struct tide_blob_store *store);

/* True when the store answers (for /readyz). Blocks shortly; any thread, one at a time. */
bool tide_blob_store_ready(struct tide_blob_store *store, struct tide_err *err);
/* Removes the database of a store on a server, with all that is in it; of one in a directory nothing. Blocks.
 * For tests. */
TIDE_WARN_UNUSED bool tide_blob_store_erase(struct tide_blob_store *store, struct tide_err *err);

/* ---- write ---- */

/* A new file in `bucket` (letters, digits, _ and -; at most 32). id NULL: a new one. Nothing is visible yet.
 * Fails at once only for misuse or memory; everything else is told by the first write. */
struct tide_blob_writer *tide_blob_create(struct tide_blob_store *store, const char *bucket,
                                          const struct tide_id *id, struct tide_err *err);
const struct tide_id *tide_blob_writer_id(const struct tide_blob_writer *writer);
int64_t tide_blob_writer_length(const struct tide_blob_writer *writer); /* bytes taken so far */
/* Bytes are gathered into larger writes, so its callback may run inside the call, and a failure to store may
 * be told by a later write, patch or commit. Its close is tide_blob_writer_close. */
struct tide_sink *tide_blob_writer_sink(struct tide_blob_writer *writer);

/* Overwrites bytes taken already, all within the first TIDE_BLOB_PATCH_MAX of the file, before its commit (a
 * header that is known only at the end). data is copied. Not while a write or commit is in flight. */
#define TIDE_BLOB_PATCH_MAX (64 * 1024)
void tide_blob_writer_patch(struct tide_blob_writer *writer, int64_t offset, const void *data, size_t len,
                            tide_write_cb *cb, void *arg);

/* err NULL: the file is durable and visible. TIDE_ERR_EXISTS: that id is there already (ours is dropped).
 * name: UTF-8 of at most 1024 bytes. metadata_json: an object of at most 64 KiB; NULL means {}. */
typedef void tide_blob_commit_cb(void *arg, const struct tide_err *err);
void tide_blob_commit(struct tide_blob_writer *writer, const char *name, const char *metadata_json,
                      tide_blob_commit_cb *cb, void *arg);
/* Drops the file unless it was committed, and frees the writer. Any time, also with a call in flight: a
 * commit in flight may still succeed. */
void tide_blob_writer_close(struct tide_blob_writer *writer);

/* ---- read ---- */

/* err NULL: `reader` is the caller's, to be closed. TIDE_ERR_NOT_FOUND. A file that is removed later stays
 * readable with file:; with mongodb: its reads fail from then on with TIDE_ERR_NOT_FOUND, or give what was
 * fetched before. */
typedef void tide_blob_open_cb(void *arg, struct tide_blob_reader *reader, const struct tide_err *err);
struct tide_blob_call; /* a call in flight, only to cancel it; gone once its callback ran */
struct tide_blob_call *tide_blob_open(struct tide_blob_store *store, const char *bucket,
                                      const struct tide_id *id, tide_blob_open_cb *cb, void *arg,
                                      struct tide_err *err);
const struct tide_blob_info *tide_blob_reader_info(const struct tide_blob_reader *reader);
/* A descriptor that the whole file can be read from at any offset (sendfile), -1 when the driver has none.
 * Valid until the reader is closed; its own offset is nobody's. */
int tide_blob_reader_fd(const struct tide_blob_reader *reader);

/* Reads up to len bytes at offset into buf: fewer only at the file's end (0 behind it). One at a time. */
void tide_blob_read_at(struct tide_blob_reader *reader, int64_t offset, void *buf, size_t len,
                       tide_read_cb *cb, void *arg);
/* A source of bytes [offset, offset+length) of the reader, which must outlive it; length -1: to the end. */
struct tide_source *tide_blob_source(struct tide_blob_reader *reader, int64_t offset, int64_t length);
void tide_blob_reader_close(struct tide_blob_reader *reader);

/* ---- look up and change ---- */

/* Which files. Fields left 0/NULL don't count. Newest first. */
struct tide_blob_query {
    const struct tide_id *id;
    /* Paging: only files behind this one in the order. TIDE_ERR_NOT_FOUND when it is gone. */
    const struct tide_id *before;
    /* Metadata keys that must equal these strings, or, with a value NULL, not be there; keys are [a-z_]+.
     * "owner" and "state" are indexed. */
    struct {
        const char *key, *value;
    } where[4];
    int64_t older_than_ms; /* uploaded before this wall clock */
    size_t limit;          /* 1..1000; 0 means 100 */
};

/* `infos` belongs to the callback's caller: copy what is kept. TIDE_ERR_TOO_LARGE: over 16 MiB, ask for
 * fewer. */
typedef void tide_blob_find_cb(void *arg, const struct tide_blob_info *infos, size_t count,
                               const struct tide_err *err);
struct tide_blob_call *tide_blob_find(struct tide_blob_store *store, const char *bucket,
                                      const struct tide_blob_query *query, tide_blob_find_cb *cb, void *arg,
                                      struct tide_err *err);

/* `changed` is false when the file isn't there or doesn't meet `where`. */
typedef void tide_blob_change_cb(void *arg, bool changed, const struct tide_err *err);
/* Merges a JSON object into the metadata (RFC 7396: null removes a key) of one file, atomically, if it meets
 * query->id and query->where. */
struct tide_blob_call *tide_blob_annotate(struct tide_blob_store *store, const char *bucket,
                                          const struct tide_blob_query *query, const char *patch_json,
                                          tide_blob_change_cb *cb, void *arg, struct tide_err *err);
struct tide_blob_call *tide_blob_remove(struct tide_blob_store *store, const char *bucket,
                                        const struct tide_id *id, tide_blob_change_cb *cb, void *arg,
                                        struct tide_err *err);

/* Forgets a call: its callback will not run (the work itself may still happen). */
void tide_blob_call_cancel(struct tide_blob_call *call);

#endif
