/* A bundle of one file with every service behind it, on embedded backends in a directory of its own: what the
 * tests of bind share. */
#ifndef SPEC_BIND_FIXTURE_H
#define SPEC_BIND_FIXTURE_H

#include "loop.h"

#include <lauxlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "bind/bundle.h"
#include "script/state.h"
#include "script/task.h"

struct world {
    uv_loop_t loop;
    int files;
    char dir[64], scripts[96];
    struct tide_services services;
    struct tide_bundle *bundle;
    struct tide_log log;
    int ended;
    enum tide_task_end end;
    char result[1024];
};

static inline void write_script(struct world *world, const char *name, const char *text)
{
    char path[192];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", world->scripts, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static inline void need(const void *opened, const struct tide_err *err)
{
    if (!opened)
        fail_msg("%s: %s", err->code, err->message);
}

static inline void open_services(struct world *world)
{
    struct tide_services *services = &world->services;
    uv_loop_t *loop = &world->loop;
    struct tide_err err = {0};
    char url[128];

    *services = (struct tide_services){.loop = loop, .log = &world->log};
    snprintf(url, sizeof url, "sqlite:%s/t.db", world->dir);
    need(services->sql = tide_sql_open(loop, NULL, url, &err), &err);
    snprintf(url, sizeof url, "sqlite:%s/queue.db", world->dir);
    need(services->queue = tide_queue_broker_open(loop, NULL, url, &err), &err);
    snprintf(url, sizeof url, "file:%s/blobs", world->dir);
    need(services->blob = tide_blob_store_open(loop, NULL, url, &err), &err);
    snprintf(url, sizeof url, "maildir:%s/mail", world->dir);
    need(services->mail = tide_mailer_open(loop, NULL, url, "mill <mill@example.com>", &err), &err);
    need(services->http = tide_http_client_new(loop, NULL, &err), &err);
    need(services->crypto = tide_pool_new(loop, "crypto", 1, 16, &err), &err);
}

static inline void close_services(struct world *world)
{
    struct tide_services *services = &world->services;

    tide_pool_free(services->crypto);
    tide_http_client_free(services->http);
    tide_mailer_close(services->mail);
    tide_queue_broker_close(services->queue);
    tide_blob_store_close(services->blob);
    tide_sql_close(services->sql);
}

static inline int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    strcpy(world->dir, "/tmp/tide-bind-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    snprintf(world->scripts, sizeof world->scripts, "%s/test", world->dir);
    assert_int_equal(mkdir(world->scripts, 0700), 0);
    tide_log_init(&world->log, STDERR_FILENO, TIDE_LOG_JSON, TIDE_LOG_ERROR + 1, "test");
    world->files = loop_open(&world->loop);
    open_services(world);
    *state = world;
    return 0;
}

static inline void unload(struct world *world)
{
    tide_bundle_free(world->bundle);
    world->bundle = NULL;
}

static inline int tear_down(void **state)
{
    struct world *world = *state;
    char command[128];

    unload(world);
    close_services(world);
    loop_close(&world->loop, world->files);
    snprintf(command, sizeof command, "rm -rf '%s'", world->dir);
    assert_int_equal(system(command), 0);
    free(world);
    return 0;
}

static inline bool load(struct world *world, const char *source, struct tide_buf *report)
{
    struct tide_bundle_config config = {.name = "test",
                                        .directory = world->scripts,
                                        .settings_json = "{}",
                                        .settings_path = "tidemill.lua",
                                        .memory_max = 32u << 20,
                                        .services = &world->services};
    struct tide_findings findings;

    write_script(world, "init.lua", source);
    tide_buf_init(report, 65536);
    tide_findings_init(&findings);
    world->bundle = tide_bundle_load(&config, &findings);
    tide_findings_report(&findings, report);
    return world->bundle != NULL;
}

static inline void load_good(struct world *world, const char *source)
{
    struct tide_buf report;

    if (!load(world, source, &report))
        fail_msg("%s", report.data);
    tide_buf_release(&report);
}

static inline void on_end(void *arg, struct tide_task *task, enum tide_task_end end, lua_State *L,
                          int nresults, const struct tide_err *err)
{
    struct world *world = arg;
    const char *text = end == TIDE_TASK_ENDED ? err->code : nresults ? lua_tostring(L, -1) : "";

    (void)task;
    world->ended++;
    world->end = end;
    snprintf(world->result, sizeof world->result, "%s", text ? text : "?");
}

/* Starts the global function main, which init.lua left through rawset. */
static inline struct tide_task *start(struct world *world, int64_t deadline_ms)
{
    struct tide_state *state = tide_bundle_state(world->bundle);

    world->ended = 0;
    lua_getglobal(tide_state_main(state), "main");
    return tide_task_start(state, 0, "main", (struct tide_task_limits){.timeout_ms = deadline_ms}, on_end,
                           world);
}

#define MAIN(body) "rawset(_G, 'main', function() " body " end)"

#endif
