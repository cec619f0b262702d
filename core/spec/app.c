/* Bundles under test: loaded from a directory, behind a listener of their own, with their consumers running.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bind/native.h"
#include "script/state.h"
#include "script/task.h"
#include "spec/internal.h"

#define MAX_REPORT (64 * 1024)

/* ---- open ---- */

static bool migrate(struct run *run, const char *name, const char *directory, struct tide_buf *report)
{
    char path[1024];
    struct tide_err err;

    if (snprintf(path, sizeof path, "%s/schema", directory) >= (int)sizeof path ||
        access(path, R_OK | X_OK) != 0)
        return true;
    if (tide_sql_migrate(run->services.sql, name, path, &err))
        return true;
    tide_buf_puts(report, err.message);
    return false;
}

static bool listen_and_serve(struct app *app, struct tide_err *err)
{
    struct run *run = app->run;
    struct tide_http_server_config config = {
        .name = tide_bundle_name(app->bundle), .log = &run->log, .metrics = run->metrics};

    if (!tide_bundle_has_routes(app->bundle))
        return true;
    if (!tide_http_listen("127.0.0.1:0", &app->listen_fd, 1, &app->port, err))
        return false;
    config.listen_fd = app->listen_fd;
    tide_services_http_limits(&run->settings, &config.limits);
    tide_bundle_http_handler(app->bundle, &config.handler);
    app->server = tide_http_server_start(&run->loop, &config, err);
    return app->server != NULL;
}

/* Not one of the same name that the spec has written. */
static bool is_given(const struct run *run, const struct tide_settings_bundle *bundle)
{
    const char *name = run->config->bundle;
    const struct tide_settings_bundle *of = name ? tide_settings_bundle(&run->settings, name) : NULL;

    return of && strcmp(of->name, bundle->name) == 0 && strcmp(of->directory, bundle->directory) == 0;
}

static struct tide_content *copy_content(const struct tide_content *content, struct tide_err *err)
{
    int fd = fcntl(tide_content_fd(content), F_DUPFD_CLOEXEC, 0);

    if (fd >= 0)
        return tide_content_map(fd, err);
    tide_err_errno(err, errno, "a bundle's files");
    return NULL;
}

static bool load(struct app *app, struct tide_settings_bundle *bundle, struct tide_buf *report)
{
    struct run *run = app->run;
    struct tide_content *content = NULL;
    struct tide_findings findings;
    struct tide_err err;

    if (!migrate(run, bundle->name, bundle->directory, report))
        return false;
    /* What the spec has written itself is no file that could be covered. */
    run->services.coverage = strncmp(bundle->directory, run->directory, strlen(run->directory)) == 0
                                 ? NULL
                                 : run->config->coverage;
    if (is_given(run, bundle) && !(content = copy_content(run->config->content, &err))) {
        tide_buf_puts(report, err.message);
        return false;
    }
    tide_findings_init(&findings);
    app->bundle = tide_services_load(&run->services, &run->settings, bundle, content, &findings);
    tide_findings_report(&findings, report);
    if (!app->bundle || !tide_spec_clock_start(app))
        return false;
    if (listen_and_serve(app, &err) && tide_bundle_start(app->bundle, false, &err))
        return true;
    tide_buf_puts(report, err.message);
    return false;
}

static void app_free(struct app *app)
{
    struct app **at = &app->run->apps;

    while (*at && *at != app)
        at = &(*at)->next;
    if (*at) {
        *at = app->next;
        tide_bundle_free(app->bundle);
    } else {
        app->run->upstream = NULL;
    }
    free(app->due_ms);
    if (app->listen_fd >= 0)
        close(app->listen_fd);
    free(app);
}

/* ---- close ---- */

static void on_server_closed(void *arg)
{
    struct app *app = arg;
    struct tide_op *closing = app->closing;

    app_free(app);
    if (closing)
        tide_op_finish(closing);
}

static void app_close(struct app *app)
{
    struct tide_http_server *server = app->server;

    app->server = NULL;
    if (server)
        tide_http_server_close(server, on_server_closed, app);
    else
        app_free(app);
}

void tide_spec_close_apps(struct run *run)
{
    for (struct app *app = run->apps, *next; app; app = next) {
        next = app->next;
        app_close(app);
    }
    if (run->upstream)
        app_close(run->upstream);
}

/* ---- for lua/app.lua ---- */

struct app *tide_spec_check_app(lua_State *L)
{
    if (!lua_islightuserdata(L, 1))
        luaL_error(L, "this bundle is closed");
    return lua_touserdata(L, 1);
}

/* spec_open(name, directory, settings_json): the app and its port (0: no routes), or nil and the report */
static int spec_open(lua_State *L)
{
    struct run *run = tide_spec_run_of(L);
    struct tide_settings_bundle bundle = {.name = (char *)luaL_checkstring(L, 1),
                                          .directory = (char *)luaL_checkstring(L, 2),
                                          .settings_json = (char *)luaL_checkstring(L, 3)};
    struct app *app = calloc(1, sizeof *app);
    struct tide_buf report;
    bool good;

    if (!app)
        return luaL_error(L, "not enough memory");
    *app = (struct app){.run = run, .next = run->apps, .listen_fd = -1};
    run->apps = app;
    tide_buf_init(&report, MAX_REPORT);
    good = load(app, &bundle, &report);
    if (good) {
        lua_pushlightuserdata(L, app);
        lua_pushinteger(L, app->port);
    } else {
        app_close(app);
        lua_pushnil(L);
        lua_pushstring(L, report.data ? report.data : "the bundle can't be loaded");
    }
    tide_buf_release(&report);
    return 2;
}

/* spec_serve(): the port at which the routes of the spec's own state are served */
static int spec_serve(lua_State *L)
{
    struct run *run = tide_spec_run_of(L);
    struct tide_err err;

    if (!run->upstream) {
        run->upstream = calloc(1, sizeof *run->upstream);
        if (!run->upstream)
            return luaL_error(L, "not enough memory");
        *run->upstream = (struct app){.run = run, .bundle = run->spec, .listen_fd = -1};
    }
    if (!run->upstream->server && !listen_and_serve(run->upstream, &err))
        return luaL_error(L, "%s", err.message);
    lua_pushinteger(L, run->upstream->port);
    return 1;
}

static int close_push(lua_State *L, struct tide_op *op)
{
    (void)op;
    lua_pushboolean(L, 1);
    return 1;
}

static const struct tide_op_type close_type = {
    .name = "app:close", .size = sizeof(struct tide_op), .push = close_push};

/* spec_close(app): the app is gone when it returns; what it had in flight is ended */
static int spec_close(lua_State *L)
{
    struct app *app = tide_spec_check_app(L);

    if (!app->server) {
        app_close(app);
        return 0;
    }
    app->closing = tide_op_new(L, &close_type);
    app_close(app);
    return tide_op_wait(L, app->closing);
}

struct call_op {
    struct tide_op op;
    char *result; /* JSON; NULL: err */
    struct tide_err err;
    bool inside, over; /* of the function that starts */
};

static int call_push(lua_State *L, struct tide_op *op)
{
    struct call_op *self = (struct call_op *)op;

    if (!self->result)
        return tide_push_failure(L, &self->err);
    lua_pushstring(L, self->result);
    return 1;
}

static void call_release(struct tide_op *op)
{
    free(((struct call_op *)op)->result);
}

static const struct tide_op_type call_type = {
    .name = "app:call", .size = sizeof(struct call_op), .push = call_push, .release = call_release};

static void on_result(void *arg, const char *result_json, const struct tide_err *err)
{
    struct call_op *self = arg;

    self->over = true;
    self->result = result_json ? strdup(result_json) : NULL;
    if (!result_json)
        self->err = *err;
    if (!self->inside)
        tide_op_finish(&self->op);
}

/* spec_call(app, module, function, args_json): the result as JSON, or nil and the failure */
static int spec_call(lua_State *L)
{
    struct app *app = tide_spec_check_app(L);
    const char *module = luaL_checkstring(L, 2), *function = luaL_checkstring(L, 3);
    const char *args = luaL_checkstring(L, 4);
    struct call_op *self = tide_op_new(L, &call_type);
    int results;

    self->inside = true;
    tide_bundle_call_start(app->bundle, module, function, args, on_result, self);
    self->inside = false;
    if (!self->over)
        return tide_op_wait(L, &self->op);
    results = call_push(L, &self->op);
    tide_op_drop(&self->op);
    return results;
}

static void on_beside_end(void *arg, struct tide_task *task, enum tide_task_end end, lua_State *L,
                          int nresults, const struct tide_err *err)
{
    (void)arg, (void)task, (void)end, (void)L, (void)nresults, (void)err;
}

/* spec_start(f): runs f, which must not raise, as a task beside the caller's */
static int spec_start(lua_State *L)
{
    struct tide_state *state = tide_bundle_state(tide_spec_run_of(L)->spec);

    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_pushvalue(L, 1);
    lua_xmove(L, tide_state_main(state), 1);
    tide_task_start(state, 0, "together", (struct tide_task_limits){0}, on_beside_end, NULL);
    return 0;
}

/* spec_connect(app, bytes): a connection that has sent them (they must fit into the system's buffer) */
static int spec_connect(lua_State *L)
{
    const struct app *app = tide_spec_check_app(L);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)app->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
        return luaL_error(L, "can't send to the bundle: %s", strerror(errno));
    lua_pushinteger(L, fd);
    return 1;
}

/* spec_hang_up(connection) */
static int spec_hang_up(lua_State *L)
{
    close((int)luaL_checkinteger(L, 1));
    return 0;
}

/* spec_in_flight(app): requests, messages and timers that it works on */
static int spec_in_flight(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)tide_bundle_in_flight(tide_spec_check_app(L)->bundle));
    return 1;
}

/* spec_consumes(app, queue): has it a consumer? */
static int spec_consumes(lua_State *L)
{
    const struct app *app = tide_spec_check_app(L);
    const char *queue = luaL_checkstring(L, 2);
    const struct tide_declaration *list;
    size_t count = tide_bundle_declarations(app->bundle, &list);
    bool found = false;

    for (size_t i = 0; i < count; i++)
        found = found || (list[i].type == TIDE_DECLARED_CONSUMER && strcmp(list[i].name, queue) == 0);
    lua_pushboolean(L, found);
    return 1;
}

/* spec_find(name): directory and settings (JSON) of a bundle of the settings; nil */
static int spec_find(lua_State *L)
{
    const struct tide_spec_config *config = tide_spec_run_of(L)->config;
    const struct tide_settings_bundle *bundle =
        tide_settings_bundle(config->settings, luaL_checkstring(L, 1));

    if (!bundle)
        return 0;
    if (config->on_use)
        config->on_use(config->arg, bundle);
    lua_pushstring(L, bundle->directory);
    lua_pushstring(L, bundle->settings_json ? bundle->settings_json : "{}");
    return 2;
}

void tide_spec_app_functions(lua_State *L, struct run *run)
{
    static const luaL_Reg functions[] = {
        {"spec_open", spec_open},
        {"spec_consumes", spec_consumes},
        {"spec_close", spec_close},
        {"spec_serve", spec_serve},
        {"spec_call", spec_call},
        {"spec_in_flight", spec_in_flight},
        {"spec_find", spec_find},
        {"spec_start", spec_start},
        {"spec_connect", spec_connect},
        {"spec_hang_up", spec_hang_up},
        {NULL, NULL},
    };

    tide_spec_register(L, run, functions);
}
