#include "http/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MAX_HEADERS 4

struct head_case {
    const char *method, *version;
    const char *headers[2 * MAX_HEADERS + 1]; /* name, value, ... */
    int status;
    int64_t length;
};

static int check(const struct head_case *c, struct tide_framing *framing)
{
    const char *const *h;

    tide_framing_init(framing);
    for (h = c->headers; h[0]; h += 2)
        tide_framing_header(framing, h[0], strlen(h[0]), h[1], strlen(h[1]));
    return tide_framing_finish(framing, c->method, c->version) ? 0 : framing->status;
}

static void heads_are_judged(void **state)
{
    static const struct head_case cases[] = {
        {"GET", "HTTP/1.1", {"Host", "a"}, 0, 0},
        {"GET", "HTTP/1.0", {NULL}, 0, 0},
        {"POST", "HTTP/1.1", {"Host", "a", "Content-Length", "12"}, 0, 12},
        {"POST", "HTTP/1.1", {"Host", "a", "content-length", "0"}, 0, 0},
        {"POST", "HTTP/1.1", {"Host", "a", "Transfer-Encoding", "Chunked"}, 0, -1},
        {"POST", "HTTP/1.1", {"Host", "a", "Expect", "100-Continue", "Content-Length", "1"}, 0, 1},
        {"GET", "HTTP/1.1", {"X-Tab", "a\tb", "Host", "\xc3\xa4"}, 0, 0},
        {"GET", "HTTP/1.1", {NULL}, 400, 0},
        {"GET", "HTTP/1.1", {"Host", "a", "Host", "a"}, 400, 0},
        {"GET", "HTTP/1.2", {"Host", "a"}, 505, 0},
        {"G(T", "HTTP/1.1", {"Host", "a"}, 400, 0},
        {"", "HTTP/1.1", {"Host", "a"}, 400, 0},
        {"POST", "HTTP/1.1", {"Host", "a", "Content-Length", "5", "Content-Length", "5"}, 400, 0},
        {"POST", "HTTP/1.1", {"Host", "a", "Content-Length", "5", "Transfer-Encoding", "chunked"}, 400, 0},
        {"POST", "HTTP/1.1", {"Host", "a", "Content-Length", "5, 5"}, 400, 0},
        {"POST", "HTTP/1.1", {"Host", "a", "Content-Length", "+5"}, 400, 0},
        {"POST", "HTTP/1.1", {"Host", "a", "Content-Length", "-1"}, 400, 0},
        {"POST", "HTTP/1.1", {"Host", "a", "Content-Length", ""}, 400, 0},
        {"POST", "HTTP/1.1", {"Host", "a", "Content-Length", "9223372036854775808"}, 400, 0},
        {"POST", "HTTP/1.1", {"Host", "a", "Transfer-Encoding", "gzip, chunked"}, 400, 0},
        {"POST",
         "HTTP/1.1",
         {"Host", "a", "Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"},
         400,
         0},
        {"POST", "HTTP/1.1", {"Host", "a", "Transfer-Encoding", "identity"}, 400, 0},
        {"POST", "HTTP/1.0", {"Transfer-Encoding", "chunked"}, 400, 0},
        {"POST", "HTTP/1.1", {"Host", "a", "Expect", "a-pony"}, 417, 0},
        {"GET", "HTTP/1.1", {"Host", "a", "Content-Length ", "5"}, 400, 0},
        {"GET", "HTTP/1.1", {"Host", "a", "X\x01", "5"}, 400, 0},
        {"GET", "HTTP/1.1", {"Host", "a", "", "5"}, 400, 0},
        {"GET", "HTTP/1.1", {"Host", "a", "X", "a\x01z"}, 400, 0},
        {"GET", "HTTP/1.1", {"Host", "a", "X", "a\rb"}, 400, 0},
        {"GET", "HTTP/1.1", {"Host", "a", "X", "a\x7f"}, 400, 0},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tide_framing framing;
        int status = check(&cases[i], &framing);

        if (status != cases[i].status)
            fail_msg("case %zu: %d, not %d (%s)", i, status, cases[i].status,
                     framing.reason ? framing.reason : "");
        if (status == 0) {
            assert_int_equal(framing.content_length, cases[i].length);
            assert_int_equal(framing.has_body, cases[i].length != 0);
        } else {
            assert_non_null(framing.reason);
        }
    }
}

static void expectation_needs_http_1_1(void **state)
{
    static const struct head_case old = {
        "POST", "HTTP/1.0", {"Expect", "100-continue", "Content-Length", "1"}, 0, 1};
    static const struct head_case now = {
        "POST", "HTTP/1.1", {"Host", "a", "Expect", "100-continue", "Content-Length", "1"}, 0, 1};
    struct tide_framing framing;

    (void)state;
    assert_int_equal(check(&old, &framing), 0);
    assert_false(framing.expect_continue);
    assert_int_equal(check(&now, &framing), 0);
    assert_true(framing.expect_continue);
}

static void targets_are_split(void **state)
{
    static const struct {
        const char *target, *path, *query; /* path NULL: refused */
    } cases[] = {
        {"/", "/", ""},
        {"/a/b?x=1&y", "/a/b", "x=1&y"},
        {"/a%20b+c/%C3%A4", "/a b+c/\xc3\xa4", ""},
        {"/?", "/", ""},
        {"/a?b?c", "/a", "b?c"},
        {"/...", "/...", ""},
        {"/a/.b/..c", "/a/.b/..c", ""},
        {"http://host:80/a?b", "/a", "b"},
        {"HTTPS://host", "/", ""},
        {"http://host?q", "/", "q"},
        {"", NULL, NULL},
        {"*", NULL, NULL},
        {"a", NULL, NULL},
        {"ftp://host/a", NULL, NULL},
        {"http:///a", NULL, NULL},
        {"/a b", NULL, NULL},
        {"/a#b", NULL, NULL},
        {"/a\\b", NULL, NULL},
        {"/a\x01", NULL, NULL},
        {"/a?\x7f", NULL, NULL},
        {"/a%2fb", NULL, NULL},
        {"/a%5Cb", NULL, NULL},
        {"/..%2Fb", NULL, NULL},
        {"/a%00b", NULL, NULL},
        {"/a%0d%0ab", NULL, NULL},
        {"/a%09b", NULL, NULL},
        {"/a%zz", NULL, NULL},
        {"/a%4", NULL, NULL},
        {"/.", NULL, NULL},
        {"/..", NULL, NULL},
        {"/a/../b", NULL, NULL},
        {"/a/./b", NULL, NULL},
        {"/a/%2e%2E/b", NULL, NULL},
        {"/a/%2e", NULL, NULL},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[64];
        const char *query = NULL;
        const char *fault = tide_framing_target(cases[i].target, path, &query);

        if (!fault != (cases[i].path != NULL))
            fail_msg("\"%s\": %s", cases[i].target, fault ? fault : "taken");
        if (!fault) {
            assert_string_equal(path, cases[i].path);
            assert_string_equal(query, cases[i].query);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_judged),
        cmocka_unit_test(expectation_needs_http_1_1),
        cmocka_unit_test(targets_are_split),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
