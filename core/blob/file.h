/*
 * The file driver's insides: DIR/index.db says what there is (file_index.h), DIR/<bucket>/<last two hex
 * digits of the id>/<id>.<8 random hex digits> holds the bytes. Its blocking calls run on pool threads of
 * several processes.
 *
 * A file is written without a name (O_TMPFILE; below DIR/.tmp where that does not work), synced, linked to a
 * name that is its alone, and gets its row last. So a crash leaves at most a file without a row, which nobody
 * sees, which stands in nobody's way, and which a sweep removes. Its writer holds a flock while it lives,
 * hence a sweep knows the dead ones' files.
 */
#ifndef TIDE_BLOB_FILE_H
#define TIDE_BLOB_FILE_H

#include "blob/driver.h"
#include "blob/file_index.h"

#define TIDE_BLOB_TMP ".tmp" /* no bucket can have this name */

struct tide_blob_files {
    int dir;      /* DIR */
    int tmp;      /* DIR/.tmp */
    bool unnamed; /* files can be written without a name and linked later */
    const struct tide_log *log;
    struct tide_blob_index *index;
};

/* Fills err as tide_err_errno does. Returns false. */
bool tide_blob_files_error(struct tide_err *err, int errnum, const char *what);

/* A directory descriptor of where the file of an id lives, created when missing; -1 with err. */
int tide_blob_files_shard(struct tide_blob_files *files, const char *bucket, const struct tide_id *id,
                          struct tide_err *err);

/* file_output.c */
struct tide_blob_output *tide_blob_file_create(struct tide_blob_backend *backend, const char *bucket,
                                               const struct tide_id *id, bool shared, struct tide_err *err);
bool tide_blob_file_append(struct tide_blob_output *output, char *block, size_t len, struct tide_err *err);
bool tide_blob_file_patch(struct tide_blob_output *output, int64_t offset, const void *data, size_t len,
                          struct tide_err *err);
bool tide_blob_file_commit(struct tide_blob_output *output, const char *name, const char *metadata,
                           struct tide_err *err);
void tide_blob_file_drop(struct tide_blob_output *output);
/* True when files can be written without a name below the descriptor tmp. */
bool tide_blob_file_probe(int tmp);

/* file_sweep.c */
int64_t tide_blob_file_sweep(struct tide_blob_backend *backend, const atomic_bool *stop);

#endif
