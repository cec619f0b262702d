/* A store below a temporary directory, and its calls as if they blocked. For the tests of core/blob. */
#ifndef SPEC_BLOB_FIXTURE_H
#define SPEC_BLOB_FIXTURE_H

#include "loop.h"

#include <ftw.h>

#include "base/clock.h"
#include "blob/blob.h"

static uv_loop_t loop;
static int files_before;
static char root[64], url[256];
static struct tide_blob_store *store;

struct result {
    int called;
    char code[24]; /* empty: it succeeded */
    char message[320];
    ssize_t n;
    bool changed;
    struct tide_blob_reader *reader;
    size_t count;
    struct tide_id ids[1000];
    char metadata[256]; /* of the first */
};

static inline int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static inline void open_store(void)
{
    struct tide_err err = {0};

    files_before = loop_open(&loop);
    store = tide_blob_store_open(&loop, NULL, url, &err);
    if (!store)
        fail_msg("%s: %s", err.code, err.message);
}

static inline void close_store(void)
{
    tide_blob_store_close(store);
    loop_close(&loop, files_before);
}

static inline int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/tide-blob-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(url, sizeof url, "file:%s/store", root);
    return 0;
}

static inline int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline int setup(void **state)
{
    if (make_root(state))
        return -1;
    open_store();
    return 0;
}

static inline int teardown(void **state)
{
    close_store();
    return remove_root(state);
}

/* Where the tests that hold for every driver run. */
struct stage {
    int (*setup)(void **state), (*teardown)(void **state);
    int (*count)(void); /* ids of which something is stored */
};
static const struct stage *stage;

static inline int setup_stage(void **state)
{
    return stage->setup(state);
}

static inline int teardown_stage(void **state)
{
    return stage->teardown(state);
}

static inline void wait_for(struct result *r)
{
    assert_int_equal(r->called, 0); /* never inside the call */
    while (!r->called)
        assert_true(uv_run(&loop, UV_RUN_ONCE) || r->called);
    assert_int_equal(r->called, 1);
}

static inline void note(struct result *r, const struct tide_err *err)
{
    r->called++;
    snprintf(r->code, sizeof r->code, "%s", err ? err->code : "");
    snprintf(r->message, sizeof r->message, "%s", err ? err->message : "");
}

static inline void on_write(void *arg, const struct tide_err *err)
{
    note(arg, err);
}

static inline void on_read(void *arg, ssize_t n, const struct tide_err *err)
{
    struct result *r = arg;

    note(r, err);
    assert_int_equal(n < 0, err != NULL);
    r->n = n;
}

static inline void on_open(void *arg, struct tide_blob_reader *reader, const struct tide_err *err)
{
    struct result *r = arg;

    note(r, err);
    assert_int_equal(reader == NULL, err != NULL);
    r->reader = reader;
}

static inline void on_find(void *arg, const struct tide_blob_info *infos, size_t count,
                           const struct tide_err *err)
{
    struct result *r = arg;

    note(r, err);
    r->count = count;
    for (size_t i = 0; i < count; i++)
        r->ids[i] = infos[i].id;
    if (count)
        snprintf(r->metadata, sizeof r->metadata, "%s", infos[0].metadata);
}

static inline void on_change(void *arg, bool changed, const struct tide_err *err)
{
    struct result *r = arg;

    note(r, err);
    r->changed = changed;
}

/* Byte i of a file made from `seed`. */
static inline char byte_at(size_t i, unsigned seed)
{
    return (char)(i * 31 + i / 4093 + seed * 17);
}

static inline char *make_bytes(size_t len, unsigned seed)
{
    char *data = malloc(len + 1);

    for (size_t i = 0; i < len; i++)
        data[i] = byte_at(i, seed);
    return data;
}

static inline struct tide_blob_writer *create(const char *bucket, const struct tide_id *id)
{
    struct tide_err err = {0};
    struct tide_blob_writer *w = tide_blob_create(store, bucket, id, &err);

    if (!w)
        fail_msg("%s: %s", err.code, err.message);
    return w;
}

/* Unlike the others, a write may call back at once. */
static inline struct result write_bytes(struct tide_blob_writer *w, const void *data, size_t len)
{
    struct result r = {0};

    tide_sink_write(tide_blob_writer_sink(w), data, len, on_write, &r);
    while (!r.called)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(r.called, 1);
    return r;
}

static inline struct result commit(struct tide_blob_writer *w, const char *name, const char *metadata)
{
    struct result r = {0};

    tide_blob_commit(w, name, metadata, on_write, &r);
    wait_for(&r);
    return r;
}

/* Stores len bytes of `seed` in pieces of `piece` bytes. */
static inline struct result put(const char *bucket, const struct tide_id *id, size_t len, size_t piece,
                                unsigned seed, const char *metadata)
{
    struct tide_blob_writer *w = create(bucket, id);
    char *data = make_bytes(len, seed);
    struct result r = {0};

    for (size_t i = 0; i < len && !r.code[0]; i += piece)
        r = write_bytes(w, data + i, len - i < piece ? len - i : piece);
    if (!r.code[0]) {
        assert_int_equal(tide_blob_writer_length(w), len);
        r = commit(w, "a file.bin", metadata);
    }
    tide_blob_writer_close(w);
    free(data);
    return r;
}

static inline struct result open_blob(const char *bucket, const struct tide_id *id)
{
    struct result r = {0};

    assert_non_null(tide_blob_open(store, bucket, id, on_open, &r, NULL));
    wait_for(&r);
    return r;
}

static inline struct result read_at(struct tide_blob_reader *reader, int64_t offset, void *buf, size_t len)
{
    struct result r = {0};

    tide_blob_read_at(reader, offset, buf, len, on_read, &r);
    wait_for(&r);
    return r;
}

static inline struct result find(const char *bucket, const struct tide_blob_query *query)
{
    struct result r = {0};

    assert_non_null(tide_blob_find(store, bucket, query, on_find, &r, NULL));
    wait_for(&r);
    return r;
}

static inline struct result annotate(const char *bucket, const struct tide_blob_query *query,
                                     const char *patch)
{
    struct result r = {0};

    assert_non_null(tide_blob_annotate(store, bucket, query, patch, on_change, &r, NULL));
    wait_for(&r);
    return r;
}

static inline struct result remove_blob(const char *bucket, const struct tide_id *id)
{
    struct result r = {0};

    assert_non_null(tide_blob_remove(store, bucket, id, on_change, &r, NULL));
    wait_for(&r);
    return r;
}

/* The whole file must be len bytes of `seed`. */
static inline void expect_content(const char *bucket, const struct tide_id *id, size_t len, unsigned seed)
{
    struct result r = open_blob(bucket, id);
    char *want = make_bytes(len, seed), *got = malloc(len + 1);

    assert_string_equal(r.code, "");
    assert_int_equal(tide_blob_reader_info(r.reader)->length, len);
    assert_int_equal(read_at(r.reader, 0, got, len + 1).n, len);
    assert_memory_equal(got, want, len);
    tide_blob_reader_close(r.reader);
    free(want);
    free(got);
}

static int files_seen;

static inline int count_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    const char *name = path + ftw->base;

    (void)st;
    if (flag == FTW_F && strncmp(name, "index.db", 8) != 0 && strcmp(name, ".sweep") != 0)
        files_seen++;
    return 0;
}

/* Files on disk, temporary ones included, the index not. */
static inline int count_files(void)
{
    files_seen = 0;
    nftw(root, count_entry, 16, FTW_PHYS);
    return files_seen;
}

static const struct stage on_disk = {setup, teardown, count_files};

#endif
