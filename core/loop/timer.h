/*
 * A timer of a script: what tide.sleep waits for, and the deadline of a handler. It runs on the loop's time.
 * A spec has those of its bundles in a list, and makes them due without waiting (tide_timers_advance). Loop
 * thread only.
 */
#ifndef TIDE_LOOP_TIMER_H
#define TIDE_LOOP_TIMER_H

#include <stdint.h>

#include <uv.h>

struct tide_timer;
struct tide_timers;

/* `among`: the list that it is in while it runs, which must outlive it; NULL: none. Calls due(arg) each time
 * that it has run out. NULL: not enough memory. */
struct tide_timer *tide_timer_new(uv_loop_t *loop, struct tide_timers *among, void (*due)(void *arg),
                                  void *arg);
void tide_timer_start(struct tide_timer *timer, int64_t ms); /* once; again: instead of before */
void tide_timer_stop(struct tide_timer *timer);
void tide_timer_free(struct tide_timer *timer); /* also one that runs; NULL allowed */

/* The timers that run, in the order of their start. */
struct tide_timers {
    struct tide_timer *first, **last;
};

void tide_timers_init(struct tide_timers *timers);
/* Milliseconds until the next one is due; -1: none runs. */
int64_t tide_timers_next(const struct tide_timers *timers);
/* All are due so much earlier. Those that are due now run in the loop's next turn, in the order of their
 * start. */
void tide_timers_advance(struct tide_timers *timers, int64_t ms);

#endif
