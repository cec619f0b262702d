#include "spec/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "script/state.h"
#include "script/task.h"
#include "spec/internal.h"

#define MAX_REPORT (64 * 1024)

extern const struct tide_embedded_lua core_spec_lua[]; /* core/spec/lua */

struct run *tide_spec_run_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

void tide_spec_register(lua_State *L, struct run *run, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushlightuserdata(L, run);
        lua_pushcclosure(L, functions->func, 1);
        lua_setfield(L, -2, functions->name);
    }
}

/* ---- the directory and the services ---- */

static bool make_directory(struct run *run, struct tide_err *err)
{
    const char *parent = getenv("TMPDIR");

    if (snprintf(run->directory, sizeof run->directory, "%s/tidemill-spec-XXXXXX",
                 parent && *parent ? parent : "/tmp") >= (int)sizeof run->directory)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "TMPDIR is too long: %s", parent);
    if (mkdtemp(run->directory))
        return true;
    return tide_err_errno(err, errno, run->directory);
}

static void remove_directory(const struct run *run)
{
    char *paths[] = {(char *)run->directory, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;

    while (tree && (entry = fts_read(tree)))
        if (entry->fts_info != FTS_D)
            remove(entry->fts_path);
    if (tree)
        fts_close(tree);
}

static bool open_log(struct run *run, const char *path, struct tide_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (fd < 0)
        return tide_err_errno(err, errno, path);
    tide_log_init(&run->log, fd, TIDE_LOG_JSON, TIDE_LOG_DEBUG, "spec");
    return true;
}

static bool open_run(struct run *run, struct tide_err *err)
{
    char log[sizeof run->directory + 8];

    if (!make_directory(run, err))
        return false;
    snprintf(log, sizeof log, "%s/log", run->directory);
    if (!open_log(run, log, err) || !tide_spec_backends_make(run, err) ||
        !(run->watchdog = tide_watchdog_start(run->config->timeout_ms, log, err)) ||
        !(run->metrics = tide_metrics_map(-1, err)) ||
        !tide_services_open(&run->services, &run->settings, TIDE_WITH_ALL, &run->loop, &run->log,
                            run->metrics, err))
        return false;
    tide_timers_init(&run->timers);
    run->services.timers = &run->timers;
    return true;
}

static void close_run(struct run *run)
{
    tide_clock_advance_ms(-run->ahead_ms);
    tide_watchdog_stop(run->watchdog);
    tide_metrics_unmap(run->metrics);
    if (run->log.fd >= 0)
        close(run->log.fd);
    tide_spec_backends_release(run);
    if (!*run->directory)
        return;
    if (run->config->keep)
        printf("# kept: %s\n", run->directory);
    else
        remove_directory(run);
}

/* ---- the state in which busted runs ---- */

static bool load_spec(struct run *run, struct tide_err *err)
{
    struct tide_bundle_config config = {.name = "spec",
                                        .directory = run->directory,
                                        .library = run->settings.library,
                                        .plugins = run->settings.plugins,
                                        .settings_json = "{}",
                                        .settings_path = "spec",
                                        .unconfined = true,
                                        .services = &run->services};
    struct tide_state *state;
    struct tide_findings findings;
    struct tide_buf report;
    lua_State *L;

    tide_buf_init(&report, MAX_REPORT);
    tide_findings_init(&findings);
    run->spec = tide_bundle_load(&config, &findings);
    tide_findings_report(&findings, &report);
    if (!run->spec)
        tide_err_set(err, TIDE_ERR_INTERNAL, false, "%s", report.data ? report.data : "out of memory");
    tide_buf_release(&report);
    if (!run->spec)
        return false;
    state = tide_bundle_state(run->spec);
    L = tide_state_main(state);
    tide_state_native(state, L);
    tide_spec_app_functions(L, run);
    tide_spec_clock_functions(L, run);
    tide_spec_leak_functions(L, run);
    tide_spec_look_functions(L, run);
    lua_pop(L, 1);
    tide_state_add_trusted(state, core_spec_lua);
    return tide_state_require_trusted(state, "runner", err); /* left on the stack, to be called */
}

/* ---- the run ---- */

static void on_end(void *arg, struct tide_task *task, enum tide_task_end end, lua_State *L, int nresults,
                   const struct tide_err *err)
{
    struct run *run = arg;

    run->over = true;
    if (end == TIDE_TASK_RETURNED && nresults == 4) {
        run->good = true;
        run->counts->passed = (unsigned)lua_tointeger(L, -4);
        run->counts->failed = (unsigned)lua_tointeger(L, -3);
        run->counts->skipped = (unsigned)lua_tointeger(L, -2);
        if (run->config->junit)
            tide_buf_puts(run->config->junit, lua_tostring(L, -1));
    } else if (end == TIDE_TASK_RAISED) {
        fprintf(stderr, "%s\n%s\n", lua_tostring(L, -1), tide_task_traceback(task));
    } else if (err) {
        fprintf(stderr, "%s\n", err->message);
    }
}

static void put_xml(struct tide_buf *xml, const char *text)
{
    for (; *text; text++)
        if (strchr("&<>\"", *text))
            tide_buf_printf(xml, "&#%d;", *text);
        else
            tide_buf_printf(xml, "%c", *text);
}

static void fail_element(struct tide_buf *xml, const char *file, const char *what)
{
    tide_buf_puts(xml, "  <testsuite name=\"");
    put_xml(xml, file);
    tide_buf_puts(xml, "\" tests=\"1\" failures=\"1\">\n    <testcase name=\"");
    put_xml(xml, file);
    tide_buf_printf(xml, "\"><failure message=\"%s\"/></testcase>\n  </testsuite>\n", what);
}

static void fail_line(struct run *run, const char *file, const char *what)
{
    struct tide_spec_counts *counts = run->counts;

    counts->failed++;
    if (run->config->junit)
        fail_element(run->config->junit, file, what);
    printf("not ok %u - %s %s\n", counts->passed + counts->failed + counts->skipped, file, what);
}

static void execute(struct run *run, const char *file, int line)
{
    struct tide_state *state = tide_bundle_state(run->spec);
    lua_State *L = tide_state_main(state);

    lua_pushstring(L, file);
    lua_pushinteger(L, line);
    lua_pushstring(L, run->directory);
    lua_pushstring(L, run->config->options_json);
    lua_pushinteger(L, (lua_Integer)run->counts->passed);
    lua_pushinteger(L, (lua_Integer)run->counts->failed);
    lua_pushinteger(L, (lua_Integer)run->counts->skipped);
    tide_task_start(state, 7, file, (struct tide_task_limits){0}, on_end, run);
    while (!run->over)
        uv_run(&run->loop, UV_RUN_ONCE);
    tide_spec_close_apps(run);
    while (run->apps || run->upstream)
        uv_run(&run->loop, UV_RUN_ONCE);
    if (tide_state_pending(state) > 0)
        fail_line(run, file, "leaves operations pending");
}

bool tide_spec_run(const struct tide_spec_config *config, const char *file, int line,
                   struct tide_spec_counts *counts, struct tide_err *err)
{
    struct run run = {.config = config, .counts = counts, .log = {.fd = -1}};
    bool ok;

    if (config->on_file)
        config->on_file(config->arg, file);
    uv_loop_init(&run.loop);
    ok = open_run(&run, err) && load_spec(&run, err);
    if (ok) {
        execute(&run, file, line);
        if (!run.good)
            fail_line(&run, file, "could not be run to its end");
    }
    tide_bundle_free(run.spec);
    tide_spec_backends_drop(&run);
    tide_services_close(&run.services);
    if (!tide_services_close_loop(&run.loop, &run.log) && ok)
        fail_line(&run, file, "leaves handles open");
    close_run(&run);
    return ok;
}
