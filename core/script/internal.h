/* What state.c, task.c and op.c share. Nobody else includes it. */
#ifndef TIDE_SCRIPT_INTERNAL_H
#define TIDE_SCRIPT_INTERNAL_H

#include <signal.h>

#include "loop/timer.h"
#include "script/budget.h"
#include "script/op.h"
#include "script/state.h"
#include "script/task.h"

#define MAX_TRUSTED_TABLES 4

/* What a script does between two waits. */
struct tide_turn {
    struct tide_task *task;     /* NULL: a load, or words for a failure */
    bool limited;               /* a script runs, or a result is made for one: the memory's cap holds */
    int64_t cpu_ms;             /* it may use; 0: any */
    size_t logged;              /* bytes: tide_state_logged */
    struct tide_state *outside; /* whose turn goes on behind this one, as a spec's does; NULL: none */
};

struct tide_state {
    struct tide_state_config config; /* its strings are our own copies */
    lua_State *L;
    size_t memory;  /* bytes */
    lua_Alloc heap; /* LuaJIT's own, with heap_arg */
    void *heap_arg;
    bool alarm; /* it passed the cap, and the script has to stop for it */
    struct tide_turn turn;
    volatile sig_atomic_t late; /* ticks since the turn has used up its CPU time */
    bool profiled;              /* to bring it back from compiled code */
    char place[160];            /* "file:line" where it was late first */
    const char *stack;          /* where the C stack was when the engine started to run the script */
    size_t stack_max;           /* bytes of it */
    struct tide_task *tasks;    /* not yet over */
    struct tide_task *spare;    /* finished, with a coroutine to use again */
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
    struct tide_op *op;          /* what it waits for, or NULL while it runs */
    struct tide_resource *resources;
    const char *label;
    struct tide_task_limits limits;
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
bool tide_script_make_room(struct tide_state *state); /* answers the alarm; false: the script has to end */
/* Around whatever runs a script. cpu_ms 0: the budget's. */
void tide_script_begin_turn(struct tide_state *state, struct tide_task *task, int64_t cpu_ms,
                            struct tide_turn *before);
void tide_script_end_turn(struct tide_state *state, const struct tide_turn *before);
int tide_script_pcall(struct tide_state *state, int nargs, int nresults, int64_t cpu_ms); /* such a turn */
/* limit.c */
void tide_script_cover(struct tide_state *state); /* from now on it is interpreted, and its lines are noted */
void tide_script_set_hook(struct tide_state *state);       /* as `alarm` and `late` need it */
bool tide_script_make_stoppable(struct tide_state *state); /* false: no memory */
void tide_script_stop(struct tide_state *state);
void tide_script_calm(struct tide_state *state);
_Noreturn void tide_script_give_up(struct tide_state *state);
void tide_script_setup_stack(struct tide_state *state);
void tide_script_setup_limit(struct tide_state *state);
void tide_script_setup_check(struct tide_state *state);
void tide_script_maybe_free(struct tide_state *state);

#endif
