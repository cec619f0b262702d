#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/percent.h"

static void decodes_in_place(void **state)
{
    char text[] = "p%40ss%2Fw%6frd%25 +";

    (void)state;
    assert_true(tide_percent_decode(text, strlen(text), text));
    assert_string_equal(text, "p@ss/word% +");
}

static void decodes_no_more_than_it_is_given(void **state)
{
    char out[4];

    (void)state;
    assert_true(tide_percent_decode("abc%41", 3, out));
    assert_string_equal(out, "abc");
    assert_true(tide_percent_decode("", 0, out));
    assert_string_equal(out, "");
    assert_false(tide_percent_decode("%41", 2, out));
}

static void refuses_what_stands_for_nothing(void **state)
{
    static const char *const wrong[] = {"%", "a%", "%4", "%zz", "%4g", "%00", "%%41"};
    char out[8];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(tide_percent_decode(wrong[i], strlen(wrong[i]), out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_in_place),
        cmocka_unit_test(decodes_no_more_than_it_is_given),
        cmocka_unit_test(refuses_what_stands_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
