/*
 * The CPU time that a script may use in one turn: from where the loop calls it to its next wait, or its end.
 * A timer on the CPU clock of the loop's thread looks now and then whether the turn is still the same; it
 * costs a turn nothing, and an idle loop is not woken.
 *
 * Past its budget the turn is ended in two steps (script/limit.c): a hook raises an error wherever the script
 * is, which ends its task alone; and when that has no effect for GRACE_MS, because it is in a function of C's
 * that doesn't return, the process is ended, after it has told which script it was.
 */
#ifndef TIDE_SCRIPT_BUDGET_H
#define TIDE_SCRIPT_BUDGET_H

#include <stdint.h>

#include "base/err.h"

struct tide_budget;

/* One for each loop, on its thread, which gets SIGVTALRM from then on; it outlives the states that have it.
 * cpu_ms: for the tasks that have none of their own; 0: those are not limited. */
struct tide_budget *tide_budget_new(int64_t cpu_ms, struct tide_err *err);
void tide_budget_free(struct tide_budget *budget); /* NULL allowed */

#endif
