#include "blob/fixture.h"

static void a_descriptor_reads_the_same(void **state)
{
    struct tide_id id = tide_id_new();
    char got[10], *want = make_bytes(100, 4);
    struct result r;

    (void)state;
    put("videos", &id, 100, 100, 4, NULL);
    r = open_blob("videos", &id);
    assert_true(tide_blob_reader_fd(r.reader) >= 0);
    assert_int_equal(pread(tide_blob_reader_fd(r.reader), got, 10, 50), 10);
    assert_memory_equal(got, want + 50, 10);
    tide_blob_reader_close(r.reader);
    free(want);
}

static void a_removed_file_stays_readable_to_its_reader(void **state)
{
    struct tide_id id = tide_id_new();
    struct result r, removed;
    char got[10];

    (void)state;
    put("videos", &id, 10, 10, 1, NULL);
    r = open_blob("videos", &id);
    removed = remove_blob("videos", &id);
    assert_string_equal(removed.code, "");
    assert_true(removed.changed);
    assert_int_equal(count_files(), 0);
    assert_int_equal(read_at(r.reader, 0, got, 10).n, 10);
    tide_blob_reader_close(r.reader);
    assert_string_equal(open_blob("videos", &id).code, TIDE_ERR_NOT_FOUND);
    assert_false(remove_blob("videos", &id).changed);
    assert_string_equal(put("videos", &id, 20, 20, 2, NULL).code, "");
    expect_content("videos", &id, 20, 2);
}

static void tells_of_a_file_that_is_missing_or_cut(void **state)
{
    struct tide_id id = tide_id_new();
    char command[256], got[200];
    struct result r;

    (void)state;
    put("videos", &id, 200, 200, 1, NULL);
    snprintf(command, sizeof command, "truncate -s 100 %s/store/videos/*/%s.*", root, id.hex);
    assert_int_equal(system(command), 0);
    r = open_blob("videos", &id);
    assert_string_equal(read_at(r.reader, 0, got, 200).code, TIDE_ERR_INTERNAL);
    tide_blob_reader_close(r.reader);
    snprintf(command, sizeof command, "rm %s/store/videos/*/%s.*", root, id.hex);
    assert_int_equal(system(command), 0);
    assert_string_equal(open_blob("videos", &id).code, TIDE_ERR_INTERNAL);
}

static void opens_by_url(void **state)
{
    static const char *const bad[] = {"file:", "ftp://x", "videos", "file://", "file:/proc/nope/x"};
    struct tide_err err;
    struct tide_blob_store *other;
    char text[128];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err.code = NULL;
        assert_null(tide_blob_store_open(&loop, NULL, bad[i], &err));
        assert_non_null(err.code);
        assert_true(strlen(err.message) > 10);
    }
    snprintf(text, sizeof text, "file://%s/deep/er/store", root);
    other = tide_blob_store_open(&loop, NULL, text, &err);
    assert_non_null(other);
    assert_true(tide_blob_store_ready(other, &err));
    tide_blob_store_close(other);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_descriptor_reads_the_same),
        TEST(a_removed_file_stays_readable_to_its_reader),
        TEST(tells_of_a_file_that_is_missing_or_cut),
        TEST(opens_by_url),
    };
    return cmocka_run_group_tests_name("blob/file", tests, NULL, NULL);
}
