/* A bundle that can't be loaded, as its author meets it: file, line, the line itself with a caret, the fix.
 */
#include "bind/fixture.h"

/* The report of a source that must not load; the bundle's directory is shown as DIR. */
static void report_of(struct world *world, const char *source, char text[2048])
{
    struct tide_buf report;
    size_t len = strlen(world->scripts);
    const char *from;
    char *to = text;

    assert_false(load(world, source, &report));
    for (from = report.data; *from && to < text + 2040;) {
        if (strncmp(from, world->scripts, len) == 0) {
            to = stpcpy(to, "DIR");
            from += len;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
    tide_buf_release(&report);
}

static void expect_report(struct world *world, const char *source, const char *expected)
{
    char text[2048];

    report_of(world, source, text);
    if (!strstr(text, expected))
        fail_msg("expected:\n%s\ngot:\n%s", expected, text);
}

static void syntax(void **state)
{
    expect_report(*state, "local a = 1\nlocal b = = 2\n",
                  "DIR/init.lua:2: unexpected symbol near '='\n"
                  "      2 | local b = = 2\n"
                  "                  ^");
    expect_report(*state, "local function f(\n", "DIR/init.lua:2: <name> or '...' expected near '<eof>'");
    expect_report(*state, "local a = 'x\n", "DIR/init.lua:1: unfinished string");
}

static void what_is_meant(void **state)
{
    expect_report(*state, "local a = 1\nlocal b = a != 2\n", "'not equal' is written ~=");
    expect_report(*state, "local a = 1\na += 1\n", "there is no +=");
    expect_report(*state, "local function f(a)\n  if a then\n    a()\nend\nf(f)\n", "'end' expected");
    expect_report(*state, "tide.route('GET /', function(a)\n  if a then\n    a()\nend)\n",
                  "is an `end` missing above");
    expect_report(*state, "local t = {}\nwhile true do t[#t + 1] = ('x'):rep(1e6) .. #t end\n",
                  "limits.script_memory");
    expect_report(*state, "local function f() return f() + 1 end\nf()\n", "calls itself without an end");
}

static void no_source(void **state)
{
    expect_report(*state, "\x1bLJ\x02", "DIR/init.lua:1: the file is compiled Lua");
    expect_report(*state, "\xff\xfel", "DIR/init.lua:1: the file is in UTF-16");
    expect_report(*state, "\n \n", "DIR/init.lua:1: the file is empty");
}

static void undefined_names(void **state)
{
    expect_report(*state, "\n\nlocal q = tide.queue('q', {})\nlocal x = qu\n",
                  "DIR/init.lua:4: undefined global 'qu'");
    expect_report(*state, "tide.route('GET /', function() return respnd.json(200, {}) end)",
                  "DIR/init.lua:1: undefined global 'respnd'");
    expect_report(*state, "total = 1", "write `local total = ...`");
}

static void options(void **state)
{
    expect_report(
        *state, "local q = tide.queue('q', { n = 'integer' })\nq:consume({ atempts = 3 }, function() end)\n",
        "DIR/init.lua:2: ");
    expect_report(
        *state, "local q = tide.queue('q', { n = 'integer' })\nq:consume({ atempts = 3 }, function() end)\n",
        "did you mean 'attempts'?");
    expect_report(
        *state, "local q = tide.queue('q', { n = 'integer' })\nq:consume({ atempts = 3 }, function() end)\n",
        "      2 | q:consume({ atempts = 3 }, function() end)\n"
        "                      ^~~~~~~");
    expect_report(*state, "tide.every(60, function() end)", "must be a duration");
    expect_report(*state, "tide.route('GIT /', function() end)", "DIR/init.lua:1: ");
    expect_report(*state, "tide.route('GET /', { limit = { body = 'much' } }, function() end)",
                  "a size such as");
}

static void twice_the_same(void **state)
{
    expect_report(*state, "tide.route('GET /a', function() end)\ntide.route('GET /a', function() end)\n",
                  "DIR/init.lua:2: ");
}

static void modules(void **state)
{
    struct world *world = *state;

    write_script(world, "jobs.lua",
                 "local jobs = {}\nfunction jobs.run() end\nlocal x = nil + 1\nreturn jobs\n");
    expect_report(world, "local jobs = require 'jobs'\n",
                  "DIR/jobs.lua:3: attempt to perform arithmetic on a nil value\n"
                  "      3 | local x = nil + 1");
    write_script(world, "jobs.lua", "local jobs = {\n");
    expect_report(world, "local jobs = require 'jobs'\n", "DIR/jobs.lua:2: ");
    write_script(world, "jobs.lua", "return require 'other'\n");
    write_script(world, "other.lua", "return require 'jobs'\n");
    expect_report(world, "local jobs = require 'jobs'\n", "requires itself (a cycle)");
    expect_report(world, "local jobs = require 'absent'\n", "DIR/absent.lua: No such file or directory");
    expect_report(world, "local jobs = require '../test/jobs'\n", "a module's name is");
}

static void errors_of_the_script_itself(void **state)
{
    expect_report(*state, "local config = {}\nerror('no address given')\n",
                  "DIR/init.lua:2: no address given\n      2 | error('no address given')");
    expect_report(*state, "error({ code = 'x' })", "x");
    expect_report(*state, "error(setmetatable({}, { __tostring = function() error('again') end }))", "");
    expect_report(
        *state,
        "local t = setmetatable({}, { __tostring = function(s) return 'a' .. tostring(s) end }) error(t)",
        "");
    expect_report(*state, "local function f() return 1 + f() end\nf()\n", "stack overflow");
    expect_report(*state, "local t = {}\nwhile true do t[#t + 1] = ('x'):rep(100000) .. #t end\n",
                  "not enough memory");
}

static void no_init_lua(void **state)
{
    struct world *world = *state;
    struct tide_findings findings;
    char path[192];
    struct tide_bundle_config config = {.name = "test",
                                        .directory = world->scripts,
                                        .settings_json = "{}",
                                        .settings_path = "tidemill.lua",
                                        .services = &world->services};

    tide_findings_init(&findings);
    assert_null(tide_bundle_load(&config, &findings));
    assert_non_null(strstr(findings.list[0].message, "init.lua: No such file or directory"));
    tide_findings_release(&findings);
    snprintf(path, sizeof path, "%s/init.lua", world->scripts);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_null(tide_bundle_load(&config, &findings));
    assert_non_null(strstr(findings.list[0].message, "init.lua: No such file or directory"));
    tide_findings_release(&findings);
}

static void what_a_task_raises_can_be_anything(void **state)
{
    static const char *const bodies[] = {
        "error()",
        "error({})",
        "error({ code = 1, message = 2 })",
        "error({ code = 'x', message = {} })",
        "error({ code = 'x', message = setmetatable({}, { __tostring = function() error('again') end }) })",
        "error(setmetatable({}, { __tostring = function() error('again') end }))",
        "error(setmetatable({}, { __index = function() error('again') end }))",
        "error(setmetatable({}, { __index = function(t, k) return t[k .. 'x'] end }))",
        "error(setmetatable({}, { __tostring = function() return {} end }))",
        "error(setmetatable({}, { __tostring = function() tide.sleep '1s' end }))",
        "error(('x'):rep(1000000))",
        "error('\\0\\255\\n')",
        "return function() end",
        "return { {}, { a = { 1, 2, [5] = 3 } }, 1 / 0 }",
        "local t = {} t.t = t return t",
        "return nil, setmetatable({}, { __index = function() error('again') end })",
        "return nil, {}",
        "return nil, 5",
    };
    struct world *world = *state;
    char source[512];

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct tide_buf result;
        struct tide_err err = {0};
        bool ok;

        snprintf(source, sizeof source, "local m = {} function m.run() %s end return m", bodies[i]);
        write_script(world, "m.lua", source);
        load_good(world, "require 'm'");
        tide_buf_init(&result, 65536);
        ok = tide_bundle_call(world->bundle, "m", "run", "[]", &result, &err);
        if (ok)
            fail_msg("%s: %s", bodies[i], result.data);
        if (!err.code)
            fail_msg("%s: no code", bodies[i]);
        tide_buf_release(&result);
        unload(world);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(syntax),      T(what_is_meant),
        T(no_source),   T(undefined_names),
        T(options),     T(twice_the_same),
        T(modules),     T(errors_of_the_script_itself),
        T(no_init_lua), T(what_a_task_raises_can_be_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
