/* What the files here share: one run of one file. */
#ifndef TIDE_SPEC_INTERNAL_H
#define TIDE_SPEC_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>

#include "bind/bundle.h"
#include "engine/services.h"
#include "loop/timer.h"
#include "spec/spec.h"
#include "spec/watchdog.h"

/* A bundle under test. */
struct app {
    struct run *run;
    struct app *next;
    struct tide_bundle *bundle;
    struct tide_http_server *server; /* NULL: it has no routes, or it is closed */
    int listen_fd, port;             /* -1, 0: none */
    struct tide_op *closing;         /* who waits for the end of it */
    int64_t *due_ms;                 /* of its timers, by run->clock_ms */
};

struct run {
    const struct tide_spec_config *config;
    char directory[64];            /* of the backends, the log and the bundles written by the spec */
    char name[64];                 /* of what is ours on servers: a database, a prefix */
    struct tide_settings settings; /* config->settings with backends of our own */
    uv_loop_t loop;
    struct tide_log log;
    struct tide_metrics *metrics;
    struct tide_services services;
    struct tide_bundle *spec; /* the state in which busted runs */
    struct app *apps;
    struct app *upstream; /* the routes of `spec`: tide.spec.upstream; or NULL */
    struct tide_spec_counts *counts;
    struct tide_watchdog *watchdog;
    struct tide_timers timers; /* of the bundles and the spec */
    int64_t clock_ms;          /* how far the spec has moved their clock on */
    int64_t ahead_ms;          /* and the time of day */
    bool has_database;         /* `name` was made on the SQL server */
    bool over, good;
};

/* Settings with fresh backends: run->settings. Drop takes away again what was made on servers, once the
 * bundles are gone and before the services are closed. */
TIDE_WARN_UNUSED bool tide_spec_backends_make(struct run *run, struct tide_err *err);
void tide_spec_backends_drop(struct run *run);
void tide_spec_backends_release(struct run *run);

/* Each puts its functions into the table on top of the stack. */
void tide_spec_app_functions(lua_State *L, struct run *run);
void tide_spec_clock_functions(lua_State *L, struct run *run);
void tide_spec_leak_functions(lua_State *L, struct run *run);
void tide_spec_look_functions(lua_State *L, struct run *run);

struct app *
tide_spec_check_app(lua_State *L); /* the first argument of a function; raises when it is closed */
/* Its timers wait for the clock from now on. */
bool tide_spec_clock_start(struct app *app);

/* Functions with the run as their upvalue. */
void tide_spec_register(lua_State *L, struct run *run, const luaL_Reg *functions);
struct run *tide_spec_run_of(lua_State *L); /* in such a function */

/* Closes what the spec left open; the loop must run until run->apps is NULL. */
void tide_spec_close_apps(struct run *run);

#endif
