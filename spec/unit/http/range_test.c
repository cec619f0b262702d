#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/range.h"

static void parses_ranges(void **state)
{
    static const struct {
        const char *header;
        int64_t length;
        enum tide_range_result result;
        int64_t first, last;
    } cases[] = {
        {"bytes=0-99", 1000, TIDE_RANGE_ONE, 0, 99},
        {"bytes=0-0", 1, TIDE_RANGE_ONE, 0, 0},
        {"bytes=500-", 1000, TIDE_RANGE_ONE, 500, 999},
        {"bytes=-100", 1000, TIDE_RANGE_ONE, 900, 999},
        {"bytes=-5000", 1000, TIDE_RANGE_ONE, 0, 999},
        {"bytes=900-5000", 1000, TIDE_RANGE_ONE, 900, 999},
        {"BYTES= 1-2 ", 1000, TIDE_RANGE_ONE, 1, 2},
        {"bytes=0-99999999999999999999999", 1000, TIDE_RANGE_ONE, 0, 999},
        {"bytes=-99999999999999999999999", 1000, TIDE_RANGE_ONE, 0, 999},
        {"bytes=8589934592-", 10737418240, TIDE_RANGE_ONE, 8589934592, 10737418239},
        {"bytes=1000-", 1000, TIDE_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=99999999999999999999999-", 1000, TIDE_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-", 0, TIDE_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", 1000, TIDE_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-5", 0, TIDE_RANGE_NONE, 0, 0},
        {"bytes=5-4", 1000, TIDE_RANGE_NONE, 0, 0},
        {"bytes=0-1,5-6", 1000, TIDE_RANGE_NONE, 0, 0},
        {"bytes=-", 1000, TIDE_RANGE_NONE, 0, 0},
        {"bytes=", 1000, TIDE_RANGE_NONE, 0, 0},
        {"bytes=5", 1000, TIDE_RANGE_NONE, 0, 0},
        {"bytes=--5", 1000, TIDE_RANGE_NONE, 0, 0},
        {"bytes=0x1-2", 1000, TIDE_RANGE_NONE, 0, 0},
        {"bytes 0-5", 1000, TIDE_RANGE_NONE, 0, 0},
        {"items=0-5", 1000, TIDE_RANGE_NONE, 0, 0},
        {"", 1000, TIDE_RANGE_NONE, 0, 0},
        {NULL, 1000, TIDE_RANGE_NONE, 0, 0},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tide_range range = {0, 0};

        if (tide_range_parse(cases[i].header, cases[i].length, &range) != cases[i].result)
            fail_msg("%s: wrong result", cases[i].header ? cases[i].header : "NULL");
        assert_int_equal(range.first, cases[i].first);
        assert_int_equal(range.last, cases[i].last);
    }
}

static void finds_listed_etags(void **state)
{
    (void)state;
    assert_true(tide_etag_listed("\"abc\"", "\"abc\""));
    assert_true(tide_etag_listed("W/\"abc\"", "\"abc\""));
    assert_true(tide_etag_listed("\"abc\"", "W/\"abc\""));
    assert_true(tide_etag_listed(" \"x\" ,, W/\"y\", \"abc\"", "\"abc\""));
    assert_true(tide_etag_listed("\"a,b\", \"c\"", "\"c\""));
    assert_true(tide_etag_listed("*", "\"abc\""));
    assert_false(tide_etag_listed(NULL, "\"abc\""));
    assert_false(tide_etag_listed("", "\"abc\""));
    assert_false(tide_etag_listed("abc", "\"abc\""));
    assert_false(tide_etag_listed("\"abcd\"", "\"abc\""));
    assert_false(tide_etag_listed("\"ab\"", "\"abc\""));
    assert_false(tide_etag_listed("\"abc", "\"abc\""));
    assert_false(tide_etag_listed("W/", "\"abc\""));
    assert_false(tide_etag_listed("\"x\", *", "\"abc\""));
}

static void if_range_is_strong(void **state)
{
    (void)state;
    assert_true(tide_etag_if_range(NULL, "\"abc\""));
    assert_true(tide_etag_if_range("\"abc\"", "\"abc\""));
    assert_false(tide_etag_if_range("W/\"abc\"", "W/\"abc\""));
    assert_false(tide_etag_if_range("\"abd\"", "\"abc\""));
    assert_false(tide_etag_if_range("Wed, 21 Oct 2026 07:28:00 GMT", "\"abc\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_ranges),
        cmocka_unit_test(finds_listed_etags),
        cmocka_unit_test(if_range_is_strong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
