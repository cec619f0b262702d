/*
 * A task is one pooled coroutine of a bundle's state: it runs one request, message, timer or command from its
 * start to its end, over any number of waits. Loop thread only.
 */
#ifndef TIDE_SCRIPT_TASK_H
#define TIDE_SCRIPT_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "base/err.h"

struct tide_state;
struct tide_task;

enum tide_task_end {
    TIDE_TASK_RETURNED, /* nresults values are on top of L */
    TIDE_TASK_RAISED,   /* the error value is on top of L; tide_task_traceback tells where */
    TIDE_TASK_ENDED     /* canceled or past its deadline: L is NULL; the error says which */
};

/* Called once when the task is over, before its resources are closed. */
typedef void tide_task_end_cb(void *arg, struct tide_task *task, enum tide_task_end end, lua_State *L,
                              int nresults, const struct tide_err *err);

struct tide_task_limits {
    int64_t timeout_ms; /* to its end; 0: none */
    int64_t cpu_ms;     /* CPU time between two waits (script/budget.h); 0: the budget's own */
    /* Called with the task's arg when it is past that and can't be stopped: its process ends behind this, in
     * three seconds at most. In the handler of a signal, on the loop's thread; nothing of the script may run
     * any more. NULL: nobody is told. */
    void (*fatal)(void *arg, const struct tide_err *why);
};

/*
 * Starts the function and its `nargs` arguments on top of tide_state_main(state) (popped) in a pooled
 * coroutine. It runs until its first wait before this returns (and `end` may have been called). `label` is
 * shown in errors
 * ("GET /jobs/{id}"), not copied. `arg` is the caller's own pointer (a request, a delivery). NULL: the task
 * is over already
 * (`end` was called).
 */
struct tide_task *tide_task_start(struct tide_state *state, int nargs, const char *label,
                                  struct tide_task_limits limits, tide_task_end_cb *end, void *arg);

/* Ends a waiting task: cancels its op, closes its resources, calls `end` with TIDE_TASK_ENDED. The coroutine
 * is dropped. Must not be called for the running task. */
void tide_task_cancel(struct tide_task *task, const struct tide_err *why);

struct tide_task *tide_task_running(lua_State *L); /* NULL: at load */
struct tide_state *tide_task_state(const struct tide_task *task);
void *tide_task_arg(const struct tide_task *task); /* as given to tide_task_start */
const char *tide_task_label(const struct tide_task *task);
/* What it waits for, as tide_op_type.name ("tide.sleep"); NULL while it runs. */
const char *tide_task_waits_for(const struct tide_task *task);
/* "file:line" of the script at which it waits, in a buffer of TIDE_PLACE bytes; "" when none is on its stack.
 */
#define TIDE_PLACE 256
void tide_task_place(const struct tide_task *task, char text[TIDE_PLACE]);
const char *tide_task_traceback(const struct tide_task *task);          /* "" when it did not raise */
void tide_task_push_thread(const struct tide_task *task, lua_State *L); /* its coroutine, as a value on L */

/*
 * A resource of a task (an open blob, an uncommitted upload, a transaction): closed when the task is over, in
 * reverse order, if nobody closed it before. Embedded in the userdata of a binding, which unlinks it in its
 * own close and __gc.
 */
struct tide_resource {
    void (*close)(struct tide_resource *resource);
    const char *name; /* of the call that gave it, for specs: "bucket:open" */
    char *where;      /* "file:line" of that call; ours, NULL outside of specs */
    struct tide_resource *next, **prev;
};
void tide_resource_own(
    lua_State *L, struct tide_resource *resource); /* by the running task; none at load: kept till __gc */
void tide_resource_own_by(struct tide_task *task,
                          struct tide_resource *resource); /* from an op's push: its task */
void tide_resource_disown(struct tide_resource *resource); /* idempotent */

/* Calls each(arg, resource) for what the task has open; it must not change that. */
void tide_task_each_resource(const struct tide_task *task,
                             void (*each)(void *arg, const struct tide_resource *resource), void *arg);

#endif
