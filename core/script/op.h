/*
 * The async bridge, written once: how a function called by a script waits for something the loop will bring.
 *
 *   check arguments -> tide_op_new -> start the work with the op as its argument -> return tide_op_wait(L,
 * op) the work's callback, on the loop thread -> tide_op_finish(op)
 *
 * tide_op_finish pushes the result with the op's own `push` in protected mode, resumes the script exactly
 * once, and releases the op. When the task was ended meanwhile (client gone, deadline), `cancel` was called
 * at that moment: from then on the op is nobody's; if cancel could stop the work for good it says so by
 * returning true and the op is released at once, otherwise the work's callback still calls tide_op_finish,
 * which then only releases. Never finish inside the function that starts: work that is done already must come
 * back through the loop.
 */
#ifndef TIDE_SCRIPT_OP_H
#define TIDE_SCRIPT_OP_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

#include "base/err.h"

struct tide_op;

struct tide_op_type {
    const char *name; /* "sql.query": for errors and leak reports */
    size_t size;      /* of the struct that embeds struct tide_op first */
    /* Pushes the results on L (at most 8) and returns how many. Runs protected: it may raise. */
    int (*push)(lua_State *L, struct tide_op *op);
    /* The task is gone. True: the work will never call back, release the op now. */
    bool (*cancel)(struct tide_op *op);
    /* Frees what the op holds beside itself; the lua_State may be gone by then. May be NULL. */
    void (*release)(struct tide_op *op);
};

struct tide_task;

struct tide_op {
    const struct tide_op_type *type;
    struct tide_task *task; /* the bridge's */
};

/* A zeroed op of type->size for the running task. Raises a Lua error (so: before anything is acquired) when
 * the caller can't wait: at load, inside string.gsub, table.sort or require, or outside a task. */
void *tide_op_new(lua_State *L, const struct tide_op_type *type);
/* Raises that `name` waits when no task runs, as tide_op_new does: for what has to be told before that. */
void tide_op_need_task(lua_State *L, const char *name);

/* Ends the C function: `return tide_op_wait(L, &mine->op)`. */
int tide_op_wait(lua_State *L, struct tide_op *op);

/* The work could not be started: releases the op; the C function goes on and returns nil, err itself. */
void tide_op_drop(struct tide_op *op);

/* The work is done. Resumes the task (unless it is gone) and frees the op. Loop thread, never inside the
 * start. */
void tide_op_finish(struct tide_op *op);

/* ---- results and errors, as scripts see them ---- */

/* Pushes nil and an error table {code, message, retryable} with a metatable that prints "code: message".
 * Returns 2. */
int tide_push_failure(lua_State *L, const struct tide_err *err);

#endif
