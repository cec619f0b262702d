/* The life of tasks: what they own, how they end, what is left of them. */
#include "script/fixture.h"

/* ---- a resource: open(name) -> userdata, closed at the task's end at the latest ---- */

struct handle {
    struct tide_resource resource;
    char name;
    bool open;
};

static char closed[32]; /* names in the order of their closing */

static void handle_close(struct tide_resource *resource)
{
    struct handle *handle = (struct handle *)resource;

    assert_true(handle->open);
    handle->open = false;
    closed[strlen(closed)] = handle->name;
}

static int handle_end(lua_State *L)
{
    struct handle *handle = luaL_checkudata(L, 1, "handle");

    tide_resource_disown(&handle->resource);
    if (handle->open)
        handle_close(&handle->resource);
    return 0;
}

static int l_open(lua_State *L)
{
    struct handle *handle = lua_newuserdata(L, sizeof *handle);

    *handle = (struct handle){.resource.close = handle_close, .name = *luaL_checkstring(L, 1), .open = true};
    if (luaL_newmetatable(L, "handle")) {
        lua_pushcfunction(L, handle_end);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    tide_resource_own(L, &handle->resource);
    return 1;
}

static int l_close(lua_State *L)
{
    return handle_end(L);
}

/* ---- a wait whose result can't be made: bad(), big() ---- */

static int bad_push(lua_State *L, struct tide_op *op)
{
    (void)op;
    return luaL_error(L, "no result");
}

static int big_push(lua_State *L, struct tide_op *op)
{
    static char bytes[40u << 20]; /* nothing that a raise would leave behind */

    (void)op;
    lua_pushlstring(L, bytes, sizeof bytes);
    return 1;
}

static int released;

static void count_release(struct tide_op *op)
{
    (void)op;
    released++;
}

static int wait_with(lua_State *L, const struct tide_op_type *type)
{
    struct sleep_op *self = tide_op_new(L, type);
    struct world *world = tide_state_host(tide_state_of(L));

    uv_timer_init(&world->loop, &self->timer);
    self->timer.data = self;
    uv_timer_start(&self->timer, on_timer, 1, 0);
    return tide_op_wait(L, &self->op);
}

static int l_bad(lua_State *L)
{
    static const struct tide_op_type type = {"test.bad", sizeof(struct sleep_op), bad_push, sleep_cancel,
                                             count_release};

    return wait_with(L, &type);
}

static int l_big(lua_State *L)
{
    static const struct tide_op_type type = {"test.big", sizeof(struct sleep_op), big_push, sleep_cancel,
                                             NULL};

    return wait_with(L, &type);
}

static int l_collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

static int set_up_task(void **data)
{
    memset(closed, 0, sizeof closed);
    released = 0;
    return set_up(data);
}

/* The functions above are put where `main` finds them, after the bundle was loaded. */
static void load_with(struct world *world, const char *source)
{
    lua_State *L;

    load_good(world, source);
    L = tide_state_main(world->state);
    lua_getglobal(L, "c");
    lua_pushcfunction(L, l_open);
    lua_setfield(L, -2, "open");
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "close");
    lua_pushcfunction(L, l_bad);
    lua_setfield(L, -2, "bad");
    lua_pushcfunction(L, l_big);
    lua_setfield(L, -2, "big");
    lua_pushcfunction(L, l_collect);
    lua_setfield(L, -2, "collect");
    lua_pop(L, 1);
}

#define TASK(body) "local c = {} rawset(_G, 'c', c) " MAIN(body)

static void run_with(struct world *world, const char *source)
{
    load_with(world, source);
    start(world, 0);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(world->ended, 1);
}

/* ---- resources ---- */

static void a_task_that_returns_leaves_nothing_open(void **data)
{
    run_with(
        *data,
        TASK("local a, b = c.open('a'), c.open('b') sleep(1) local d = c.open('d') c.close(b) return 1"));
    assert_string_equal(closed, "bda");
}

static void nor_does_one_that_raises(void **data)
{
    struct world *world = *data;

    run_with(world, TASK("local a = c.open('a') sleep(1) error(c.open('b'))"));
    assert_int_equal(world->end, TIDE_TASK_RAISED);
    assert_string_equal(closed, "ba");
}

static void nor_one_that_is_ended(void **data)
{
    struct world *world = *data;

    load_with(world, TASK("local a = c.open('a') sleep(60000)"));
    start(world, 10);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_string_equal(world->result, "timeout");
    assert_string_equal(closed, "a");
    close_state(world); /* its userdata is collected now, and must not close a second time */
    assert_string_equal(closed, "a");
}

static void what_nobody_holds_is_closed_when_collected(void **data)
{
    run_with(*data, TASK("c.open('a') c.collect() c.collect() local b = c.open('b') return 1"));
    assert_string_equal(closed, "ab");
}

static void collecting_while_a_task_waits_leaves_it_its_values(void **data)
{
    struct world *world = *data;

    load_with(world, TASK("local kept = { ('x'):rep(10) } c.open('a') local b = c.open('b') "
                          "local s = sleep(20) c.close(b) return s .. kept[1]"));
    start(world, 0);
    for (int i = 0; i < 3; i++)
        lua_gc(tide_state_main(world->state), LUA_GCCOLLECT, 0);
    assert_string_equal(closed, "a");
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_string_equal(world->result, "sleptxxxxxxxxxx");
    assert_string_equal(closed, "ab");
}

static void a_task_that_is_gone_can_be_collected_before_its_op_ends(void **data)
{
    struct world *world = *data;
    struct tide_err err;

    load_with(world, TASK("local a = c.open('a') sleep(60000)"));
    tide_err_set(&err, TIDE_ERR_CANCELED, false, "gone");
    tide_task_cancel(start(world, 0), &err);
    for (int i = 0; i < 3; i++)
        lua_gc(tide_state_main(world->state), LUA_GCCOLLECT, 0);
    assert_int_equal(tide_state_pending(world->state), 1);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(tide_state_pending(world->state), 0);
    assert_string_equal(closed, "a");
}

/* ---- results ---- */

static void a_result_that_cannot_be_made_is_a_failure(void **data)
{
    struct world *world = *data;

    run_with(world,
             TASK("local v, err = c.bad() return tostring(v) .. ' ' .. err.code .. ' ' .. err.message"));
    assert_string_equal(world->result, "nil limit test.bad: the result could not be handed over: no result");
    assert_int_equal(released, 1);
}

static void a_result_over_the_cap_is_a_failure_and_the_state_goes_on(void **data)
{
    struct world *world = *data;

    run_with(world, TASK("local v, err = c.big() return tostring(v) .. ' ' .. err.message"));
    assert_string_equal(world->result,
                        "nil test.big: the result could not be handed over: not enough memory");
    start(world, 0);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(world->ended, 2);
}

static void a_traceback_names_functions_and_lines(void **data)
{
    struct world *world = *data;

    load_with(world,
              "local function inner(x) sleep(1) return x.field.field end\n" TASK("inner({})\n return 1"));
    start(world, 0);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(world->end, TIDE_TASK_RAISED);
    assert_non_null(strstr(world->result, "init.lua:1: attempt to index"));
    assert_non_null(strstr(world->traceback, "in function 'inner'"));
    assert_non_null(strstr(world->traceback, "init.lua:2: in function"));
}

static void errors_may_be_anything(void **data)
{
    static const char *const bodies[] = {
        "error()",
        "error(nil)",
        "error(false)",
        "error({})",
        "error(function() end)",
        "error(1.5)",
        "error(setmetatable({}, { __tostring = function() error('again') end }))",
        "error(setmetatable({}, { __index = function() error('again') end }))",
    };
    struct world *world = *data;
    char source[256];

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        snprintf(source, sizeof source, TASK("sleep(1) %s"), bodies[i]);
        run_with(world, source);
        assert_int_equal(world->end, TIDE_TASK_RAISED);
        close_state(world);
    }
}

/* ---- many ---- */

/* Each kind of end, ten thousand times: neither stack nor registry nor memory grow. */
static void ten_thousand_tasks_leave_nothing(void **data)
{
    struct world *world = *data;
    struct tide_err err;
    size_t before = 0;
    lua_State *L;

    load_with(world, TASK("local kind = c.kind c.kind = (kind or 0) + 1 kind = c.kind % 4 c.open('x') "
                          "if kind == 0 then return 1, 2, 3 elseif kind == 1 then error('x') "
                          "elseif kind == 2 then sleep(0) return sleep(0) else sleep(60000) end"));
    L = tide_state_main(world->state);
    tide_err_set(&err, TIDE_ERR_CANCELED, false, "gone");
    for (int i = 0; i < 10000; i++) {
        struct tide_task *task;

        if (i == 5000) {
            lua_gc(L, LUA_GCCOLLECT, 0);
            before = tide_state_memory(world->state);
        }
        memset(closed, 0, sizeof closed);
        task = start(world, 0);
        if (task && i % 4 == 2)
            tide_task_cancel(task, &err);
        uv_run(&world->loop, UV_RUN_DEFAULT);
        assert_int_equal(lua_gettop(L), 0);
        assert_int_equal(tide_state_tasks(world->state), 0);
        assert_int_equal(tide_state_pending(world->state), 0);
    }
    assert_int_equal(world->ended, 10000);
    memset(closed, 0, sizeof closed);
    lua_gc(L, LUA_GCCOLLECT, 0);
    assert_true(tide_state_memory(world->state) <= before + 8192);
}

/* Many wait at once, and end in another order. */
static void a_thousand_at_once(void **data)
{
    struct world *world = *data;

    load_with(world, TASK("c.n = (c.n or 0) + 1 return sleep(c.n * 7 % 20)"));
    for (int i = 0; i < 1000; i++)
        assert_non_null(start(world, 5000));
    assert_int_equal(tide_state_tasks(world->state), 1000);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(world->ended, 1000);
    assert_int_equal(tide_state_tasks(world->state), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up_task, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_task_that_returns_leaves_nothing_open),
        T(nor_does_one_that_raises),
        T(nor_one_that_is_ended),
        T(what_nobody_holds_is_closed_when_collected),
        T(collecting_while_a_task_waits_leaves_it_its_values),
        T(a_task_that_is_gone_can_be_collected_before_its_op_ends),
        T(a_result_that_cannot_be_made_is_a_failure),
        T(a_result_over_the_cap_is_a_failure_and_the_state_goes_on),
        T(a_traceback_names_functions_and_lines),
        T(errors_may_be_anything),
        T(ten_thousand_tasks_leave_nothing),
        T(a_thousand_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
