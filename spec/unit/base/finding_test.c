#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/finding.h"

static void expect_text(const struct tide_findings *findings, int style, const char *expected)
{
    struct tide_buf text;

    tide_buf_init(&text, 4096);
    tide_findings_text(findings, style, &text);
    assert_string_equal(text.data, expected);
    tide_buf_release(&text);
}

static void reads_words(void **state)
{
    struct tide_findings findings;

    (void)state;
    tide_findings_init(&findings);
    tide_findings_add_text(&findings, "setting",
                           "tidemill.lua:7: workers: expected a number\n  as in 4\n  or 5\n"
                           "TIDEMILL_SQL (x): no driver\n\nscripts/a/init.lua: No such file");
    assert_int_equal(findings.count, 3);
    assert_int_equal(findings.errors, 3);
    assert_string_equal(findings.list[0].file, "tidemill.lua");
    assert_int_equal(findings.list[0].line, 7);
    assert_string_equal(findings.list[0].message, "workers: expected a number");
    assert_string_equal(findings.list[0].more, "  as in 4\n  or 5");
    assert_null(findings.list[1].file);
    assert_string_equal(findings.list[1].message, "TIDEMILL_SQL (x): no driver");
    assert_string_equal(findings.list[2].file, "scripts/a/init.lua");
    assert_int_equal(findings.list[2].line, 0);
    tide_findings_release(&findings);
}

static void places_that_are_none_stay_in_the_message(void **state)
{
    static const char *const lines[] = {"a word: x", "a.lua:12", "a.lua:12:", "a.lua:x",
                                        "a.b c: x",  ": x",      ""};
    struct tide_findings findings;

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        tide_findings_init(&findings);
        tide_findings_add_text(&findings, "setting", lines[i]);
        assert_int_equal(findings.count, *lines[i] != '\0');
        if (findings.count) {
            assert_null(findings.list[0].file);
            assert_string_equal(findings.list[0].message, lines[i]);
        }
        tide_findings_release(&findings);
    }
}

static const struct tide_finding undefined = {.code = "undefined",
                                              .file = "a.lua",
                                              .line = 3,
                                              .column = 3,
                                              .width = 2,
                                              .source = "\t ab = \"1\"",
                                              .message = "undefined 'ab'",
                                              .more = "  known: cd"};

static void tells_people(void **state)
{
    struct tide_findings findings;

    (void)state;
    tide_findings_init(&findings);
    tide_findings_add(&findings, &undefined);
    expect_text(&findings, TIDE_FINDINGS_PLAIN,
                "a.lua:3: undefined 'ab'\n      3 | \t ab = \"1\"\n          \t ^~\n  known: cd");
    tide_findings_add(&findings,
                      &(struct tide_finding){.warning = true, .code = "queue", .message = "alone"});
    expect_text(&findings, TIDE_FINDINGS_COLUMNS,
                "a.lua:3:3: error: undefined 'ab'\n      3 | \t ab = \"1\"\n          \t ^~\n  known: cd\n"
                "warning: alone");
    assert_int_equal(findings.errors, 1);
    assert_int_equal(findings.warnings, 1);
    tide_findings_release(&findings);
}

static void tells_editors(void **state)
{
    struct tide_findings findings;
    struct tide_buf text;

    (void)state;
    tide_findings_init(&findings);
    tide_buf_init(&text, 4096);
    tide_findings_add(&findings, &undefined);
    tide_findings_json(&findings, &text);
    assert_string_equal(text.data, "[{\"file\":\"a.lua\",\"line\":3,\"column\":3,\"severity\":\"error\","
                                   "\"code\":\"undefined\",\"message\":\"undefined 'ab'\","
                                   "\"more\":\"  known: cd\"}]\n");
    tide_buf_release(&text);
    tide_findings_release(&findings);
}

static void tells_nothing_twice_and_not_without_end(void **state)
{
    struct tide_finding finding = undefined;
    struct tide_findings findings;

    (void)state;
    tide_findings_init(&findings);
    tide_findings_add(&findings, &undefined);
    tide_findings_add(&findings, &undefined);
    assert_int_equal(findings.errors, 1);
    for (finding.line = 10; finding.line < 10 + TIDE_FINDINGS_MAX; finding.line++)
        tide_findings_add(&findings, &finding);
    assert_int_equal(findings.count, TIDE_FINDINGS_MAX);
    assert_int_equal(findings.errors, TIDE_FINDINGS_MAX + 1);
    tide_findings_release(&findings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_words),
        cmocka_unit_test(places_that_are_none_stay_in_the_message),
        cmocka_unit_test(tells_people),
        cmocka_unit_test(tells_editors),
        cmocka_unit_test(tells_nothing_twice_and_not_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
