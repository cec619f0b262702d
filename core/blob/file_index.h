/*
 * The index of the file driver: one SQLite database (WAL, synchronous FULL) that says which files there are.
 * A file is visible when and only when its row is. Shared by the pool's threads and by all worker processes.
 * Every call blocks; SQLite's own wait for another process is bounded to 10 s (TIDE_ERR_UNAVAILABLE).
 */
#ifndef TIDE_BLOB_FILE_INDEX_H
#define TIDE_BLOB_FILE_INDEX_H

#include "blob/driver.h"

#define TIDE_BLOB_FILE_NAME 40 /* bytes of a file's name on disk, NUL included */

struct tide_blob_index;

struct tide_blob_index *tide_blob_index_open(const char *path, struct tide_err *err);
void tide_blob_index_close(struct tide_blob_index *index);
bool tide_blob_index_ready(struct tide_blob_index *index, struct tide_err *err);

/* Durable when it returns true. TIDE_ERR_EXISTS: that id has a row; TIDE_ERR_INVALID: the metadata is no
 * object. */
bool tide_blob_index_insert(struct tide_blob_index *index, const char *bucket,
                            const struct tide_blob_info *info, const char *file, struct tide_err *err);

/* TIDE_ERR_NOT_FOUND. info may be NULL. */
bool tide_blob_index_lookup(struct tide_blob_index *index, const char *bucket, const struct tide_id *id,
                            struct tide_blob_info *info, char file[TIDE_BLOB_FILE_NAME],
                            struct tide_err *err);
bool tide_blob_index_find(struct tide_blob_index *index, const char *bucket,
                          const struct tide_blob_query *query, struct tide_blob_list *list,
                          struct tide_err *err);
bool tide_blob_index_annotate(struct tide_blob_index *index, const char *bucket,
                              const struct tide_blob_query *query, const char *patch, bool *changed,
                              struct tide_err *err);
/* Removes the row and tells which file it named. */
bool tide_blob_index_remove(struct tide_blob_index *index, const char *bucket, const struct tide_id *id,
                            bool *changed, char file[TIDE_BLOB_FILE_NAME], struct tide_err *err);

#endif
