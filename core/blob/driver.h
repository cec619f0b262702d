/*
 * What a blob driver is: blocking calls, made on the threads of the store's pools. All that is asynchronous
 * (calls, cancelling, gathering writes, reading ahead) is written once above it: writer.c, reader.c,
 * source.c, call.c.
 *
 * A backend or input is used by several threads at once, an output by one at a time. Arguments were checked.
 * A failing call fills err, and leaves nothing that a reader can see.
 */
#ifndef TIDE_BLOB_DRIVER_H
#define TIDE_BLOB_DRIVER_H

#include <stdatomic.h>

#include "blob/blob.h"

#define TIDE_BLOB_BUCKET_MAX 32
#define TIDE_BLOB_NAME_MAX 1024 /* bytes of a file's name */
#define TIDE_BLOB_METADATA_MAX (64 * 1024)

struct tide_blob_backend; /* the driver's side of a store */
struct tide_blob_output;  /* a file that is being written */
struct tide_blob_input;   /* a file that is being read */

/*
 * How bytes are gathered for an append: a block has up to `pieces` of `body` bytes each, which are full but
 * for the last, and around each of them room for what the driver stores with it: `head` bytes before, `tail`
 * behind.
 */
struct tide_blob_layout {
    size_t pieces, head, body, tail; /* body >= TIDE_BLOB_PATCH_MAX */
};

/* Bytes of a file that were fetched: pieces that follow each other, in the driver's memory. They stay until
 * the next fetch into the block, or its release. Zeroed: none. */
#define TIDE_BLOB_PIECES_MAX 32
struct tide_blob_block {
    struct tide_blob_piece {
        const char *data;
        size_t len;
    } piece[TIDE_BLOB_PIECES_MAX];
    size_t count;
    void *memory; /* the driver's, as is its size */
    size_t size;
};

struct tide_blob_list {
    struct tide_blob_info *items;
    size_t count;
};

struct tide_blob_driver {
    /* Whether the URL is right, as open sees it. Reaches and makes nothing. */
    bool (*check)(const char *url, struct tide_err *err);
    struct tide_blob_layout layout;
    size_t fetch_size; /* what one who reads on fetches at once */

    struct tide_blob_backend *(*open)(const char *url, const struct tide_log *log, struct tide_err *err);
    void (*close)(struct tide_blob_backend *backend);
    bool (*ready)(struct tide_blob_backend *backend, struct tide_err *err);
    /* Removes all there is, for a store that was made for a test. NULL: the directory is the caller's. */
    bool (*erase)(struct tide_blob_backend *backend, struct tide_err *err);
    /* Removes what dead writers left. Runs after the start; returns early when *stop is set. The result is
     * after how many ms to run it again, 0: not. */
    int64_t (*sweep)(struct tide_blob_backend *backend, const atomic_bool *stop);

    /* `shared`: others may write this id, too; else it is new. */
    struct tide_blob_output *(*create)(struct tide_blob_backend *backend, const char *bucket,
                                       const struct tide_id *id, bool shared, struct tide_err *err);
    /* `len` bytes in a block, which is full but for a file's last. The driver may write to all of it. */
    bool (*append)(struct tide_blob_output *output, char *block, size_t len, struct tide_err *err);
    /* After the first append, and within its first TIDE_BLOB_PATCH_MAX. */
    bool (*patch)(struct tide_blob_output *output, int64_t offset, const void *data, size_t len,
                  struct tide_err *err);
    bool (*commit)(struct tide_blob_output *output, const char *name, const char *metadata,
                   struct tide_err *err);
    /* Frees the output; its file is dropped unless it was committed. */
    void (*drop)(struct tide_blob_output *output);

    /* Fills info, which is the caller's to release. */
    struct tide_blob_input *(*open_input)(struct tide_blob_backend *backend, const char *bucket,
                                          const struct tide_id *id, struct tide_blob_info *info,
                                          struct tide_err *err);
    /* Into `block`: bytes from `offset` on, which is within the file. About len: fewer, but none only where a
     * file has ended before its length, or more, when they come along. */
    bool (*fetch)(struct tide_blob_input *input, int64_t offset, size_t len, struct tide_blob_block *block,
                  struct tide_err *err);
    void (*release_block)(struct tide_blob_block *block);
    void (*close_input)(struct tide_blob_input *input);
    int (*input_fd)(const struct tide_blob_input *input); /* NULL: it has none */

    bool (*find)(struct tide_blob_backend *backend, const char *bucket, const struct tide_blob_query *query,
                 struct tide_blob_list *list, struct tide_err *err);
    bool (*annotate)(struct tide_blob_backend *backend, const char *bucket,
                     const struct tide_blob_query *query, const char *patch_json, bool *changed,
                     struct tide_err *err);
    bool (*remove)(struct tide_blob_backend *backend, const char *bucket, const struct tide_id *id,
                   bool *changed, struct tide_err *err);
};

extern const struct tide_blob_driver tide_blob_file_driver;

void tide_blob_list_release(struct tide_blob_list *list);

#endif
