#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/url.h"

#define FORM "x://USER@HOST"

static void redacts_passwords(void **state)
{
    static const char *const cases[][2] = {
        {"mysql://u:secret@db/auth", "mysql://u:***@db/auth"},
        {"amqps://u:a@b@host/%2f", "amqps://u:***@host/%2f"},
        {"mysql://u:a/b?c#d@x@host/auth", "mysql://u:***@host/auth"},
        {"mysql:/u:secret@host/auth", "mysql:/u:***@host/auth"},
        {"mongodb://mongo:27017/?x=a", "mongodb://mongo:27017/?x=a"},
        {"smtp://user@host", "smtp://user@host"},
        {"sqlite:data/auth.db", "sqlite:data/auth.db"},
    };
    struct tide_buf out;

    (void)state;
    tide_buf_init(&out, 1024);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tide_buf_reset(&out);
        tide_url_redact(cases[i][0], &out);
        assert_string_equal(out.data, cases[i][1]);
    }
    tide_buf_release(&out);
}

static void takes_a_url_to_pieces(void **state)
{
    struct tide_url url;
    struct tide_err err;

    (void)state;
    assert_true(tide_url_parse(&url, "amqps://a%40b:p%2Fw:x@host.example:5671/%2f?x=1", FORM, &err));
    assert_string_equal(url.scheme, "amqps");
    assert_string_equal(url.user, "a@b");
    assert_string_equal(url.password, "p/w:x");
    assert_string_equal(url.host, "host.example");
    assert_int_equal(url.port, 5671);
    assert_string_equal(url.path, "/");
    assert_string_equal(url.query, "x=1");
    assert_string_equal(url.shown, "amqps://a%40b:***@host.example:5671/%2f");
    tide_url_release(&url);

    assert_true(tide_url_parse(&url, "x://[::1]:25", FORM, &err));
    assert_string_equal(url.host, "::1");
    assert_int_equal(url.port, 25);
    assert_null(url.user);
    assert_null(url.path);
    assert_null(url.query);
    tide_url_release(&url);

    assert_true(tide_url_parse(&url, "x://me@[fe80::1]/", FORM, &err));
    assert_string_equal(url.user, "me");
    assert_null(url.password);
    assert_string_equal(url.host, "fe80::1");
    assert_int_equal(url.port, 0);
    assert_string_equal(url.path, "");
    tide_url_release(&url);
}

static void tells_what_is_wrong_and_never_the_password(void **state)
{
    static const char *const cases[][2] = {
        {"x:hush", "no ://"},
        {"x://", "host"},
        {"x://u:hush@/db", "host"},
        {"x://u:hush@ho st/db", "host"},
        {"x://u:hush@[::1/db", "host"},
        {"x://u:hush@[::1]x/db", "host"},
        {"x://u:hush@host:/db", "port is not a number from 1 to 65535"},
        {"x://u:hush@host:0/db", "port"},
        {"x://u:hush@host:65536/db", "port"},
        {"x://u:hush@host:25x/db", "port"},
        {"x://u:hu%sh@host/db", "% itself is %25"},
        {"x://u:hush%00@host/db", "% itself is %25"},
        {"x://u:hush@hush@host/db", "@ is %40"},
    };
    struct tide_url url;
    struct tide_err err;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(tide_url_parse(&url, cases[i][0], FORM, &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
        if (!strstr(err.message, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], err.message);
        assert_null(strstr(err.message, "hush"));
        assert_null(url.text);
    }
}

struct target {
    const char *name;
    unsigned count;
};

static bool set_name(void *target, const char *value)
{
    ((struct target *)target)->name = value;
    return *value;
}

static bool set_count(void *target, const char *value)
{
    return tide_url_number(value, 1, 64, &((struct target *)target)->count);
}

static const struct tide_url_parameter known[] = {{"name", "a name", set_name},
                                                  {"count", "1 to 64", set_count}};

static bool parameters(struct tide_url *url, const char *text, struct target *target, struct tide_err *err)
{
    *target = (struct target){0};
    assert_true(tide_url_parse(url, text, FORM, err));
    return tide_url_parameters(url, known, 2, target, err);
}

static void sets_parameters(void **state)
{
    struct tide_url url;
    struct target target;
    struct tide_err err;

    (void)state;
    assert_true(parameters(&url, "x://host/?name=a%26b&count=64", &target, &err));
    assert_string_equal(target.name, "a&b");
    assert_int_equal(target.count, 64);
    tide_url_release(&url);
    assert_true(parameters(&url, "x://host?", &target, &err));
    tide_url_release(&url);
}

static void refuses_parameters_by_their_names(void **state)
{
    static const char *const cases[][2] = {
        {"x://host?nme=a", "no parameter 'nme'; there are name, count"},
        {"x://host?name=", "'name' is not a name"},
        {"x://host?count=65", "'count' is not 1 to 64"},
        {"x://host?count=6%", "'count' is not written NAME=VALUE"},
        {"x://host?count", "'count' is not written NAME=VALUE"},
    };
    struct tide_url url;
    struct target target;
    struct tide_err err;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(parameters(&url, cases[i][0], &target, &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
        if (!strstr(err.message, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], err.message);
        tide_url_release(&url);
    }
}

static void shows_neither_password_nor_parameters(void **state)
{
    char *shown = tide_url_show("mongodb://user:secret@one,two/files?replicaSet=rs0");

    (void)state;
    assert_string_equal(shown, "mongodb://user:***@one,two/files");
    free(shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redacts_passwords),     cmocka_unit_test(shows_neither_password_nor_parameters),
        cmocka_unit_test(takes_a_url_to_pieces), cmocka_unit_test(tells_what_is_wrong_and_never_the_password),
        cmocka_unit_test(sets_parameters),       cmocka_unit_test(refuses_parameters_by_their_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
