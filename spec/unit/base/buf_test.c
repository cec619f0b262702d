#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/utf8.h"

static void grows_and_ends_with_nul(void **state)
{
    struct tide_buf buf;

    (void)state;
    tide_buf_init(&buf, 100000);
    assert_null(buf.data);
    for (int i = 0; i < 10000; i++)
        assert_true(tide_buf_printf(&buf, "%d,", i % 10));
    assert_int_equal(buf.len, 20000);
    assert_int_equal(strlen(buf.data), 20000);
    assert_memory_equal(buf.data + 19990, "5,6,7,8,9,", 11);
    tide_buf_reset(&buf);
    assert_int_equal(buf.len, 0);
    assert_string_equal(buf.data, "");
    tide_buf_release(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.max, 100000);
}

static void refuses_all_of_what_is_over_its_limit(void **state)
{
    struct tide_buf buf;

    (void)state;
    tide_buf_init(&buf, 5);
    assert_true(tide_buf_puts(&buf, "abc"));
    assert_false(tide_buf_puts(&buf, "def"));
    assert_true(buf.overflow);
    assert_string_equal(buf.data, "abc");
    assert_false(tide_buf_putc(&buf, 'd')); /* incomplete stays incomplete */
    tide_buf_reset(&buf);
    assert_false(buf.overflow);
    assert_true(tide_buf_append(&buf, "12345", 5));
    assert_false(tide_buf_putc(&buf, '6'));
    tide_buf_reset(&buf);
    assert_null(tide_buf_reserve(&buf, SIZE_MAX));
    tide_buf_release(&buf);
}

static void a_print_over_the_limit_leaves_what_was_there(void **state)
{
    struct tide_buf buf;

    (void)state;
    tide_buf_init(&buf, 10);
    assert_true(tide_buf_printf(&buf, "%s", "abc"));
    assert_false(tide_buf_printf(&buf, "%d", 123456789));
    assert_true(buf.overflow);
    assert_string_equal(buf.data, "abc");
    tide_buf_release(&buf);
}

static void writes_integers(void **state)
{
    static const int64_t values[] = {0, 7, -1, 1234567890, INT64_MAX, INT64_MIN};
    char expected[24];
    struct tide_buf buf;

    (void)state;
    tide_buf_init(&buf, 100);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        tide_buf_reset(&buf);
        assert_true(tide_buf_int(&buf, values[i]));
        snprintf(expected, sizeof expected, "%lld", (long long)values[i]);
        assert_string_equal(buf.data, expected);
    }
    tide_buf_release(&buf);
}

static void hands_its_memory_over(void **state)
{
    struct tide_buf buf;
    size_t len;
    char *text;

    (void)state;
    tide_buf_init(&buf, 10);
    tide_buf_append(&buf, "a\0b", 3);
    text = tide_buf_take(&buf, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(text, "a\0b", 4);
    assert_null(buf.data);
    assert_true(tide_buf_puts(&buf, "1234567890"));
    tide_buf_release(&buf);
    free(text);
}

static void writes_json_strings(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"", "\"\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\n\r\t\x01\x7F", "\"\\n\\r\\t\\u0001\\u007f\""},
        {"\xC3\xBC\xE2\x99\xAB\xF0\x9F\x8E\xB5", "\"\xC3\xBC\xE2\x99\xAB\xF0\x9F\x8E\xB5\""},
        {"\xFFx\xC3", "\"\xEF\xBF\xBDx\xEF\xBF\xBD\""},
    };
    struct tide_buf buf;

    (void)state;
    tide_buf_init(&buf, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tide_buf_reset(&buf);
        assert_true(tide_buf_json(&buf, cases[i].text, strlen(cases[i].text)));
        assert_string_equal(buf.data, cases[i].json);
    }
    tide_buf_reset(&buf);
    tide_buf_json(&buf, "a\0b", 3);
    assert_string_equal(buf.data, "\"a\\u0000b\"");
    tide_buf_release(&buf);
}

static void knows_utf8(void **state)
{
    static const char *const good[] = {"",
                                       "plain",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xEF\xBF\xBF",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",
                                      "\xC0\xAF",         /* overlong */
                                      "\xC1\xBF",         /* overlong */
                                      "\xE0\x9F\xBF",     /* overlong */
                                      "\xED\xA0\x80",     /* surrogate */
                                      "\xF0\x8F\xBF\xBF", /* overlong */
                                      "\xF4\x90\x80\x80", /* over U+10FFFF */
                                      "\xF5\x80\x80\x80",
                                      "\xC3",
                                      "\xE2\x99",
                                      "a\xF0\x9F\x8E",
                                      "\xC3(",
                                      "\xFE"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(tide_utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(tide_utf8_valid(bad[i], strlen(bad[i])));
    assert_int_equal(tide_utf8_len("\xE2\x99\xAB", 2), 0);
    assert_int_equal(tide_utf8_len("\xE2\x99\xAB", 3), 3);
}

static void reads_a_descriptor_to_its_end(void **state)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    struct tide_buf buf;
    char bytes[40000];

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    tide_buf_init(&buf, 100000);
    tide_buf_puts(&buf, "before");
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_true(tide_buf_read(&buf, fd, sizeof bytes));
    assert_int_equal(buf.len, 6 + sizeof bytes);
    assert_int_equal(strlen(buf.data), buf.len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_false(tide_buf_read(&buf, fd, sizeof bytes - 1));
    assert_int_equal(errno, EFBIG);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_false(tide_buf_read(&buf, fd, sizeof bytes));
    assert_int_equal(errno, ENOBUFS);
    close(fd);
    tide_buf_reset(&buf);
    assert_false(tide_buf_read(&buf, fd, 1));
    assert_int_equal(errno, EBADF);
    tide_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_ends_with_nul),
        cmocka_unit_test(refuses_all_of_what_is_over_its_limit),
        cmocka_unit_test(a_print_over_the_limit_leaves_what_was_there),
        cmocka_unit_test(writes_integers),
        cmocka_unit_test(hands_its_memory_over),
        cmocka_unit_test(writes_json_strings),
        cmocka_unit_test(knows_utf8),
        cmocka_unit_test(reads_a_descriptor_to_its_end),
    };
    return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
