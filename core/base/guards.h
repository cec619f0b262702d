/*
 * What guards a worker against its scripts and clients, and counts them: counters, deadlines of handlers and
 * connections, CPU budgets. They are always on, but for build/unguarded/tidemill, which spec/bench measures
 * their cost against. Any thread.
 */
#ifndef TIDE_BASE_GUARDS_H
#define TIDE_BASE_GUARDS_H

#include <stdbool.h>

bool tide_guards_on(void);

#endif
