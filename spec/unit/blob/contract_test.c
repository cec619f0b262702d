#include "blob/server.h"

#define CHUNK (256 * 1024)

static void comes_back_as_it_was_stored(void **state)
{
    static const size_t sizes[] = {0, 1, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK + 12345};
    static const size_t pieces[] = {977, CHUNK, 3 * CHUNK};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
            struct tide_id id = tide_id_new();
            struct result r = put("videos", &id, sizes[i], pieces[k], (unsigned)i, NULL);

            assert_string_equal(r.code, "");
            expect_content("videos", &id, sizes[i], (unsigned)i);
        }
}

static void knows_what_was_said_of_it(void **state)
{
    struct tide_id id = tide_id_new();
    int64_t before = tide_clock_now_ms();
    struct result r = put("videos", &id, 10, 10, 1, "{\"owner\":\"a@b.c\",\"state\":\"pending\"}");
    const struct tide_blob_info *info;

    (void)state;
    assert_string_equal(r.code, "");
    r = open_blob("videos", &id);
    info = tide_blob_reader_info(r.reader);
    assert_string_equal(info->id.hex, id.hex);
    assert_string_equal(info->name, "a file.bin");
    assert_string_equal(info->metadata, "{\"owner\":\"a@b.c\",\"state\":\"pending\"}");
    assert_true(info->uploaded_ms >= before && info->uploaded_ms <= tide_clock_now_ms());
    tide_blob_reader_close(r.reader);
    assert_string_equal(open_blob("mp3s", &id).code, TIDE_ERR_NOT_FOUND);
}

static void is_there_after_a_restart(void **state)
{
    struct tide_id id = tide_id_new();

    (void)state;
    assert_string_equal(put("videos", &id, 1000, 1000, 3, NULL).code, "");
    close_store();
    open_store();
    expect_content("videos", &id, 1000, 3);
}

static void is_invisible_before_its_commit(void **state)
{
    struct tide_id id = tide_id_new();
    struct tide_blob_writer *w = create("videos", &id);
    struct tide_blob_query all = {0};
    char *data = make_bytes(3 * CHUNK, 0);

    (void)state;
    assert_string_equal(tide_blob_writer_id(w)->hex, id.hex);
    assert_string_equal(write_bytes(w, data, 3 * CHUNK).code, "");
    assert_string_equal(open_blob("videos", &id).code, TIDE_ERR_NOT_FOUND);
    assert_int_equal(find("videos", &all).count, 0);
    tide_blob_writer_close(w);
    while (uv_run(&loop, UV_RUN_ONCE))
        ;
    assert_string_equal(open_blob("videos", &id).code, TIDE_ERR_NOT_FOUND);
    assert_int_equal(stage->count(), 0);
    free(data);
}

static void reads_ranges(void **state)
{
    struct tide_id id = tide_id_new();
    size_t len = 3 * CHUNK + 100;
    char *want = make_bytes(len, 9), *got = malloc(len);
    static const struct {
        int64_t offset;
        size_t len;
        ssize_t n;
    } range[] = {{0, 1, 1},
                 {3 * CHUNK, 100, 100},
                 {3 * CHUNK + 99, 500, 1},
                 {3 * CHUNK + 100, 500, 0},
                 {99999999, 5, 0},
                 {7, 2 * CHUNK + 5, 2 * CHUNK + 5},
                 {5, 0, 0}};
    struct result r;

    (void)state;
    put("videos", &id, len, len, 9, NULL);
    r = open_blob("videos", &id);
    for (size_t i = 0; i < sizeof range / sizeof *range; i++) {
        assert_int_equal(read_at(r.reader, range[i].offset, got, range[i].len).n, range[i].n);
        if (range[i].n)
            assert_memory_equal(got, want + range[i].offset, (size_t)range[i].n);
    }
    tide_blob_reader_close(r.reader);
    free(want);
    free(got);
}

struct loan {
    struct result result;
    const void *data;
};

static void on_lent(void *arg, const void *data, ssize_t n, const struct tide_err *err)
{
    struct loan *loan = arg;

    loan->data = data;
    on_read(&loan->result, n, err);
}

/* Every other time it is lent. What is lent stays until the next call. */
static void drain(struct tide_source *source, char *into, size_t want, size_t step)
{
    size_t got = 0;

    for (int i = 0;; i++) {
        struct loan loan = {0};
        struct result r;

        if (i & 1)
            tide_source_lend(source, on_lent, &loan);
        else
            tide_source_read(source, into + got, step, on_read, &loan.result);
        while (!loan.result.called)
            uv_run(&loop, UV_RUN_ONCE);
        r = loan.result;
        assert_string_equal(r.code, "");
        if (r.n == 0)
            break;
        if (i & 1) {
            uv_run(&loop, UV_RUN_NOWAIT);
            assert_true(got + (size_t)r.n <= want);
            memcpy(into + got, loan.data, (size_t)r.n);
        }
        got += (size_t)r.n;
        assert_true(got <= want);
        assert_int_equal(source->length, want - got);
    }
    assert_int_equal(got, want);
}

static void streams_ranges(void **state)
{
    static const struct {
        int64_t offset, length;
        size_t want;
    } range[] = {{0, -1, 5 * CHUNK + 7}, {1, 5, 5}, {CHUNK, 2 * CHUNK, 2 * CHUNK},
                 {5 * CHUNK, 100, 7},    {0, 0, 0}, {9 * CHUNK, -1, 0}};
    size_t len = 5 * CHUNK + 7;
    char *want = make_bytes(len, 2), *got = malloc(len + CHUNK);
    struct tide_id id = tide_id_new();
    struct result r;

    (void)state;
    put("videos", &id, len, len, 2, NULL);
    r = open_blob("videos", &id);
    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        for (size_t step = 1000; step <= CHUNK; step += CHUNK - 1000) {
            struct tide_source *source = tide_blob_source(r.reader, range[i].offset, range[i].length);

            assert_int_equal(source->length, range[i].want);
            drain(source, got, range[i].want, step);
            if (range[i].want)
                assert_memory_equal(got, want + range[i].offset, range[i].want);
            tide_source_close(source);
        }
    tide_blob_reader_close(r.reader);
    free(want);
    free(got);
}

static struct result patch(struct tide_blob_writer *w, int64_t offset, const char *text)
{
    struct result r = {0};

    tide_blob_writer_patch(w, offset, text, strlen(text), on_write, &r);
    wait_for(&r);
    return r;
}

/* In memory still, in the pool at the moment, and on disk. */
static void patches_its_beginning(void **state)
{
    static const size_t sizes[] = {100, CHUNK, 4 * CHUNK, 2 * CHUNK + 50};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct tide_id id = tide_id_new();
        struct tide_blob_writer *w = create("mp3s", &id);
        char *data = make_bytes(sizes[i], 5), *got = malloc(sizes[i]);
        struct result r;

        assert_string_equal(write_bytes(w, data, sizes[i]).code, "");
        assert_string_equal(patch(w, 0, "Xing").code, "");
        assert_string_equal(patch(w, 90, "LAME").code, "");
        memcpy(data, "Xing", 4);
        memcpy(data + 90, "LAME", 4);
        if (sizes[i] > TIDE_BLOB_PATCH_MAX) {
            assert_string_equal(patch(w, TIDE_BLOB_PATCH_MAX - 3, "end").code, "");
            memcpy(data + TIDE_BLOB_PATCH_MAX - 3, "end", 3);
        }
        assert_string_equal(commit(w, "x.mp3", NULL).code, "");
        tide_blob_writer_close(w);
        r = open_blob("mp3s", &id);
        assert_int_equal(read_at(r.reader, 0, got, sizes[i]).n, sizes[i]);
        assert_memory_equal(got, data, sizes[i]);
        tide_blob_reader_close(r.reader);
        free(data);
        free(got);
    }
    (void)state;
}

static void refuses_an_id_that_is_there(void **state)
{
    struct tide_id id = tide_id_new();

    (void)state;
    assert_string_equal(put("videos", &id, 10, 10, 1, NULL).code, "");
    assert_string_equal(put("videos", &id, 20, 20, 2, NULL).code, TIDE_ERR_EXISTS);
    expect_content("videos", &id, 10, 1);
    assert_string_equal(put("mp3s", &id, 20, 20, 2, NULL).code, "");
    assert_int_equal(stage->count(), 2);
}

static void refuses_bad_buckets(void **state)
{
    static const char *const names[] = {"",    "..",        "a/b", ".tmp",
                                        "a b", "v\xc3\xa4", "a.b", "123456789012345678901234567890123"};
    struct tide_id id = tide_id_new();
    struct tide_blob_query query = {0};
    struct result r = {0};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct tide_err err = {0};

        assert_null(tide_blob_create(store, names[i], NULL, &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
        assert_null(tide_blob_open(store, names[i], &id, on_open, &r, &err));
        assert_null(tide_blob_find(store, names[i], &query, on_find, &r, &err));
        assert_null(tide_blob_remove(store, names[i], &id, on_change, &r, &err));
    }
    assert_int_equal(r.called, 0);
    assert_string_equal(put("12345678901234567890123456789_-Z", NULL, 1, 1, 0, NULL).code, "");
}

static void refuses_bad_metadata_and_names(void **state)
{
    static const char *const bad[] = {"", "[]", "\"x\"", "null", "{", "{\"a\":}", "{\"a\":\"\xff\"}"};
    char *big = malloc(70000), *long_name = calloc(1, 1026);
    struct tide_blob_writer *w;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_string_equal(put("videos", NULL, 5, 5, 0, bad[i]).code, TIDE_ERR_INVALID);
    sprintf(big, "{\"a\":\"%065530d\"}", 0);
    assert_string_equal(put("videos", NULL, 5, 5, 0, big).code, TIDE_ERR_INVALID);
    sprintf(big, "{\"a\":\"%065528d\"}", 0);
    assert_int_equal(strlen(big), 65536);
    assert_string_equal(put("videos", NULL, 5, 5, 0, big).code, "");
    memset(long_name, 'x', 1025);
    for (int i = 0; i < 2; i++) {
        w = create("videos", NULL);
        assert_string_equal(commit(w, i ? long_name : "\xc3(", NULL).code, TIDE_ERR_INVALID);
        tide_blob_writer_close(w);
    }
    assert_int_equal(stage->count(), 1);
    free(big);
    free(long_name);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_stage, teardown_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(comes_back_as_it_was_stored),
        TEST(knows_what_was_said_of_it),
        TEST(is_there_after_a_restart),
        TEST(is_invisible_before_its_commit),
        TEST(reads_ranges),
        TEST(streams_ranges),
        TEST(patches_its_beginning),
        TEST(refuses_an_id_that_is_there),
        TEST(refuses_bad_buckets),
        TEST(refuses_bad_metadata_and_names),
    };
    int failed;

    stage = &on_disk;
    failed = cmocka_run_group_tests_name("blob/contract on file:", tests, NULL, NULL);
    if (use_server("blob/contract"))
        failed += cmocka_run_group_tests_name("blob/contract on mongodb:", tests, NULL, NULL);
    return failed;
}
