/*
 * A state is one generation of one bundle: its lua_State with a capped allocator, the sandboxed environment,
 * the tide API, and the pool of coroutines. One per bundle and generation in each worker. Loop thread only.
 */
#ifndef TIDE_SCRIPT_STATE_H
#define TIDE_SCRIPT_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>
#include <uv.h>

#include "base/err.h"
#include "base/finding.h"
#include "base/log.h"
#include "script/budget.h"
#include "script/content.h"
#include "script/coverage.h"
#include "script/embedded.h"

struct tide_state;

struct tide_state_config {
    uv_loop_t *loop;
    struct tide_timers *timers; /* those of a spec's bundles, or NULL (loop/timer.h) */
    const struct tide_log *log;
    struct tide_coverage *coverage;     /* of specs (script/coverage.h), or NULL */
    const char *bundle;                 /* "gateway" */
    const char *directory;              /* of the bundle: init.lua, its modules, templates */
    const char *library;                /* shared modules (scripts/lib), or NULL */
    const char *plugins;                /* directories of plugins, ':' between, or NULL */
    const struct tide_content *content; /* what files are read from; outlives the state. NULL: the disk */
    size_t memory_max;                  /* bytes of Lua memory, passed for moments only; 0: 256 MiB */
    int64_t load_ms;                    /* CPU time that init.lua may take; 0: 2 s */
    struct tide_budget *budget;         /* outlives the state; NULL: CPU time is not limited */
    void *host;                         /* for bindings: tide_state_host */
    bool sandbox;                       /* false only for the spec runner and the settings' own tools */
};

/* A state with the sandbox and no tide API yet. NULL with err when memory is out. */
struct tide_state *tide_state_new(const struct tide_state_config *config, struct tide_err *err);
/* Ends all tasks (TIDE_TASK_ENDED, canceled), closes the lua_State. Ops that could not be canceled outlive it
 * safely. */
void tide_state_free(struct tide_state *state);

/* Ends all tasks (TIDE_TASK_ENDED, canceled). */
void tide_state_end_tasks(struct tide_state *state);

lua_State *tide_state_main(const struct tide_state *state);
struct tide_state *tide_state_of(lua_State *L);
const struct tide_state_config *tide_state_config(const struct tide_state *state);
void *tide_state_host(const struct tide_state *state);

/*
 * Loads the trusted modules of `table` into the state: each is run as `module(native, load)` on first
 * require by another trusted module. `native` is the table of C functions (tide_state_native). They may use
 * debug and string.dump; scripts never see them.
 */
void tide_state_add_trusted(struct tide_state *state, const struct tide_embedded_lua *table);
/* Pushes the table `native` in which bindings put their C functions: native.sql_run, ... */
void tide_state_native(struct tide_state *state, lua_State *L);
/* Runs a trusted module and leaves its return value on the main stack. False: err. */
bool tide_state_require_trusted(struct tide_state *state, const char *name, struct tide_err *err);

/* Looks through DIRECTORY/init.lua and the modules that it requires, and runs it when nothing is wrong with
 * them. False: findings tell all that is. Declarations run here; waiting is an error. */
bool tide_state_load(struct tide_state *state, struct tide_findings *findings);

/* lua_pcall on the main stack, without a handler, for what may call back into the script (its __tostring):
 * within the limits of one, but it can't wait. */
int tide_state_pcall(struct tide_state *state, int nargs, int nresults);

/* "file:line" where the script on this stack is; leaves `place` as it was when that can't be told. */
void tide_state_place(lua_State *L, char *place, size_t size);
/* Notes that the script logs so many bytes. Returns how many it has logged since its last wait, before these.
 */
size_t tide_state_logged(struct tide_state *state, size_t bytes);

size_t tide_state_memory(const struct tide_state *state); /* bytes of Lua memory in use */
size_t tide_state_tasks(const struct tide_state *state);  /* tasks not yet over */
/* Calls each(arg, task) for the tasks not yet over; it must not change them. */
struct tide_task;
void tide_state_each_task(const struct tide_state *state,
                          void (*each)(void *arg, const struct tide_task *task), void *arg);
size_t tide_state_pending(const struct tide_state *state); /* ops not yet released, also of tasks gone */

#endif
