#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static int ends[2];
static char line[70000];

static int setup(void **state)
{
    (void)state;
    if (pipe(ends) < 0)
        return -1;
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    return fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

static int teardown(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* What was logged since the last call; NULL: nothing. */
static const char *logged(void)
{
    ssize_t n = read(ends[0], line, sizeof line - 1);

    if (n <= 0)
        return NULL;
    line[n] = '\0';
    return line;
}

static void writes_json_to_a_pipe(void **state)
{
    struct tide_log log;
    const char *text;

    (void)state;
    tide_log_init(&log, ends[1], TIDE_LOG_AUTO, TIDE_LOG_INFO, "worker-1");
    tide_log_event(&log, TIDE_LOG_WARN, "a \"quoted\" event", tide_log_str("path", "/a\nb"),
                   tide_log_str("left_out", NULL), tide_log_int("count", -5), tide_log_num("seconds", 0.25),
                   tide_log_seconds("took", 1000042999), tide_log_bool("ok", false),
                   tide_log_json("list", "[1,2]"), tide_log_json("none", NULL));
    text = logged();
    assert_memory_equal(text, "{\"time\":\"20", 11);
    text = strstr(text, "\",\"level\"");
    assert_string_equal(text,
                        "\",\"level\":\"warn\",\"process\":\"worker-1\",\"event\":\"a \\\"quoted\\\" event\","
                        "\"path\":\"/a\\nb\",\"count\":-5,\"seconds\":0.25,"
                        "\"took\":1.000042,\"ok\":false,\"list\":[1,2]}\n");
}

static void writes_words_for_people(void **state)
{
    struct tide_log log;
    const char *text;

    (void)state;
    tide_log_init(&log, ends[1], TIDE_LOG_HUMAN, TIDE_LOG_DEBUG, "supervisor");
    tide_log_event(&log, TIDE_LOG_INFO, "worker started", tide_log_int("pid", 7),
                   tide_log_str("bundle", "two words\033[31m"));
    text = logged();
    assert_string_equal(text + 12, " info  worker started  pid=7  bundle=\"two words\\u001b[31m\"\n");
}

static void drops_what_is_below_its_level(void **state)
{
    struct tide_log log;

    (void)state;
    tide_log_init(&log, ends[1], TIDE_LOG_JSON, TIDE_LOG_WARN, "x");
    tide_log_event(&log, TIDE_LOG_INFO, "too quiet", tide_log_int("n", 1));
    assert_null(logged());
    tide_log_event(&log, TIDE_LOG_ERROR, "loud", tide_log_int("n", 1));
    assert_non_null(logged());
    tide_log_event(NULL, TIDE_LOG_ERROR, "nobody", tide_log_int("n", 1));
    assert_null(logged());
}

static void an_event_has_a_limit(void **state)
{
    struct tide_log log;
    char *big = malloc(100000);
    const char *text;

    (void)state;
    memset(big, 'x', 99999);
    big[99999] = '\0';
    tide_log_init(&log, ends[1], TIDE_LOG_JSON, TIDE_LOG_INFO, "x");
    tide_log_event(&log, TIDE_LOG_INFO, "huge", tide_log_str("who", "me"), tide_log_str("text", big));
    text = logged();
    assert_true(strlen(text) < 300);
    assert_non_null(strstr(text, "\"event\":\"huge\",\"who\":\"me\",\"text\":\"99999 bytes, left out\"}"));
    tide_log_event(&log, TIDE_LOG_INFO, big, tide_log_str("who", "me"));
    text = logged();
    assert_true(strlen(text) < 500);
    assert_non_null(strstr(text, "xxx\",\"who\":\"me\"}"));
    free(big);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void gathers_lines_until_they_are_due(void **state)
{
    struct tide_log_field field = tide_log_int("n", 1);
    struct tide_log log;
    const char *text;

    (void)state;
    tide_log_init(&log, ends[1], TIDE_LOG_JSON, TIDE_LOG_INFO, "worker-1");
    tide_log_gather(&log, TIDE_LOG_INFO, "at once", &field, 1);
    assert_non_null(strstr(logged(), "at once"));
    assert_true(tide_log_batch_new(&log));
    tide_log_gather(&log, TIDE_LOG_DEBUG, "too detailed", &field, 1);
    tide_log_gather(&log, TIDE_LOG_INFO, "first", &field, 1);
    assert_null(logged());
    tide_log_flush(&log);
    assert_non_null(strstr(logged(), "first"));
    tide_log_flush(&log);
    assert_null(logged());

    tide_log_gather(&log, TIDE_LOG_INFO, "second", &field, 1);
    tide_log_event(&log, TIDE_LOG_INFO, "third", tide_log_int("n", 2)); /* takes along what came before it */
    text = strstr(logged(), "second");
    assert_non_null(text);
    assert_non_null(strstr(text, "third"));

    tide_log_gather(&log, TIDE_LOG_INFO, "fourth", &field, 1);
    tide_log_batch_free(&log);
    assert_non_null(strstr(logged(), "fourth"));
}

static void gathers_no_more_than_a_pipe_keeps_together(void **state)
{
    static char large[10000];
    struct tide_log_field field = tide_log_str("text", large);
    struct tide_log log;
    const char *text;

    (void)state;
    memset(large, 'x', sizeof large - 1);
    tide_log_init(&log, ends[1], TIDE_LOG_JSON, TIDE_LOG_INFO, "worker-1");
    assert_true(tide_log_batch_new(&log));
    large[3000] = '\0';
    tide_log_gather(&log, TIDE_LOG_INFO, "first", &field, 1);
    tide_log_gather(&log, TIDE_LOG_INFO, "second", &field, 1);
    text = logged();
    assert_non_null(strstr(text, "first"));
    assert_null(strstr(text, "second"));
    large[3000] = 'x';
    tide_log_gather(&log, TIDE_LOG_INFO, "third", &field, 1); /* longer than all that is gathered */
    text = strstr(logged(), "second");
    assert_non_null(text);
    assert_non_null(strstr(text, "third"));
    tide_log_batch_free(&log);
    assert_null(logged());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_json_to_a_pipe),
        TEST(writes_words_for_people),
        TEST(drops_what_is_below_its_level),
        TEST(an_event_has_a_limit),
        TEST(gathers_lines_until_they_are_due),
        TEST(gathers_no_more_than_a_pipe_keeps_together),
    };
    return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
