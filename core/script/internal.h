/* What state.c, task.c and op.c share. Nobody else includes it. */
#ifndef TIDE_SCRIPT_INTERNAL_H
#define TIDE_SCRIPT_INTERNAL_H

#include "loop/timer.h"
#include "script/op.h"
#include "script/state.h"
#include "script/task.h"

#define MAX_TRUSTED_TABLES 4

struct tide_state {
    struct tide_state_config config; /* its strings are our own copies */
    lua_State *L;
    size_t memory;  /* bytes */
    lua_Alloc heap; /* LuaJIT's own, with heap_arg */
    void *heap_arg;
    bool alarm;          /* it passed the cap, and the script has to stop for it */
    bool capped;         /* a script runs, or a result is made for one: the cap holds */
    int64_t load_end_ms; /* CPU time of the thread at which the load has to have ended; 0: nothing loads */
    const char *stack;   /* where the C stack was when the engine started to run the script */
    size_t stack_max;    /* bytes of it */
    struct tide_task *running;
    struct tide_task *tasks; /* not yet over */
    struct tide_task *spare; /* finished, with a coroutine to use again */
    size_t task_count, pending_ops;
    int native_ref;      /* registry: the table of C functions */
    int environment_ref; /* registry: globals of trusted modules */
    int trusted_ref;     /* registry: loaded trusted modules */
    int trampoline_ref;  /* registry: runs an op's push in protected mode */
    int failure_ref;     /* registry: metatable of error values */
    const struct tide_embedded_lua *trusted[MAX_TRUSTED_TABLES];
    /* Ops outlive the state when their work could not be stopped; then the lua_State is gone but this struct
     * stays until the last of them came back. */
    bool closed;
};

struct tide_task {
    struct tide_state *state;
    lua_State *co;
    int co_ref;                  /* registry; LUA_NOREF: the coroutine was dropped */
    struct tide_timer *deadline; /* made at the first task that has one */
    int64_t deadline_ms;
    struct tide_op *op; /* what it waits for, or NULL while it runs */
    struct tide_resource *resources;
    const char *label;
    tide_task_end_cb *end;
    void *arg;
    char *traceback;
    bool *over;                     /* set when the task ends inside tide_task_start */
    struct tide_task *next, **prev; /* in state->tasks; `next` alone in state->spare */
};

void tide_script_resume(struct tide_task *task, int nargs);
void tide_script_close_tasks(struct tide_state *state);
void tide_script_op_canceled(struct tide_task *task);
void tide_script_setup_ops(struct tide_state *state);
void tide_script_setup_loader(struct tide_state *state);
bool tide_script_open_memory(struct tide_state *state);  /* makes L; false: no memory */
void tide_script_close_memory(struct tide_state *state); /* closes L */
void tide_script_collect(struct tide_state *state);
void tide_script_begin_load(struct tide_state *state);
void tide_script_watch_load(struct tide_state *state); /* puts its hook back, or none when nothing loads */
void tide_script_check_load(lua_State *L, lua_Debug *where); /* raises when it is late: a hook */
void tide_script_end_load(struct tide_state *state);
void tide_script_setup_stack(struct tide_state *state);
void tide_script_setup_check(struct tide_state *state);
void tide_script_maybe_free(struct tide_state *state);

#endif
