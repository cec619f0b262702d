/* Tests core/script: scripts that compute on and on. */
#include "script/fixture.h"

#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define CPU_MS 100

static void expect_stopped(struct world *world, const char *body, const char *place)
{
    char source[512];

    snprintf(source, sizeof source, MAIN("\n%s"), body);
    run(world, source);
    if (world->end != TIDE_TASK_RAISED || !strstr(world->result, place) ||
        !strstr(world->result, "used 0.1 s of CPU time without a wait"))
        fail_msg("%s: %s", body, world->result);
}

static void is_stopped_wherever_it_is(void **data)
{
    static const char *const bodies[] = {
        "while true do end",
        "repeat until false",
        "::again:: goto again",
        "for i = 1, 1e18 do end",
        "local x = 0 while true do x = x + 1 end",
        "local t = { 0 } while true do t[1] = t[1] + 1 end",
        "for _ in function() return 1 end do end",
        "local t = {} for i = 1, 100 do t[i] = i end while true do for k, v in pairs(t) do end end",
        "local function f() return f() end f()",
        "local function f(n) return n == 0 and 0 or 1 + f(n - 1) end while true do f(100) end",
        "while true do tostring(1) end",
        "while true do local s = ('x'):rep(100) .. tostring({}) end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() return 1 end) end",
        "while true do xpcall(error, function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "while true do pcall(error, 'x') end",
        "while true do coroutine.wrap(function() end)() end",
        "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        "while true do coroutine.resume(coroutine.create(function() coroutine.yield() end)) end",
        "local function f() while true do pcall(coroutine.wrap(f)) end end f()",
        "local function f() coroutine.wrap(f)() end while true do pcall(f) end",
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() "
        "end",
        "local t = setmetatable({}, { __index = function(s, k) return s[k] end }) "
        "while true do pcall(function() return t.x end) end",
        "local t = setmetatable({}, { __lt = function() while true do end end }) return t < t",
        "('x'):gsub('x', function() while true do end end)",
        "while true do ('x'):rep(1000):gsub('x', 'y') end",
        "while true do string.format('%s %d', 'x', 1) end",
        "local t = {} for i = 1, 1000 do t[i] = 1 end while true do table.concat(t) end",
        "local t = {} for i = 1, 1000 do t[i] = i end while true do table.sort(t, function(a, b) return a > "
        "b end) "
        "end",
        "table.sort({ 1, 2, 3 }, function() while true do end end)",
        "assert(load('while true do end'))()",
    };
    struct world *world = *data;

    world->cpu_ms = CPU_MS;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        expect_stopped(world, bodies[i], "init.lua:2: ");
        close_state(world);
    }
}

static void says_where_it_was_first(void **data)
{
    struct world *world = *data;

    world->cpu_ms = CPU_MS;
    expect_stopped(world, "local function f()\nwhile true do end\nend\nwhile true do pcall(f) end",
                   "init.lua:3: ");
}

static void its_state_goes_on(void **data)
{
    struct world *world = *data;

    world->cpu_ms = CPU_MS;
    load_good(world, "local again rawset(_G, 'main', function()\n"
                     "if again then local s = 0 for i = 1, 1e6 do s = s + i end sleep(1) return 'done' end\n"
                     "again = true while true do end end)");
    start(world, 0);
    assert_int_equal(world->end, TIDE_TASK_RAISED);
    start(world, 0);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_string_equal(world->result, "done");
}

static void is_stopped_twice(void **data)
{
    struct world *world = *data;

    world->cpu_ms = CPU_MS;
    expect_stopped(world, "while true do end", "init.lua:2: ");
    start(world, 0);
    assert_int_equal(world->ended, 2);
    assert_non_null(strstr(world->result, "init.lua:2: "));
}

static void a_wait_begins_anew(void **data)
{
    struct world *world = *data;

    world->cpu_ms = 1000;
    run(world, MAIN("for i = 1, 3 do local t = os.clock() while os.clock() < t + 0.5 do end sleep(1) end "
                    "return 'done'"));
    assert_string_equal(world->result, "done");
}

static void a_state_beside_it_is_left_alone(void **data)
{
    struct world *world = *data, *other;
    void *beside;

    set_up(&beside);
    other = beside;
    tide_budget_free(other->budget);
    other->budget = world->budget;
    world->cpu_ms = other->cpu_ms = CPU_MS;
    run(other, MAIN("local s = 0 for i = 1, 1e6 do s = s + i end return 'done'"));
    expect_stopped(world, "while true do end", "init.lua:2: ");
    start(other, 0);
    assert_string_equal(other->result, "done");
    start(world, 0);
    assert_int_equal(world->end, TIDE_TASK_RAISED);
    other->budget = NULL;
    tear_down(&beside);
}

/* ---- the second step ---- */

static int run_in_child(const char *body, char *said, size_t size)
{
    int pipe_fds[2], status;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(pipe_fds), 0);
    pid = fork();
    if (pid == 0) {
        void *data;
        struct tide_log log;
        char source[512];

        set_up(&data);
        tide_log_init(&log, pipe_fds[1], TIDE_LOG_JSON, TIDE_LOG_INFO, "test");
        ((struct world *)data)->log = &log;
        ((struct world *)data)->cpu_ms = CPU_MS;
        snprintf(source, sizeof source, MAIN("\n%s"), body);
        run(data, source);
        _exit(0);
    }
    close(pipe_fds[1]);
    n = read(pipe_fds[0], said, size - 1);
    said[n > 0 ? n : 0] = '\0';
    close(pipe_fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void what_does_not_stop_ends_its_process(void **data)
{
    static const char *const bodies[] = {
        "local found = string.find(('a'):rep(1e5), ('a*'):rep(20) .. 'b')",
        "pcall(string.find, ('a'):rep(1e5), ('.-'):rep(20) .. 'b')",
        "coroutine.wrap(function() string.match(('a'):rep(1e5), ('a*'):rep(20) .. 'b') end)()",
        "local s = (('a'):rep(1e5):gsub(('a*'):rep(20) .. 'b', ''))",
    };
    char said[4096];

    (void)data;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        int status = run_in_child(bodies[i], said, sizeof said);
        if (status != EX_SOFTWARE || !strstr(said, "init.lua:2\"") || !strstr(said, "\"handler\":\"main\"") ||
            !strstr(said, "\"bundle\":\"test\""))
            fail_msg("%s: %d %s", bodies[i], status, said);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(is_stopped_wherever_it_is),
        T(says_where_it_was_first),
        T(its_state_goes_on),
        T(is_stopped_twice),
        T(a_wait_begins_anew),
        T(a_state_beside_it_is_left_alone),
        cmocka_unit_test(what_does_not_stop_ends_its_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
