#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/id.h"

static void a_new_id_starts_with_the_time(void **state)
{
    long before = (long)(tide_clock_now_ms() / 1000);
    struct tide_id id = tide_id_new();
    char seconds[9] = "";

    (void)state;
    assert_int_equal(strlen(id.hex), TIDE_ID_LEN);
    assert_int_equal(strspn(id.hex, "0123456789abcdef"), TIDE_ID_LEN);
    memcpy(seconds, id.hex, 8);
    assert_in_range(strtol(seconds, NULL, 16), before, before + 5);
}

static void new_ids_differ(void **state)
{
    static struct tide_id ids[500];

    (void)state;
    for (int i = 0; i < 500; i++) {
        ids[i] = tide_id_new();
        for (int k = 0; k < i; k++)
            assert_string_not_equal(ids[k].hex, ids[i].hex);
    }
}

static void ids_of_a_series_differ_beyond_its_last_number(void **state)
{
    struct tide_id_series series, other;
    struct tide_id ids[4];

    (void)state;
    tide_id_series_init(&series);
    tide_id_series_init(&other);
    series.count = UINT32_MAX - 1;
    for (int i = 0; i < 4; i++) {
        ids[i] = tide_id_next(&series);
        assert_int_equal(strspn(ids[i].hex, "0123456789abcdef"), TIDE_ID_LEN);
        assert_string_not_equal(ids[i].hex, tide_id_next(&other).hex);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(ids[k].hex, ids[i].hex);
    }
}

static void a_derived_id_follows_from_its_base_and_purpose(void **state)
{
    struct tide_id base, other = tide_id_new();
    struct tide_id mp3, again, wav;

    (void)state;
    assert_true(tide_id_parse("6543210fedcba98765432100", &base));
    mp3 = tide_id_derive(&base, "mp3");
    again = tide_id_derive(&base, "mp3");
    wav = tide_id_derive(&base, "wav");
    assert_string_equal(mp3.hex, again.hex);
    assert_string_not_equal(mp3.hex, wav.hex);
    assert_string_not_equal(mp3.hex, base.hex);
    assert_string_not_equal(mp3.hex, tide_id_derive(&other, "mp3").hex);
    assert_int_equal(strlen(mp3.hex), TIDE_ID_LEN);
    /* Files of earlier versions are found by it: it must never change. */
    assert_string_equal(mp3.hex, "9070f104821a55e7d57e04f9");
}

static void parses_24_hex_digits_only(void **state)
{
    static const char *const bad[] = {"",
                                      "6543210fedcba9876543210",
                                      "6543210fedcba987654321000",
                                      "6543210fedcba9876543210g",
                                      "../../../../../../etc/pa",
                                      " 543210fedcba98765432100",
                                      "6543210fedcba98765432100\n"};
    struct tide_id id;

    (void)state;
    assert_true(tide_id_parse("6543210FEDCBA98765432100", &id));
    assert_string_equal(id.hex, "6543210fedcba98765432100");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(tide_id_parse(bad[i], &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_id_starts_with_the_time),
        cmocka_unit_test(new_ids_differ),
        cmocka_unit_test(ids_of_a_series_differ_beyond_its_last_number),
        cmocka_unit_test(a_derived_id_follows_from_its_base_and_purpose),
        cmocka_unit_test(parses_24_hex_digits_only),
    };
    return cmocka_run_group_tests_name("base/id", tests, NULL, NULL);
}
