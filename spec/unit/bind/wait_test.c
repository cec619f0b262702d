/* Every primitive that waits, when its task goes away, when memory is collected, when its bundle is closed
 * meanwhile. */
#include "bind/fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>

/* Each is a whole task that ends well by itself, in the order of the files of bind. */
static const char *const bodies[] = {
    "tide.sleep '20ms' return 'well'",
    "assert(tide.sql.exec 'INSERT INTO t (v) VALUES (1)') assert(tide.sql.query 'SELECT * FROM t') return "
    "'well'",
    "assert(tide.sql.transaction(function(tx) assert(tx:exec 'INSERT INTO t (v) VALUES (2)') "
    "tide.sleep '2ms' assert(tx:exec 'INSERT INTO t (v) VALUES (3)') return true end)) return 'well'",
    "for i = 1, 3 do assert(jobs:publish { n = i }) end return 'well'",
    "assert(jobs:publish({ n = 1 }, { delay = '1h' })) return 'well'",
    "local f = assert(files:create {}) assert(f:commit {}) local r = assert(files:open(f.id)) r:close() "
    "assert(files:annotate(f.id, { a = 1 })) assert(files:find {}) assert(files:remove(f.id)) return 'well'",
    "local f = assert(files:create {}) assert(f:commit {}) local from = assert(files:open(f.id)) "
    "local to = assert(files:create {}) assert(tide.copy(from, to)) assert(to:commit {}) return 'well'",
    "local ok = assert(tide.password.verify(assert(tide.password.hash 'secret'), 'secret')) return 'well'",
    "assert(tide.mail.send { to = 'a@example.com', subject = 'hello', text = 'text' }) return 'well'",
    "local f = assert(files:create {}) assert(f:commit {}) local from = assert(files:open(f.id)) "
    "local ok, err = tide.media.transcode(from, assert(files:create {})) assert(not ok and err.code) return "
    "'well'",
    "local answer, err = silent:get('/', { timeout = '300ms' }) assert(not answer and err.code == 'timeout', "
    "err and tostring(err)) return 'well'",
};

#define BODIES (sizeof bodies / sizeof *bodies)

static int silent_socket; /* listens, and never answers */
static int silent_port;

static int set_up_silent(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;

    (void)state;
    silent_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(silent_socket, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(silent_socket, 128) != 0 || getsockname(silent_socket, (struct sockaddr *)&address, &len) != 0)
        return -1;
    silent_port = ntohs(address.sin_port);
    return 0;
}

static int close_silent(void **state)
{
    (void)state;
    close(silent_socket);
    return 0;
}

static int set_up_table(void **state)
{
    struct world *world;
    struct tide_err err;

    set_up(state);
    world = *state;
    return tide_sql_script(world->services.sql, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", &err) ? 0 : -1;
}

static void load_body(struct world *world, size_t i)
{
    char source[2048];

    snprintf(
        source, sizeof source,
        "local jobs, files = tide.queue('jobs', { n = 'integer' }), tide.bucket 'files' "
        "local silent = tide.upstream 'http://127.0.0.1:%d' " MAIN("%s") " local _ = { jobs, files, silent }",
        silent_port, bodies[i]);
    load_good(world, source);
}

static void ignore(uv_timer_t *timer)
{
    (void)timer;
}

static bool has_pending(struct world *world)
{
    return tide_state_pending(tide_bundle_state(world->bundle)) > 0;
}

/* Turns of the loop, a millisecond apart at most. */
static void turn(struct world *world, int turns, bool until_ended)
{
    uv_timer_t timer;

    uv_timer_init(&world->loop, &timer);
    uv_timer_start(&timer, ignore, 1, 1);
    while (turns-- > 0 && !(until_ended && world->ended))
        uv_run(&world->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&world->loop, UV_RUN_NOWAIT);
}

static void run_to_its_end(struct world *world, size_t i)
{
    start(world, 0);
    turn(world, 20000, true);
    assert_int_equal(world->ended, 1);
    if (strcmp(world->result, "well") != 0)
        fail_msg("%s: %s", bodies[i], world->result);
}

static void all_end_well(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < BODIES; i++) {
        load_body(world, i);
        run_to_its_end(world, i);
        assert_false(has_pending(world));
        unload(world);
    }
}

static void all_can_be_canceled_at_any_moment(void **state)
{
    struct world *world = *state;
    struct tide_err err;

    tide_err_set(&err, TIDE_ERR_CANCELED, false, "the client went away");
    for (size_t i = 0; i < BODIES; i++) {
        load_body(world, i);
        for (int turns = 0; turns < 40; turns++) {
            struct tide_task *task = start(world, 0);

            turn(world, turns, true);
            if (!world->ended) {
                tide_task_cancel(task, &err);
                assert_string_equal(world->result, "canceled");
            }
            while (has_pending(world))
                turn(world, 1, false);
            assert_int_equal(world->ended, 1);
            lua_gc(tide_state_main(tide_bundle_state(world->bundle)), LUA_GCCOLLECT, 0);
        }
        run_to_its_end(world, i); /* nothing is held by those that are gone */
        unload(world);
    }
}

static void all_end_at_their_deadline(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < BODIES; i++) {
        load_body(world, i);
        for (int64_t ms = 1; ms < 12; ms += 3) {
            start(world, ms);
            turn(world, 20000, true);
            assert_true(strcmp(world->result, "timeout") == 0 || strcmp(world->result, "well") == 0);
        }
        run_to_its_end(world, i);
        unload(world);
    }
}

static void all_bear_collecting_while_they_wait(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < BODIES; i++) {
        lua_State *L;

        load_body(world, i);
        L = tide_state_main(tide_bundle_state(world->bundle));
        start(world, 0);
        for (int turns = 0; turns < 20000 && !world->ended; turns++) {
            lua_gc(L, LUA_GCCOLLECT, 0);
            turn(world, 1, true);
        }
        if (strcmp(world->result, "well") != 0)
            fail_msg("%s: %s", bodies[i], world->result);
        unload(world);
    }
}

static void a_bundle_may_close_while_they_wait(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < BODIES; i++) {
        for (int turns = 0; turns < 20; turns += 4) {
            load_body(world, i);
            start(world, 0);
            turn(world, turns, true);
            unload(world);
            assert_int_equal(world->ended, 1);
            turn(world, 2, false);
        }
    }
}

static void services_may_close_behind_them(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < BODIES; i++) {
        load_body(world, i);
        start(world, 0);
        unload(world);
        close_services(world);
        uv_run(&world->loop, UV_RUN_DEFAULT);
        open_services(world);
    }
}

static void none_waits_where_it_cannot(void **state)
{
    struct world *world = *state;
    char source[1024];
    struct tide_buf report;

    for (size_t i = 0; i < 9; i++) {
        snprintf(source, sizeof source,
                 "local jobs, files = tide.queue('jobs', { n = 'integer' }), tide.bucket 'files' "
                 "local function f() %s end local _ = { jobs, files } f()",
                 bodies[i]);
        assert_false(load(world, source, &report));
        if (!strstr(report.data, "not possible while a bundle loads"))
            fail_msg("%s: %s", bodies[i], report.data);
        tide_buf_release(&report);
        snprintf(source, sizeof source,
                 "local jobs, files = tide.queue('jobs', { n = 'integer' }), tide.bucket 'files' "
                 "local _ = { jobs, files } " MAIN("return ('x'):gsub('x', function() %s end)"),
                 bodies[i]);
        load_good(world, source);
        start(world, 0);
        assert_int_equal(world->ended, 1);
        if (!strstr(world->result, "string.gsub"))
            fail_msg("%s: %s", bodies[i], world->result);
        assert_false(has_pending(world));
        unload(world);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up_table, tear_down)
    const struct CMUnitTest tests[] = {
        T(all_end_well),
        T(all_can_be_canceled_at_any_moment),
        T(all_end_at_their_deadline),
        T(all_bear_collecting_while_they_wait),
        T(a_bundle_may_close_while_they_wait),
        T(services_may_close_behind_them),
        T(none_waits_where_it_cannot),
    };
    return cmocka_run_group_tests(tests, set_up_silent, close_silent);
}
