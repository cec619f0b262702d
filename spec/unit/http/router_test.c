#include "http/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct tide_router *build(const char *const *specs)
{
    struct tide_router *router = tide_router_new();
    struct tide_err err;
    int i, there;

    assert_non_null(router);
    for (i = 0; specs[i]; i++)
        if (!tide_router_add(router, specs[i], i, &there, &err))
            fail_msg("%s", err.message);
    return router;
}

static const char *const routes[] = {
    "GET /",                       /* 0 */
    "GET /jobs",                   /* 1 */
    "GET /jobs/{id}",              /* 2 */
    "GET /jobs/stats",             /* 3 */
    "DELETE /jobs/{job}",          /* 4: another name for the same place */
    "POST /jobs/{id}/retry",       /* 5 */
    "GET /files/{rest*}",          /* 6 */
    "GET /files/index",            /* 7 */
    "HEAD /jobs",                  /* 8 */
    "OPTIONS /a/{x}/c",            /* 9 */
    "PUT /a/b/d",                  /* 10 */
    "PATCH /users/{name}/{field}", /* 11 */
    NULL,
};

static void routes_are_found(void **state)
{
    static const struct {
        const char *method, *path;
        int value;
        const char *params; /* name=value, ... */
    } cases[] = {
        {"GET", "/", 0, ""},
        {"HEAD", "/", 0, ""},
        {"GET", "/jobs", 1, ""},
        {"HEAD", "/jobs", 8, ""},
        {"GET", "/jobs/7", 2, "id=7 "},
        {"HEAD", "/jobs/7", 2, "id=7 "},
        {"GET", "/jobs/stats", 3, ""},
        {"DELETE", "/jobs/stats", 4, "job=stats "}, /* the exact one has no DELETE */
        {"DELETE", "/jobs/7", 4, "job=7 "},
        {"POST", "/jobs/7/retry", 5, "id=7 "},
        {"GET", "/files/a/b c/d", 6, "rest=a/b c/d "},
        {"GET", "/files/index", 7, ""},
        {"GET", "/files/index/x", 6, "rest=index/x "},
        {"OPTIONS", "/a/b/c", 9, "x=b "}, /* out of the exact /a/b again */
        {"PUT", "/a/b/d", 10, ""},
        {"PATCH", "/users/me/mail", 11, "name=me field=mail "},
    };
    struct tide_router *router = build(routes);
    size_t i, p;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tide_route_match match;
        char params[200] = "";

        if (tide_router_find(router, cases[i].method, cases[i].path, &match) != TIDE_ROUTE_FOUND)
            fail_msg("%s %s was not found", cases[i].method, cases[i].path);
        assert_int_equal(match.value, cases[i].value);
        for (p = 0; p < match.params; p++)
            snprintf(params + strlen(params), sizeof params - strlen(params), "%s=%.*s ", match.param[p].name,
                     (int)match.param[p].len, match.param[p].start);
        assert_string_equal(params, cases[i].params);
    }
    tide_router_free(router);
}

static void others_are_not(void **state)
{
    static const struct {
        const char *method, *path, *allow; /* NULL: path unknown */
    } cases[] = {
        {"GET", "/nothing", NULL},
        {"GET", "/jobs/", NULL},
        {"GET", "/jobs/7/", NULL},
        {"GET", "/jobs/7/other", NULL},
        {"GET", "/files", NULL},
        {"GET", "/files/", NULL},
        {"GET", "//", NULL},
        {"GET", "/users//mail", NULL},
        {"POST", "/jobs", "GET, HEAD, OPTIONS"},
        {"POST", "/jobs/7", "GET, HEAD, DELETE, OPTIONS"},
        {"PUT", "/jobs/stats", "GET, HEAD, DELETE, OPTIONS"},
        {"BREW", "/jobs/7/retry", "POST, OPTIONS"},
        {"get", "/jobs", "GET, HEAD, OPTIONS"},
        {"PATCH", "/files/a/b", "GET, HEAD, OPTIONS"},
    };
    struct tide_router *router = build(routes);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tide_route_match match;
        enum tide_route_found found = tide_router_find(router, cases[i].method, cases[i].path, &match);

        if (found != (cases[i].allow ? TIDE_ROUTE_METHOD : TIDE_ROUTE_PATH))
            fail_msg("%s %s: %d", cases[i].method, cases[i].path, (int)found);
        if (cases[i].allow)
            assert_string_equal(match.allow, cases[i].allow);
    }
    tide_router_free(router);
}

static void bad_specs_are_refused(void **state)
{
    static const struct {
        const char *spec, *code, *says;
    } cases[] = {
        {"", TIDE_ERR_INVALID, "must begin with"},
        {"GET", TIDE_ERR_INVALID, "begins with \"/\""},
        {"FETCH /", TIDE_ERR_INVALID, "must begin with"},
        {"get /", TIDE_ERR_INVALID, "must begin with"},
        {"GET jobs", TIDE_ERR_INVALID, "begins with \"/\""},
        {"GET /a b", TIDE_ERR_INVALID, "no space"},
        {"GET /a//b", TIDE_ERR_INVALID, "//"},
        {"GET /a/./b", TIDE_ERR_INVALID, "nothing ever reaches this"},
        {"GET /a/..", TIDE_ERR_INVALID, "nothing ever reaches this"},
        {"GET /a?b", TIDE_ERR_INVALID, "?"},
        {"GET /a%20b", TIDE_ERR_INVALID, "%"},
        {"GET /{}", TIDE_ERR_INVALID, "not {name}"},
        {"GET /{1}", TIDE_ERR_INVALID, "not {name}"},
        {"GET /{a", TIDE_ERR_INVALID, "not {name}"},
        {"GET /x{a}", TIDE_ERR_INVALID, "exactly {name}"},
        {"GET /{a}x", TIDE_ERR_INVALID, "not {name}"},
        {"GET /*", TIDE_ERR_INVALID, "exactly {name}"},
        {"GET /jobs/:id", TIDE_ERR_INVALID, "it is written {id}"},
        {"GET /jobs/<id>", TIDE_ERR_INVALID, "it is written {id}"},
        {"GET /{a*}/b", TIDE_ERR_INVALID, "last segment"},
        {"GET /{a}/{a}", TIDE_ERR_INVALID, "twice"},
        {"GET /{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", TIDE_ERR_INVALID, "more than 8"},
        {"GET /jobs/{other}", TIDE_ERR_EXISTS, "there already"},
        {"GET /", TIDE_ERR_EXISTS, "there already"},
        {"GET /files/{all*}", TIDE_ERR_EXISTS, "there already"},
    };
    struct tide_router *router = build(routes);
    struct tide_err err;
    size_t i;
    int there = -1;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (tide_router_add(router, cases[i].spec, 99, &there, &err))
            fail_msg("\"%s\" was taken", cases[i].spec);
        assert_string_equal(err.code, cases[i].code);
        if (!strstr(err.message, cases[i].says))
            fail_msg("%s", err.message);
    }
    assert_string_equal(routes[there], "GET /files/{rest*}");
    tide_router_free(router);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_found),
        cmocka_unit_test(others_are_not),
        cmocka_unit_test(bad_specs_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
