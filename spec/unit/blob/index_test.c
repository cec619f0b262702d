#include "blob/server.h"

/* ids[0] is the oldest. */
static struct tide_id ids[10];

static int setup_ten(void **state)
{
    if (setup_stage(state))
        return -1;
    for (int i = 0; i < 10; i++) {
        char metadata[80];

        ids[i] = tide_id_new();
        snprintf(metadata, sizeof metadata, "{\"owner\":\"%s\",\"state\":\"%s\",\"n\":%d}",
                 i % 2 ? "odd" : "even", i < 5 ? "pending" : "queued", i);
        if (put("videos", &ids[i], (size_t)i, 10, 0, metadata).code[0])
            return -1;
        usleep(1500); /* the order is by milliseconds */
    }
    return 0;
}

static void expect_ids(struct result r, const int *want, size_t count)
{
    assert_string_equal(r.code, "");
    assert_int_equal(r.count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(r.ids[i].hex, ids[want[i]].hex);
}

static void finds_the_newest_first(void **state)
{
    struct tide_blob_query query = {0};

    (void)state;
    expect_ids(find("videos", &query), (int[]){9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, 10);
    assert_int_equal(find("mp3s", &query).count, 0);
}

static void pages(void **state)
{
    struct tide_blob_query query = {.limit = 4};
    struct tide_id gone = tide_id_new();

    (void)state;
    expect_ids(find("videos", &query), (int[]){9, 8, 7, 6}, 4);
    query.before = &ids[6];
    expect_ids(find("videos", &query), (int[]){5, 4, 3, 2}, 4);
    query.before = &ids[2];
    expect_ids(find("videos", &query), (int[]){1, 0}, 2);
    query.before = &ids[0];
    expect_ids(find("videos", &query), NULL, 0);
    query.before = &gone;
    assert_string_equal(find("videos", &query).code, TIDE_ERR_NOT_FOUND);
}

static void set_all_dates(void)
{
    char command[256];

    if (server) {
        mongoc_collection_t *files = collection("videos.files");
        bson_t all = BSON_INITIALIZER,
               *update = BCON_NEW("$set", "{", "uploadDate", BCON_DATE_TIME(1000), "}");

        assert_true(mongoc_collection_update_many(files, &all, update, NULL, NULL, NULL));
        bson_destroy(update);
        mongoc_collection_destroy(files);
        return;
    }
    snprintf(command, sizeof command,
             "python3 -c 'import sqlite3; c = sqlite3.connect(\"%s/store/index.db\");"
             "c.execute(\"UPDATE file SET uploaded = 1000\"); c.commit()'",
             root);
    assert_int_equal(system(command), 0);
}

/* Many files of one millisecond: no page may skip or repeat one. */
static void pages_through_equal_times(void **state)
{
    struct tide_blob_query query = {.limit = 7};
    size_t seen = 10, turns = 0;
    struct tide_id last;
    struct result r;

    (void)state;
    for (int i = 0; i < 40; i++)
        put("videos", NULL, 1, 1, 0, NULL);
    set_all_dates();
    for (seen = 0; (r = find("videos", &query)).count > 0; seen += r.count, turns++) {
        for (size_t i = 1; i < r.count; i++)
            assert_true(strcmp(r.ids[i - 1].hex, r.ids[i].hex) > 0);
        if (query.before)
            assert_true(strcmp(query.before->hex, r.ids[0].hex) > 0);
        last = r.ids[r.count - 1];
        query.before = &last;
        assert_true(turns < 10);
    }
    assert_int_equal(seen, 50);
}

static void filters(void **state)
{
    struct tide_blob_query owner = {.where = {{"owner", "odd"}}};
    struct tide_blob_query both = {.where = {{"owner", "odd"}, {"state", "pending"}}};
    struct tide_blob_query gap = {.where = {{0}, {"state", "queued"}, {0}, {"owner", "even"}}};
    struct tide_blob_query number = {.where = {{"n", "3"}}};
    struct tide_blob_query id = {.id = &ids[3]};
    struct tide_blob_query quote = {.where = {{"owner", "o'dd\" OR 1=1"}}};

    (void)state;
    expect_ids(find("videos", &owner), (int[]){9, 7, 5, 3, 1}, 5);
    expect_ids(find("videos", &both), (int[]){3, 1}, 2);
    expect_ids(find("videos", &gap), (int[]){8, 6}, 2);
    expect_ids(find("videos", &number), NULL, 0); /* it is no string */
    expect_ids(find("videos", &id), (int[]){3}, 1);
    expect_ids(find("videos", &quote), NULL, 0);
    owner.before = &ids[7];
    owner.limit = 1;
    expect_ids(find("videos", &owner), (int[]){5}, 1);
}

static void filters_by_age(void **state)
{
    struct tide_blob_query query = {0};
    struct result r = open_blob("videos", &ids[5]);

    (void)state;
    query.older_than_ms = tide_blob_reader_info(r.reader)->uploaded_ms + 1;
    tide_blob_reader_close(r.reader);
    assert_in_range(find("videos", &query).count, 6, 10);
    query.older_than_ms = 1;
    assert_int_equal(find("videos", &query).count, 0);
}

static void annotates_by_merging(void **state)
{
    struct tide_blob_query query = {.id = &ids[1], .where = {{"state", "pending"}}};
    struct tide_blob_query again = {.id = &ids[1]};
    struct result r;

    (void)state;
    r = annotate("videos", &query, "{\"state\":\"queued\",\"n\":null,\"x\":{\"percent\":7}}");
    assert_string_equal(r.code, "");
    assert_true(r.changed);
    r = find("videos", &again);
    assert_string_equal(r.metadata, "{\"owner\":\"odd\",\"state\":\"queued\",\"x\":{\"percent\":7}}");
    /* It is not in the expected state any more. */
    assert_false(annotate("videos", &query, "{\"state\":\"lost\"}").changed);
    assert_string_equal(find("videos", &again).metadata, r.metadata);
    assert_false(annotate("mp3s", &again, "{}").changed);
}

static void refuses_patches_that_are_no_object(void **state)
{
    static const char *const bad[] = {"", "x", "[]", "3", "null", "{\"a\":", "{}{}"};
    struct tide_blob_query query = {.id = &ids[1]};
    struct tide_err err = {0};
    struct result r;
    char *big = malloc(66000);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_string_equal(annotate("videos", &query, bad[i]).code, TIDE_ERR_INVALID);
    sprintf(big, "{\"a\":\"%065500d\"}", 0); /* with what is there, it is over the limit */
    assert_string_equal(annotate("videos", &query, big).code, TIDE_ERR_INVALID);
    r = find("videos", &query);
    assert_string_equal(r.metadata, "{\"owner\":\"odd\",\"state\":\"pending\",\"n\":1}");
    query.id = NULL;
    assert_null(tide_blob_annotate(store, "videos", &query, "{}", on_change, &r, &err));
    assert_string_equal(err.code, TIDE_ERR_INVALID);
    free(big);
}

static void refuses_bad_queries(void **state)
{
    static const char *const keys[] = {"", "a.b", "a'b", "A", "a\"", "abcdefghijklmnopqrstuvwxyz_abcdefg"};
    struct tide_blob_query query = {0};
    struct tide_err err;
    struct result r = {0};

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        query.where[2].key = keys[i];
        query.where[2].value = "x";
        err.code = NULL;
        assert_null(tide_blob_find(store, "videos", &query, on_find, &r, &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
    }
    query.where[2].key = NULL;
    query.limit = 1001;
    assert_null(tide_blob_find(store, "videos", &query, on_find, &r, &err));
    assert_int_equal(r.called, 0);
}

static void canceled_calls_stay_silent(void **state)
{
    struct tide_blob_query query = {.id = &ids[1]};
    struct result r = {0};

    (void)state;
    for (int i = 0; i < 50; i++) {
        struct tide_blob_call *calls[] = {
            tide_blob_open(store, "videos", &ids[i % 10], on_open, &r, NULL),
            tide_blob_find(store, "videos", &query, on_find, &r, NULL),
            tide_blob_annotate(store, "videos", &query, "{\"x\":1}", on_change, &r, NULL),
            tide_blob_remove(store, "mp3s", &ids[1], on_change, &r, NULL),
        };

        if (i % 3 == 0)
            usleep(2000); /* the work is done, its callback not yet called */
        for (size_t k = 0; k < 4; k++)
            tide_blob_call_cancel(calls[k]);
        if (i % 2 == 0)
            uv_run(&loop, UV_RUN_NOWAIT);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(r.called, 0);
}

static void writers_close_at_any_moment(void **state)
{
    char *data = make_bytes(2000000, 1);

    (void)state;
    for (int i = 0; i < 60; i++) {
        struct tide_blob_writer *w = create("mp3s", NULL);
        struct result written = {0}, committed = {0};

        tide_sink_write(tide_blob_writer_sink(w), data, (size_t)(i * 33000), on_write, &written);
        if (i % 4 > 1)
            usleep((useconds_t)(i * 20));
        if (i % 4 == 3)
            uv_run(&loop, UV_RUN_NOWAIT);
        if (written.called && i % 5 == 0)
            tide_blob_commit(w, "x", NULL, on_write, &committed);
        else if (written.called && i > 0)
            tide_blob_writer_patch(w, 0, "abc", 3, on_write, &committed);
        tide_sink_close(tide_blob_writer_sink(w));
        uv_run(&loop, UV_RUN_NOWAIT);
        assert_int_equal(committed.called, 0);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    free(data);
}

static void readers_close_at_any_moment(void **state)
{
    struct tide_id id = tide_id_new();

    (void)state;
    put("videos", &id, 3000000, 3000000, 1, NULL);
    for (int i = 0; i < 60; i++) {
        struct result opened = open_blob("videos", &id), r = {0}, s = {0};
        char *buf = malloc(1000000), *second = malloc(300000);
        struct tide_source *source = tide_blob_source(opened.reader, i, -1);

        tide_blob_read_at(opened.reader, i, buf, 1000000, on_read, &r);
        tide_source_read(source, second, 300000, on_read, &s);
        for (int k = i % 6; k > 0; k--)
            uv_run(&loop, UV_RUN_NOWAIT);
        int before = r.called + s.called;
        tide_source_close(source);
        tide_blob_reader_close(opened.reader);
        free(buf);
        free(second);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(r.called + s.called, before);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_ten, teardown_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finds_the_newest_first),
        TEST(pages),
        TEST(pages_through_equal_times),
        TEST(filters),
        TEST(filters_by_age),
        TEST(annotates_by_merging),
        TEST(refuses_patches_that_are_no_object),
        TEST(refuses_bad_queries),
        TEST(canceled_calls_stay_silent),
        TEST(writers_close_at_any_moment),
        TEST(readers_close_at_any_moment),
    };
    int failed;

    stage = &on_disk;
    failed = cmocka_run_group_tests_name("blob/index on file:", tests, NULL, NULL);
    if (use_server("blob/index"))
        failed += cmocka_run_group_tests_name("blob/index on mongodb:", tests, NULL, NULL);
    return failed;
}
