#include "loop.h"

#include "loop/timer.h"

#define HOUR 3600000

static uv_loop_t loop;
static int files_before;
static struct tide_timers timers;
static char ran[16]; /* the letters of the timers that were due, in order */

static int setup(void **state)
{
    (void)state;
    files_before = loop_open(&loop);
    tide_timers_init(&timers);
    memset(ran, 0, sizeof ran);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_close(&loop, files_before);
    return 0;
}

static void on_due(void *arg)
{
    ran[strlen(ran)] = *(char *)arg;
}

static struct tide_timer *timer_new(struct tide_timers *among, const char *letter)
{
    struct tide_timer *timer = tide_timer_new(&loop, among, on_due, (void *)letter);

    assert_non_null(timer);
    return timer;
}

static void runs_once_and_again_when_started_again(void **state)
{
    struct tide_timer *timer = timer_new(NULL, "a");

    (void)state;
    tide_timer_start(timer, HOUR);
    tide_timer_start(timer, 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(ran, "a");
    tide_timer_start(timer, 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(ran, "aa");
    tide_timer_start(timer, HOUR);
    tide_timer_stop(timer);
    uv_run(&loop, UV_RUN_DEFAULT);
    tide_timer_free(timer);
    tide_timer_free(NULL);
}

static void those_in_a_list_are_due_as_it_is_moved_on(void **state)
{
    struct tide_timer *alone = timer_new(NULL, "x"), *late = timer_new(&timers, "c"),
                      *first = timer_new(&timers, "a"), *second = timer_new(&timers, "b"),
                      *stopped = timer_new(&timers, "y");

    (void)state;
    assert_int_equal(tide_timers_next(&timers), -1);
    tide_timer_start(alone, HOUR);
    tide_timer_start(late, 3 * HOUR);
    tide_timer_start(first, HOUR);
    tide_timer_start(second, HOUR);
    tide_timer_start(stopped, HOUR / 2);
    assert_in_range(tide_timers_next(&timers), HOUR / 2 - 60000, HOUR / 2);
    tide_timer_stop(stopped);
    tide_timers_advance(&timers, HOUR);
    assert_int_equal(tide_timers_next(&timers), 0);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_string_equal(ran, "ab");
    assert_in_range(tide_timers_next(&timers), 2 * HOUR - 60000, 2 * HOUR);
    tide_timers_advance(&timers, 5 * HOUR);
    tide_timer_free(late); /* while it is due */
    assert_int_equal(tide_timers_next(&timers), -1);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_string_equal(ran, "ab");
    tide_timer_free(alone);
    tide_timer_free(first);
    tide_timer_free(second);
    tide_timer_free(stopped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_once_and_again_when_started_again, setup, teardown),
        cmocka_unit_test_setup_teardown(those_in_a_list_are_due_as_it_is_moved_on, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
