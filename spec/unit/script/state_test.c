/* Tests core/script: states, tasks, waits. */
#include "script/fixture.h"

static void returns_at_once(void **data)
{
    struct world *world = *data;

    run(world, MAIN("return 'done'"));
    assert_int_equal(world->end, TIDE_TASK_RETURNED);
    assert_string_equal(world->result, "done");
}

static void waits_and_resumes(void **data)
{
    struct world *world = *data;

    run(world, MAIN("return sleep(1) .. sleep(1)"));
    assert_string_equal(world->result, "sleptslept");
    assert_int_equal(tide_state_pending(world->state), 0);
}

static void waits_through_pcall_and_own_coroutines(void **data)
{
    struct world *world = *data;

    run(world,
        MAIN("local gen = coroutine.wrap(function() coroutine.yield(sleep(1)); coroutine.yield('own') end) "
             "local _, a = pcall(gen) return a .. gen()"));
    assert_string_equal(world->result, "sleptown");
}

static void raises_with_traceback(void **data)
{
    struct world *world = *data;

    run(world, MAIN("sleep(1) error('boom')"));
    assert_int_equal(world->end, TIDE_TASK_RAISED);
    assert_non_null(strstr(world->result, "init.lua:1: boom"));
}

static void refuses_to_wait_at_load_and_in_callbacks(void **data)
{
    struct world *world = *data;
    struct tide_buf report;

    assert_false(load(world, "sleep(1)", &report));
    assert_non_null(strstr(report.data, "while a bundle loads"));
    tide_buf_release(&report);
    close_state(world);
    run(world, MAIN("return ('x'):gsub('x', function() sleep(1) end)"));
    assert_int_equal(world->end, TIDE_TASK_RAISED);
    assert_non_null(strstr(world->result, "string.gsub"));
}

static void expect_late(struct world *world, const char *source, const char *place)
{
    struct tide_buf report;

    close_state(world);
    world->load_ms = 150;
    assert_false(load(world, source, &report));
    if (!strstr(report.data, place) || !strstr(report.data, "did not end within 0.15 s of CPU time"))
        fail_msg("%s", report.data);
    tide_buf_release(&report);
}

static void ends_a_load_that_does_not_end(void **data)
{
    struct world *world = *data;

    expect_late(world, "local a = 1\nwhile true do end", "init.lua:2: ");
    expect_late(world, "local function f()\nwhile true do end\nend\nwhile true do pcall(f) end", "init.lua:");
    expect_late(world,
                "while true do local co = coroutine.wrap(function() while true do end end) pcall(co) end",
                "init.lua:1: ");
    expect_late(world, "assert(load('while true do end'))()", "init.lua:1: ");
    expect_late(world, "while true do local big = ('x'):rep(1e6) .. tostring({}) end", "init.lua:1: ");
    expect_late(world, "for i = 1, math.huge do ('x'):gsub('x', function() for k = 1, 1e9 do end end) end",
                "init.lua:1: ");
}

static void runs_on_after_the_time_of_the_load(void **data)
{
    struct world *world = *data;

    world->load_ms = 150;
    run(world, MAIN("local s, t = 0, os.clock() while os.clock() < t + 0.3 do for i = 1, 1e6 do s = s + i "
                    "end end return s > 0 and 'done'"));
    assert_string_equal(world->result, "done");
}

static void ends_at_its_deadline(void **data)
{
    struct world *world = *data;

    load_good(world, MAIN("sleep(60000)"));
    start(world, 20);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(world->end, TIDE_TASK_ENDED);
    assert_string_equal(world->result, "timeout");
    assert_int_equal(tide_state_pending(world->state), 0);
}

static void cancel_drops_the_late_result(void **data)
{
    struct world *world = *data;
    struct tide_err err;

    load_good(world, MAIN("sleep(60000)"));
    tide_err_set(&err, TIDE_ERR_CANCELED, false, "client gone");
    tide_task_cancel(start(world, 0), &err);
    assert_string_equal(world->result, "canceled");
    assert_int_equal(tide_state_pending(world->state), 1);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(tide_state_pending(world->state), 0);
}

static void state_may_go_before_its_ops(void **data)
{
    struct world *world = *data;

    load_good(world, MAIN("sleep(60000)"));
    start(world, 0);
    close_state(world);
    assert_int_equal(world->ended, 1);
}

static void caps_memory_and_goes_on(void **data)
{
    struct world *world = *data;

    run(world, MAIN("local ok, err = pcall(string.rep, 'x', 1e9) return tostring(ok) .. tostring(err)"));
    assert_string_equal(world->result, "falsenot enough memory");
}

static void sandbox_hides_what_is_dangerous(void **data)
{
    struct world *world = *data;
    struct tide_buf report;
    static const char *const names[] = {"io",        "os.execute", "ffi",         "debug.getinfo",
                                        "package",   "setfenv",    "string.dump", "loadfile",
                                        "dofile",    "jit",        "newproxy",    "collectgarbage",
                                        "os.getenv", "os.remove",  "loadstring"};
    char source[512];
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(source, sizeof source,
                 "local ok, v = pcall(load('return %s')) assert(not ok or v == nil, '%s is reachable')",
                 names[i], names[i]);
        load_good(world, source);
        close_state(world);
    }
    assert_false(load(world, "assert(load('\\27LJ'))", &report));
    tide_buf_release(&report);
}

static void reports_line_and_caret(void **data)
{
    struct world *world = *data;
    struct tide_buf report;

    assert_false(load(world, "local a = 1\nlocal b = a + cout\n", &report));
    assert_non_null(strstr(report.data, "init.lua:2: undefined global 'cout'\n      2 | local b = a + cout\n"
                                        "                        ^~~~"));
    tide_buf_release(&report);
    close_state(world);
    assert_false(load(world, "local x = = 3", &report));
    assert_non_null(strstr(report.data, "init.lua:1: unexpected symbol near '='"));
    tide_buf_release(&report);
}

static void requires_own_modules_only(void **data)
{
    struct world *world = *data;
    struct tide_buf report;

    write_file(world, "jobs.lua", "return { state = 'QUEUED' }");
    run(world, "local jobs = require 'jobs' " MAIN("return jobs.state"));
    assert_string_equal(world->result, "QUEUED");
    close_state(world);
    assert_false(load(world, "require '../../etc/passwd'", &report));
    tide_buf_release(&report);
    close_state(world);
    assert_false(load(world, "local m = require 'missing'", &report));
    assert_non_null(strstr(report.data, "missing.lua"));
    tide_buf_release(&report);
}

static void refuses_new_globals(void **data)
{
    struct world *world = *data;
    struct tide_buf report;

    assert_false(load(world, "total = 1", &report));
    assert_non_null(strstr(report.data, "write `local total"));
    tide_buf_release(&report);
}

static void reuses_coroutines(void **data)
{
    struct world *world = *data;
    size_t before;
    int i;

    load_good(world, MAIN("return 1"));
    start(world, 0);
    before = tide_state_memory(world->state);
    for (i = 0; i < 1000; i++)
        assert_null(start(world, 0));
    assert_int_equal(world->ended, 1001);
    assert_true(tide_state_memory(world->state) <= before + 1024);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(returns_at_once),
        T(waits_and_resumes),
        T(waits_through_pcall_and_own_coroutines),
        T(raises_with_traceback),
        T(refuses_to_wait_at_load_and_in_callbacks),
        T(ends_a_load_that_does_not_end),
        T(runs_on_after_the_time_of_the_load),
        T(ends_at_its_deadline),
        T(cancel_drops_the_late_result),
        T(state_may_go_before_its_ops),
        T(caps_memory_and_goes_on),
        T(sandbox_hides_what_is_dangerous),
        T(reports_line_and_caret),
        T(requires_own_modules_only),
        T(refuses_new_globals),
        T(reuses_coroutines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
