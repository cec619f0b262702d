#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], path[96];

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/tide-file-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/made", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails when a temporary file is left */
}

static void paths_are_taken_from_a_list(void **state)
{
    const char *list = "/a:long/one::b", *none = NULL;
    char next[5];

    (void)state;
    assert_true(tide_file_next(&list, next, sizeof next));
    assert_string_equal(next, "/a");
    assert_true(tide_file_next(&list, next, sizeof next)); /* what doesn't fit is passed over */
    assert_string_equal(next, "");
    assert_true(tide_file_next(&list, next, sizeof next));
    assert_string_equal(next, "b");
    assert_false(tide_file_next(&list, next, sizeof next));
    assert_false(tide_file_next(&none, next, sizeof next));
}

static void a_file_is_made_for_its_owner_alone(void **state)
{
    struct tide_err err;
    struct stat st;

    (void)state;
    assert_true(tide_file_make_private(path, &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 0);
}

static void a_file_that_is_there_stays_as_it_is(void **state)
{
    struct tide_err err;
    struct stat before, after;
    FILE *file = fopen(path, "w");

    (void)state;
    fputs("content", file);
    fclose(file);
    stat(path, &before);
    assert_true(tide_file_make_private(path, &err));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, 7);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(after.st_mode, before.st_mode);
}

static void a_missing_directory_is_named(void **state)
{
    struct tide_err err;

    (void)state;
    assert_false(tide_file_make_private("/nonexistent/made", &err));
    assert_string_equal(err.code, TIDE_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nonexistent/made"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void a_file_is_read_up_to_a_limit(void **state)
{
    struct tide_err err;
    FILE *file = fopen(path, "w");
    size_t len;
    char *text;

    (void)state;
    fputs("content", file);
    fclose(file);
    text = tide_file_read(path, 7, &len, &err);
    assert_non_null(text);
    assert_int_equal(len, 7);
    assert_string_equal(text, "content");
    free(text);
    assert_null(tide_file_read(path, 6, &len, &err));
    assert_string_equal(err.code, TIDE_ERR_TOO_LARGE);
    assert_non_null(strstr(err.message, "/made: over 6 bytes"));
    assert_int_equal(truncate(path, 0), 0);
    text = tide_file_read(path, 6, &len, &err);
    assert_non_null(text);
    assert_int_equal(len, 0);
    free(text);
    assert_int_equal(unlink(path), 0);
    assert_null(tide_file_read(path, 6, &len, &err));
    assert_string_equal(err.code, TIDE_ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(paths_are_taken_from_a_list),         TEST(a_file_is_made_for_its_owner_alone),
        TEST(a_file_that_is_there_stays_as_it_is), TEST(a_missing_directory_is_named),
        TEST(a_file_is_read_up_to_a_limit),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
