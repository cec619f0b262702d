/*
 * The parent process: opens the listening sockets, starts worker processes and replaces those that die,
 * answers the admin listener. It runs no script and reads no byte of a client beside the admin listener's.
 * The sockets are its own, so connections that wait for a worker survive the worker.
 */
#ifndef TIDE_SUPERVISOR_SUPERVISOR_H
#define TIDE_SUPERVISOR_SUPERVISOR_H

#include <stddef.h>

#include "settings/settings.h"

struct tide_supervisor_listener {
    const char *bundle; /* or "admin" */
    const char *host;   /* as set */
    int port;           /* as bound */
};

struct tide_supervisor_options {
    /* All workers are ready, for the first time. May be NULL. */
    void (*ready)(void *arg, const struct tide_supervisor_listener *listeners, size_t count);
    /* With the tables up to date: before workers start, where false fails the start; or, when the database
     * was away, as soon as it is there. May be NULL. */
    bool (*prepare)(void *arg, struct tide_err *err);
    void *arg;
};

/* Runs until SIGTERM or SIGINT: then drains for settings->grace at most (a second signal: not at all).
 * Returns the exit code: 0, or 1 when the start failed, which was told on stderr. */
int tide_supervisor_run(const struct tide_settings *settings, const struct tide_supervisor_options *options);

#endif
