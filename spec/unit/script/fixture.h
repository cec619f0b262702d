/* A bundle of one file in a state of its own, with one primitive that waits: what the tests of script share.
 */
#ifndef SPEC_SCRIPT_FIXTURE_H
#define SPEC_SCRIPT_FIXTURE_H

#include "loop.h"

#include <lauxlib.h>

#include "script/op.h"
#include "script/state.h"
#include "script/task.h"

struct world {
    uv_loop_t loop;
    int files;
    size_t memory_max;
    int64_t load_ms;
    const struct tide_log *log; /* NULL: none */
    struct tide_budget *budget;
    int64_t cpu_ms; /* of a task; 0: the budget's 10 s */
    struct tide_state *state;
    char directory[64];
    int ended;
    enum tide_task_end end;
    char result[512], traceback[1024];
};

/* ---- a primitive that waits: sleep(ms) -> "slept" ---- */

struct sleep_op {
    struct tide_op op;
    uv_timer_t timer;
    bool canceled;
};

static inline void on_closed(uv_handle_t *handle)
{
    tide_op_finish(&((struct sleep_op *)handle->data)->op);
}

static inline void on_timer(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, on_closed);
}

static inline int sleep_push(lua_State *L, struct tide_op *op)
{
    (void)op;
    lua_pushliteral(L, "slept");
    return 1;
}

static inline bool sleep_cancel(struct tide_op *op)
{
    struct sleep_op *self = (struct sleep_op *)op;

    self->canceled = true;
    if (!uv_is_closing((uv_handle_t *)&self->timer))
        uv_close((uv_handle_t *)&self->timer, on_closed);
    return false;
}

static const struct tide_op_type sleep_type = {
    .name = "test.sleep", .size = sizeof(struct sleep_op), .push = sleep_push, .cancel = sleep_cancel};

static inline int l_sleep(lua_State *L)
{
    lua_Number ms = luaL_checknumber(L, 1);
    struct sleep_op *self = tide_op_new(L, &sleep_type);
    struct world *world = tide_state_host(tide_state_of(L));

    uv_timer_init(&world->loop, &self->timer);
    self->timer.data = self;
    uv_timer_start(&self->timer, on_timer, (uint64_t)ms, 0);
    return tide_op_wait(L, &self->op);
}

/* ---- the world ---- */

static inline void write_file(struct world *world, const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", world->directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static inline int set_up(void **data)
{
    struct world *world = calloc(1, sizeof *world);
    struct tide_err err;

    world->budget = tide_budget_new(10000, &err);
    assert_non_null(world->budget);
    strcpy(world->directory, "/tmp/tide-script-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    world->files = loop_open(&world->loop);
    world->memory_max = 16u << 20;
    *data = world;
    return 0;
}

static inline void close_state(struct world *world)
{
    if (world->state)
        tide_state_free(world->state);
    world->state = NULL;
    uv_run(&world->loop, UV_RUN_DEFAULT);
}

static inline int tear_down(void **data)
{
    struct world *world = *data;
    char command[128];

    close_state(world);
    tide_budget_free(world->budget);
    loop_close(&world->loop, world->files);
    snprintf(command, sizeof command, "rm -rf %s", world->directory);
    assert_int_equal(system(command), 0);
    free(world);
    return 0;
}

static inline bool load(struct world *world, const char *source, struct tide_buf *report)
{
    struct tide_state_config config = {.loop = &world->loop,
                                       .log = world->log,
                                       .bundle = "test",
                                       .directory = world->directory,
                                       .memory_max = world->memory_max,
                                       .load_ms = world->load_ms,
                                       .budget = world->budget,
                                       .host = world,
                                       .sandbox = true};
    struct tide_findings findings;
    struct tide_err err;
    bool good;

    world->ended = 0;
    write_file(world, "init.lua", source);
    world->state = tide_state_new(&config, &err);
    if (!world->state)
        fail_msg("%s", err.message);
    lua_register(tide_state_main(world->state), "sleep", l_sleep);
    tide_buf_init(report, 65536);
    tide_findings_init(&findings);
    good = tide_state_load(world->state, &findings);
    tide_findings_report(&findings, report);
    return good;
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

    snprintf(world->traceback, sizeof world->traceback, "%s", tide_task_traceback(task));
    world->ended++;
    world->end = end;
    snprintf(world->result, sizeof world->result, "%s", text ? text : "?");
}

/* Starts the global function main, which init.lua left through rawset. */
static inline struct tide_task *start(struct world *world, int64_t deadline_ms)
{
    lua_getglobal(tide_state_main(world->state), "main");
    return tide_task_start(world->state, 0, "main",
                           (struct tide_task_limits){.timeout_ms = deadline_ms, .cpu_ms = world->cpu_ms},
                           on_end, world);
}

static inline void run(struct world *world, const char *source)
{
    load_good(world, source);
    start(world, 0);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(world->ended, 1);
}

#define MAIN(body) "rawset(_G, 'main', function() " body " end)"

#endif
