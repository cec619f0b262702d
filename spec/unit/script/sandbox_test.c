/* What a script may try in order to get out of its sandbox, or to bring the engine down. */
#include "script/fixture.h"

/* Runs main and expects it to return "contained"; what it raises is shown. */
static void expect_contained(struct world *world, const char *source)
{
    run(world, source);
    assert_string_equal(world->result, "contained");
    assert_int_equal(world->end, TIDE_TASK_RETURNED);
}

static void names_that_are_gone(void **data)
{
    static const char *const names[] = {"io",
                                        "ffi",
                                        "jit",
                                        "package",
                                        "module",
                                        "dofile",
                                        "loadfile",
                                        "loadstring",
                                        "newproxy",
                                        "setfenv",
                                        "getfenv",
                                        "gcinfo",
                                        "print",
                                        "collectgarbage",
                                        "string.dump",
                                        "os.execute",
                                        "os.exit",
                                        "os.getenv",
                                        "os.remove",
                                        "os.rename",
                                        "os.tmpname",
                                        "os.setlocale",
                                        "debug.getinfo",
                                        "debug.getregistry",
                                        "debug.sethook",
                                        "debug.getupvalue",
                                        "debug.setupvalue",
                                        "debug.getmetatable",
                                        "debug.setmetatable",
                                        "debug.getlocal",
                                        "debug.setfenv"};
    struct world *world = *data;
    char source[256];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(source, sizeof source,
                 "local value = _G for part in ('%s'):gmatch('%%w+') do "
                 "value = type(value) == 'table' and rawget(value, part) end assert(not value, '%s')",
                 names[i], names[i]);
        load_good(world, source);
        close_state(world);
    }
}

static void what_is_left_of_os_tells_the_time(void **data)
{
    expect_contained(
        *data,
        MAIN("for k in pairs(os) do assert(({ time = 1, clock = 1, date = 1, difftime = 1 })[k], k) end "
             "assert(os.time() > 0 and os.date('!%Y', 0) == '1970') return 'contained'"));
}

static void bytecode_is_refused_in_every_way(void **data)
{
    expect_contained(
        *data,
        MAIN("local code = '\\27LJ\\2\\8\\0' "
             "assert(not load(code)) assert(not load(code, 'x', 'b')) assert(not load(code, 'x', 'b', {})) "
             "local once = false "
             "assert(not load(function() if once then return nil end once = true return code end)) "
             "local bits = { '\\27', 'LJ', '\\2' } "
             "assert(not load(function() return table.remove(bits, 1) end, 'x', 'bt')) "
             "return 'contained'"));
}

static void load_gives_no_other_environment(void **data)
{
    expect_contained(*data, MAIN("local f = load('return a, _G, io', 'x', 't', { a = 1 }) "
                                 "local a, g, io = f() assert(a == 1 and g == nil and io == nil) "
                                 "assert(load('return _G')() == _G) "
                                 "assert(not pcall(load('return io'))) return 'contained'"));
}

/* ---- the engine's own Lua code shares the state: it must not use what scripts can change ---- */

static void the_methods_of_strings_are_the_engines(void **data)
{
    expect_contained(*data,
                     MAIN("assert(type(getmetatable('')) ~= 'table') "
                          "local seen = 0 "
                          "string.match = function(...) seen = seen + 1 return true end "
                          "string.find = function() seen = seen + 1 return nil end "
                          "string.gsub = function() seen = seen + 1 return '../../../../etc/passwd\\0' end "
                          "pcall(require, 'x') "
                          "assert(seen == 0, 'the engine called the script') return 'contained'"));
}

static void a_module_outside_cannot_be_named(void **data)
{
    struct world *world = *data;
    struct tide_buf report;

    assert_false(load(world,
                      "string.match = function() return true end "
                      "string.find = function() return nil end "
                      "string.gsub = function() return '/../../../../../../etc/passwd\\0' end "
                      "require('/../../../etc/passwd')",
                      &report));
    assert_null(strstr(report.data, "root:"));
    assert_non_null(strstr(report.data, "a module's name is"));
    tide_buf_release(&report);
}

static void globals_of_the_engine_are_not_the_scripts(void **data)
{
    struct world *world = *data;
    struct tide_buf report;

    assert_false(
        load(world,
             "local stolen = {} "
             "for _, name in ipairs { 'ipairs', 'pairs', 'error', 'type', 'setmetatable', 'tostring', "
             "'xpcall', 'pcall' } do "
             "  local real = _G[name] "
             "  _G[name] = function(...) stolen[#stolen + 1] = name return real(...) end "
             "end "
             "pcall(require, 'nothing') "
             "stolen = table.concat(stolen, ' ') "
             "assert(stolen == 'pcall', stolen) "
             "local x = undefined_name",
             &report));
    assert_non_null(strstr(report.data, "undefined global 'undefined_name'"));
    tide_buf_release(&report);
}

/* ---- coroutines ---- */

static void a_tasks_own_coroutine_is_out_of_reach(void **data)
{
    struct world *world = *data;

    expect_contained(world, MAIN("assert(coroutine.running() == nil) "
                                 "local own = coroutine.create(function() return coroutine.running() end) "
                                 "local ok, it = coroutine.resume(own) assert(ok and it == own) "
                                 "return 'contained'"));
}

static void a_task_cannot_resume_another(void **data)
{
    struct world *world = *data;

    load_good(world, "local other "
                     "rawset(_G, 'first', function() other = coroutine.running() return sleep(20) end) " MAIN(
                         "if not other then return 'contained' end "
                         "coroutine.resume(other, 'fake') coroutine.resume(other) coroutine.resume(other) "
                         "sleep(40) coroutine.resume(other, 1, 2, 3) return 'resumed'"));
    lua_getglobal(tide_state_main(world->state), "first");
    tide_task_start(world->state, 0, "first", (struct tide_task_limits){0}, on_end, world);
    start(world, 0);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(world->ended, 2);
}

static void resuming_what_waits_for_another_task(void **data)
{
    struct world *world = *data;

    load_good(world,
              "local shared = coroutine.create(function() return sleep(20), sleep(20) end) "
              "rawset(_G, 'first', function() local _, a = coroutine.resume(shared) return a end) " MAIN(
                  "local ok, a, b = coroutine.resume(shared, 'fake') return 'contained'"));
    lua_getglobal(tide_state_main(world->state), "first");
    tide_task_start(world->state, 0, "first", (struct tide_task_limits){0}, on_end, world);
    start(world, 0);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(world->ended, 2);
    assert_int_equal(tide_state_pending(world->state), 0);
}

static void yields_where_they_have_no_place(void **data)
{
    static const char *const bodies[] = {
        "table.sort({ 3, 2, 1 }, function(a, b) coroutine.yield() return a < b end)",
        "string.gsub('abc', '.', function() coroutine.yield() end)",
        "setmetatable({}, { __index = function() coroutine.yield() end }).x()",
        "tostring(setmetatable({}, { __tostring = function() coroutine.yield() end }))",
        "for _ in function() coroutine.yield() end do end",
        "coroutine.yield('wait', 'mark')",
        "xpcall(function() error('x') end, function() coroutine.yield() end) error('on')",
    };
    struct world *world = *data;
    char source[512];

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        snprintf(source, sizeof source, MAIN("%s return 'contained'"), bodies[i]);
        run(world, source);
        if (world->end == TIDE_TASK_RETURNED)
            fail_msg("%s: %s", bodies[i], world->result);
        assert_int_equal(world->end, TIDE_TASK_RAISED);
        close_state(world);
    }
}

/* ---- too deep, too large ---- */

static void depth_is_an_error(void **data)
{
    static const char *const bodies[] = {
        "local function f() return 1 + f() end f()",
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(s, k) return s[k .. 'x'] end "
        "return t.a",
        "local function f() string.gsub('a', 'a', f) end f()",
        "local function f() table.sort({ 2, 1 }, function(a, b) f() return a < b end) end f()",
        "local function f() return pcall(f) end f() error('deep')",
        "local function f() return coroutine.wrap(f)() end f()",
        "local t = setmetatable({}, { __tostring = function(s) return 'a' .. tostring(s) end }) tostring(t)",
        "local t = setmetatable({}, { __tostring = function(s) return 'a' .. tostring(s) end }) error(t)",
        "load('return ' .. ('('):rep(100000) .. ('\\n)'):rep(100000))() ",
        "load('return ' .. ('{'):rep(100000))()",
        "load(('if 1 then '):rep(50000))()",
        "local s = ('a?'):rep(100000) string.find(('a'):rep(100000), s) error('found')",
        "string.find(('a'):rep(300000), ('(a)'):rep(40))",
        "string.find('x', ('('):rep(1000))",
        "string.format('%99999d', 1)",
        "return unpack({}, 1, 1e8)",
        "return string.char(unpack({}, 1, 1e8))",
        "local function f(...) return f(1, ...) end f()",
        "return select(-1)",
        "error(nil)",
        "error()",
        "local t = {} t[0/0] = 1",
        "xpcall(function() error('x') end, function() error('again') end) error('on')",
    };
    struct world *world = *data;
    char source[512];

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        snprintf(source, sizeof source, MAIN("%s"), bodies[i]);
        run(world, source);
        if (world->end != TIDE_TASK_RAISED)
            fail_msg("%s: %s", bodies[i], world->result);
        close_state(world);
    }
}

static void memory_is_an_error(void **data)
{
    static const char *const bodies[] = {
        "return ('x'):rep(1e9)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
        "return table.concat({ ('x'):rep(6e6), ('y'):rep(6e6), ('z'):rep(6e6) })",
        "return ('x'):rep(6e6):gsub('x', 'xxxxxxxxx')",
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
        "local t = {} while true do t[#t + 1] = assert(load('return ' .. #t)) end",
        "local n = 0 return load(function() n = n + 1 return ('x'):rep(1e5) .. n end)",
        "local t = {} while true do t[#t + 1] = function() return t end end",
        "return os.date(('%c'):rep(1e6))",
        "return string.format(('%s'):rep(200), unpack((function() local t = {} for i = 1, 200 do t[i] = "
        "('x'):rep(1e5) "
        "end return t end)()))",
    };
    struct world *world = *data;
    char source[512];

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        snprintf(source, sizeof source, MAIN("%s"), bodies[i]);
        run(world, source);
        if (world->end != TIDE_TASK_RAISED || !strstr(world->result, "not enough memory"))
            fail_msg("%s: %s", bodies[i], world->result);
        /* and the state goes on */
        luaL_loadstring(tide_state_main(world->state), "return 'alive'");
        tide_task_start(world->state, 0, "after", (struct tide_task_limits){0}, on_end, world);
        assert_string_equal(world->result, "alive");
        assert_true(tide_state_memory(world->state) <= world->memory_max);
        close_state(world);
    }
}

/* What is no longer used does not count, however close to its cap the state lives. */
static void garbage_does_not_fill_the_cap(void **data)
{
    static const char *const bodies[] = {
        "for i = 1, 300 do local s = ('y'):rep(1e6) .. i end",
        "for i = 1, 200000 do local t = { i, tostring(i) } end",
        "for i = 1, 300 do local t = {} for k = 1, 10000 do t[k] = k end end",
        "for i = 1, 300 do local s = ('y'):rep(5e5) .. i sleep(0) end",
    };
    struct world *world = *data;
    char source[512];

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        snprintf(source, sizeof source,
                 "local kept = {} for i = 1, 90 do kept[i] = ('x'):rep(100000) .. i end " MAIN(
                     "%s return 'contained' .. (kept[1] and '' or 'x')"),
                 bodies[i]);
        run(world, source);
        if (world->end != TIDE_TASK_RETURNED)
            fail_msg("%s: %s", bodies[i], world->result);
        close_state(world);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(names_that_are_gone),
        T(what_is_left_of_os_tells_the_time),
        T(bytecode_is_refused_in_every_way),
        T(load_gives_no_other_environment),
        T(the_methods_of_strings_are_the_engines),
        T(a_module_outside_cannot_be_named),
        T(globals_of_the_engine_are_not_the_scripts),
        T(a_tasks_own_coroutine_is_out_of_reach),
        T(a_task_cannot_resume_another),
        T(resuming_what_waits_for_another_task),
        T(yields_where_they_have_no_place),
        T(depth_is_an_error),
        T(memory_is_an_error),
        T(garbage_does_not_fill_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
