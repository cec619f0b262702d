#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "http/url.h"

static void decodes(void **state)
{
    static const struct {
        const char *in;
        enum tide_url_part part;
        const char *out;
    } cases[] = {
        {"", TIDE_URL_PATH, ""},
        {"plain", TIDE_URL_PATH, "plain"},
        {"a%20b", TIDE_URL_PATH, "a b"},
        {"a+b", TIDE_URL_PATH, "a+b"},
        {"a+b%2B", TIDE_URL_FORM, "a b+"},
        {"%C3%a9", TIDE_URL_PATH, "\xC3\xA9"},
        {"%2e%2E%2f", TIDE_URL_PATH, "../"},
        {"%25%32%35", TIDE_URL_PATH, "%25"},
        {"%01%7F%FF", TIDE_URL_PATH, "\x01\x7F\xFF"},
        {"\xC3\xA9", TIDE_URL_PATH, "\xC3\xA9"},
    };
    struct tide_err err = {0};
    char out[64];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(out, 'x', sizeof out);
        assert_true(tide_url_decode(cases[i].in, strlen(cases[i].in), cases[i].part, out, &err));
        assert_string_equal(out, cases[i].out);
    }
}

static void refuses_what_is_no_encoding(void **state)
{
    static const char *const cases[] = {"%00",  "a%00b", "%",    "%4",    "%4g", "%g4",
                                        "% 41", "a b",   "a\nb", "a\x7F", "\t"};
    struct tide_err err;
    char out[64];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(&err, 0, sizeof err);
        assert_false(tide_url_decode(cases[i], strlen(cases[i]), TIDE_URL_PATH, out, &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
    }
    assert_false(tide_url_decode("a\0b", 3, TIDE_URL_PATH, out, &err));
    /* The text ends before the digits that follow it in memory. */
    assert_false(tide_url_decode("%41", 2, TIDE_URL_PATH, out, &err));
}

static void decodes_in_place(void **state)
{
    char text[] = "%41%42c";
    struct tide_err err;

    (void)state;
    assert_true(tide_url_decode(text, strlen(text), TIDE_URL_PATH, text, &err));
    assert_string_equal(text, "ABc");
}

static void encodes(void **state)
{
    struct tide_buf buf;

    (void)state;
    tide_buf_init(&buf, 32);
    assert_true(tide_url_encode(&buf, "a b/~\xC3\xA9&+", 9));
    assert_string_equal(buf.data, "a%20b%2F~%C3%A9%26%2B");
    assert_false(tide_url_encode(&buf, "////////", 8));
    tide_buf_release(&buf);
}

static void parses_a_query(void **state)
{
    struct tide_query query;
    struct tide_err err;
    const char *text = "fid=65&q=a+b%26c&&flag&e=&fid=2&x=1=2";

    (void)state;
    assert_true(tide_query_parse(&query, text, strlen(text), 6, &err));
    assert_int_equal(query.count, 6);
    assert_string_equal(tide_query_get(&query, "fid"), "65");
    assert_string_equal(tide_query_get(&query, "q"), "a b&c");
    assert_string_equal(tide_query_get(&query, "flag"), "");
    assert_string_equal(tide_query_get(&query, "e"), "");
    assert_string_equal(tide_query_get(&query, "x"), "1=2");
    assert_string_equal(query.pairs[4].name, "fid");
    assert_string_equal(query.pairs[4].value, "2");
    assert_null(tide_query_get(&query, "none"));
    tide_query_release(&query);
}

static void an_empty_query_holds_nothing(void **state)
{
    struct tide_query query;
    struct tide_err err;

    (void)state;
    assert_true(tide_query_parse(&query, "", 0, 0, &err));
    assert_int_equal(query.count, 0);
    assert_true(tide_query_parse(&query, "&&&", 3, 0, &err));
    assert_int_equal(query.count, 0);
    assert_null(query.memory);
    assert_null(tide_query_get(&query, "a"));
}

static void refuses_bad_queries(void **state)
{
    struct tide_query query;
    struct tide_err err;

    (void)state;
    assert_false(tide_query_parse(&query, "a=1&b=2&c=3", 11, 2, &err));
    assert_string_equal(err.code, TIDE_ERR_LIMIT);
    assert_false(tide_query_parse(&query, "a=1&=2", 6, 8, &err));
    assert_string_equal(err.code, TIDE_ERR_INVALID);
    assert_false(tide_query_parse(&query, "a=%zz", 5, 8, &err));
    assert_string_equal(err.code, TIDE_ERR_INVALID);
    assert_false(tide_query_parse(&query, "a%00=1", 6, 8, &err));
    assert_string_equal(err.code, TIDE_ERR_INVALID);
    assert_null(query.memory);
}

static void finds_the_port(void **state)
{
    (void)state;
    assert_int_equal(tide_url_port("http://127.0.0.1:5000"), 5000);
    assert_int_equal(tide_url_port("http://auth:5000/v1?x=a:9"), 5000);
    assert_int_equal(tide_url_port("HTTPS://auth/a:b"), 443);
    assert_int_equal(tide_url_port("http://auth"), 80);
    assert_int_equal(tide_url_port("http://[::1]:8081/x"), 8081);
    assert_int_equal(tide_url_port("http://[::1]"), 80);
    assert_int_equal(tide_url_port("http://auth:"), 0);
    assert_int_equal(tide_url_port("http://auth:99999"), 0);
    assert_int_equal(tide_url_port("ftp://auth:21"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(refuses_what_is_no_encoding),
        cmocka_unit_test(decodes_in_place),
        cmocka_unit_test(encodes),
        cmocka_unit_test(parses_a_query),
        cmocka_unit_test(an_empty_query_holds_nothing),
        cmocka_unit_test(refuses_bad_queries),
        cmocka_unit_test(finds_the_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
