/*
 * The gate in front of a new generation (setting reload.gate): a child process runs the bundle's own specs
 * against the generation's files, as they were read, on fresh embedded backends. Bounded in time
 * (reload.gate_timeout) and in what it may say. The child is this executable once more, `tidemill gate
 * BUNDLE`, with the two descriptors below. Loop thread of the supervisor.
 */
#ifndef TIDE_SUPERVISOR_GATE_H
#define TIDE_SUPERVISOR_GATE_H

#include <uv.h>

#include "base/err.h"
#include "script/content.h"
#include "settings/settings.h"

enum { TIDE_GATE_CONTENT = 3, TIDE_GATE_SETTINGS };

struct tide_gate;

struct tide_gate_config {
    uv_loop_t *loop;
    const struct tide_settings *settings;
    int settings_fd; /* they as tide_settings_export made them */
    const char *bundle;
    const struct tide_content *content;
    /* Once, when it is over, unless it is stopped. `report` holds during the call: what failed, or why the
     * specs could not be run. */
    void (*done)(void *arg, bool passed, const char *report);
    void *arg;
};

/* NULL: err, and `done` is not called. */
struct tide_gate *tide_gate_start(const struct tide_gate_config *config, struct tide_err *err);
int tide_gate_pid(const struct tide_gate *gate);
/* Kills it: `done` is not called. The loop frees what is left. NULL is ignored. */
void tide_gate_stop(struct tide_gate *gate);

#endif
