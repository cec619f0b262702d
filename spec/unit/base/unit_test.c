#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/unit.h"

static void reads_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"0s", 0},          {"250ms", 250},         {"30s", 30000},     {"25m", 1500000},
                {"2h", 7200000},    {"7d", 604800000},      {"1h30m", 5400000}, {"1.5s", 1500},
                {"1m1s1ms", 61001}, {"3650d", 315360000000}};
    static const char *const bad[] = {"",     "5",    "s",     "-1s",        "+1s",   "1 s",
                                      "1s ",  " 1s",  "1x",    "1sec",       "1h30",  "0x10s",
                                      "1e3s", "infs", "4000d", "2000d2000d", "1.2.3s"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t ms = -1;

        assert_true(tide_unit_duration(good[i].text, &ms, NULL));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tide_err err = {0};
        int64_t ms;

        if (tide_unit_duration(bad[i], &ms, &err))
            fail_msg("'%s' was taken for %lld ms", bad[i], (long long)ms);
        assert_string_equal(err.code, TIDE_ERR_INVALID);
        assert_non_null(strstr(err.message, "25m"));
    }
}

static void reads_sizes(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {{"0", 0},         {"512B", 512},        {"8KiB", 8192},          {"2MiB", 2097152},
                {"5MB", 5000000}, {"5GiB", 5368709120}, {"1TiB", 1099511627776}, {"2GB", 2000000000},
                {"0.5KiB", 512},  {"3KB", 3000},        {"1TB", 1000000000000}};
    static const char *const bad[] = {"",         "5",     "00",      "8kib",   "8K", "-8KiB",
                                      "8KiB2MiB", "8 KiB", "2000TiB", "0x8KiB", "KiB"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t bytes = -1;

        assert_true(tide_unit_size(good[i].text, &bytes, NULL));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tide_err err = {0};
        int64_t bytes;

        if (tide_unit_size(bad[i], &bytes, &err))
            fail_msg("'%s' was taken for %lld bytes", bad[i], (long long)bytes);
        assert_string_equal(err.code, TIDE_ERR_INVALID);
    }
}

static void reads_rates(void **state)
{
    static const struct {
        const char *text;
        double per_second;
    } good[] = {{"10/s", 10}, {"120/m", 2}, {"7200/h", 2}, {"0.5/s", 0.5}};
    static const char *const bad[] = {"",     "10",    "/s",    "0/s",    "-1/s",
                                      "10/d", "10 /s", "10/s ", "0x10/s", "9999999999/s"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double rate = -1;

        assert_true(tide_unit_rate(good[i].text, &rate, NULL));
        assert_float_equal(rate, good[i].per_second, 1e-9);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tide_err err = {0};
        double rate;

        if (tide_unit_rate(bad[i], &rate, &err))
            fail_msg("'%s' was taken for %g", bad[i], rate);
        assert_string_equal(err.code, TIDE_ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(reads_sizes),
        cmocka_unit_test(reads_rates),
    };
    return cmocka_run_group_tests_name("base/unit", tests, NULL, NULL);
}
