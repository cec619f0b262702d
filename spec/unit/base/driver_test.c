#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/driver.h"

static const int embedded = 1;
static const struct tide_driver_choice choices[] = {
    {"file", "file:DIR", &embedded, NULL},
    {"mongodb", "mongodb://HOST", NULL, "no-such-module"},
};

static const void *find(const char *url, struct tide_err *err)
{
    return tide_driver_find("blob", choices, 2, url, err);
}

static void the_scheme_chooses(void **state)
{
    struct tide_err err = {0};

    (void)state;
    assert_ptr_equal(find("file:data/blobs", &err), &embedded);
    assert_ptr_equal(find("file:", &err), &embedded);
    assert_null(err.code);
}

static void an_unknown_scheme_is_told_without_its_password(void **state)
{
    struct tide_err err = {0};

    (void)state;
    assert_null(find("files:secret", &err));
    assert_string_equal(err.code, TIDE_ERR_INVALID);
    assert_string_equal(err.message,
                        "blob: no driver for the URL 'files...'; there are file:DIR, mongodb://HOST");
    assert_null(find("ftp://me:secret@host", &err));
    assert_null(strstr(err.message, "secret"));
    assert_null(find("", &err));
    assert_null(find("file", &err));
}

static void a_module_that_is_missing_is_named(void **state)
{
    struct tide_err err = {0};

    (void)state;
    setenv("TIDEMILL_MODULES", "/nowhere", 1);
    assert_null(find("mongodb://me:secret@host", &err));
    assert_string_equal(err.code, TIDE_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "/nowhere/no-such-module.so"));
    assert_null(strstr(err.message, "secret"));
}

static void a_password_must_be_encoded(void **state)
{
    static const char *const wrong[] = {"mongodb://me:a/b@host", "mongodb://me:a@b@host",
                                        "mongodb://me:a?b@host", "mongodb://me:a#b@host",
                                        "mongodb://host/?user=me@there"};
    struct tide_err err;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        err = (struct tide_err){0};
        assert_null(find(wrong[i], &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
        assert_non_null(strstr(err.message, "/ is %2F, @ is %40"));
    }
    assert_null(find("mongodb://me:a%40b@host/?x=y", &err));
    assert_string_equal(err.code, TIDE_ERR_UNAVAILABLE); /* it went as far as the module */
}

static void the_location_follows_the_scheme(void **state)
{
    (void)state;
    assert_string_equal(tide_driver_location("file:data/x"), "data/x");
    assert_string_equal(tide_driver_location("file:///var/x"), "/var/x");
    assert_string_equal(tide_driver_location("file:"), "");
    assert_string_equal(tide_driver_location("file://host/x"), "");
    assert_string_equal(tide_driver_location("file://"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scheme_chooses),
        cmocka_unit_test(an_unknown_scheme_is_told_without_its_password),
        cmocka_unit_test(a_module_that_is_missing_is_named),
        cmocka_unit_test(a_password_must_be_encoded),
        cmocka_unit_test(the_location_follows_the_scheme),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
