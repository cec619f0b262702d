#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"

static void says_what_failed(void **state)
{
    struct tide_err err = {0};

    (void)state;
    assert_false(tide_err_set(&err, TIDE_ERR_LIMIT, true, "at most %d", 5));
    assert_string_equal(err.code, TIDE_ERR_LIMIT);
    assert_true(err.retryable);
    assert_string_equal(err.message, "at most 5");
    assert_false(tide_err_prefix(&err, "bucket %s", "videos"));
    assert_string_equal(err.message, "bucket videos: at most 5");
    assert_string_equal(err.code, TIDE_ERR_LIMIT);
    assert_false(tide_err_set(NULL, TIDE_ERR_LIMIT, true, "nobody listens"));
    assert_false(tide_err_prefix(NULL, "nobody listens"));
    assert_false(tide_err_errno(NULL, ENOENT, "nobody listens"));
}

static void cuts_long_messages_at_their_end(void **state)
{
    struct tide_err err = {0};
    char text[1000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t len = 300; len < sizeof text; len++) {
        tide_err_set(&err, TIDE_ERR_LIMIT, false, "%.*s", (int)len, text);
        assert_int_equal(strlen(err.message), len < 319 ? len : 319);
        tide_err_prefix(&err, "outer");
        assert_memory_equal(err.message, "outer: xxx", 10);
        assert_int_equal(strlen(err.message), len + 7 < 319 ? len + 7 : 319);
    }
    tide_err_set(&err, TIDE_ERR_LIMIT, false, "inner");
    tide_err_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), 319);
}

static void knows_errno(void **state)
{
    static const struct {
        int errnum;
        const char *code;
        bool retryable;
    } cases[] = {{ENOSPC, TIDE_ERR_FULL, true},        {EDQUOT, TIDE_ERR_FULL, true},
                 {EFBIG, TIDE_ERR_FULL, true},         {ENOENT, TIDE_ERR_NOT_FOUND, false},
                 {EEXIST, TIDE_ERR_EXISTS, false},     {EMFILE, TIDE_ERR_UNAVAILABLE, true},
                 {ENOMEM, TIDE_ERR_UNAVAILABLE, true}, {EIO, TIDE_ERR_INTERNAL, false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tide_err err = {0};

        assert_false(tide_err_errno(&err, cases[i].errnum, "open"));
        assert_string_equal(err.code, cases[i].code);
        assert_int_equal(err.retryable, cases[i].retryable);
        assert_memory_equal(err.message, "open: ", 6);
        assert_true(strlen(err.message) > 10);
    }
}

static void formats_times(void **state)
{
    char text[25];

    (void)state;
    tide_clock_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    tide_clock_format(1795478278123, text);
    assert_string_equal(text, "2026-11-23T23:57:58.123Z");
    tide_clock_format(951782400007, text);
    assert_string_equal(text, "2000-02-29T00:00:00.007Z");
}

static void clocks_go_on(void **state)
{
    int64_t a = tide_clock_monotonic_ms(), b = tide_clock_monotonic_ms();

    (void)state;
    assert_true(b >= a);
    assert_true(tide_clock_now_ms() > 1700000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_failed), cmocka_unit_test(cuts_long_messages_at_their_end),
        cmocka_unit_test(knows_errno),      cmocka_unit_test(formats_times),
        cmocka_unit_test(clocks_go_on),
    };
    return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
