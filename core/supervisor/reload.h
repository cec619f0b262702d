/*
 * Reload: the supervisor reads a bundle's files again, hands them to every worker, and lets them swap when
 * all have loaded them without a fault, the bundle's specs have passed (setting reload.gate), and the
 * database has the schema files that come with them; else all keep what they run. A worker that is started
 * later loads what the others run, whatever is on the disk. One reload of a bundle at a time; what changes
 * meanwhile is read again after it. Loop thread of the supervisor.
 */
#ifndef TIDE_SUPERVISOR_RELOAD_H
#define TIDE_SUPERVISOR_RELOAD_H

#include "base/buf.h"
#include "base/err.h"
#include "script/content.h"

struct tide_child;
struct tide_supervisor;
struct tide_reload;

enum tide_reload_outcome { TIDE_RELOAD_NONE, TIDE_RELOAD_UNCHANGED, TIDE_RELOAD_DONE, TIDE_RELOAD_REFUSED };

/* A bundle as it is run by all workers. */
struct tide_reload_bundle {
    const struct tide_content *current;
    enum tide_reload_outcome outcome; /* of the last reload */
    char before[TIDE_GENERATION_LEN]; /* what ran before it */
    int64_t at_ms;                    /* when it was over: time of day; 0: there was none */
    int64_t since_ms;                 /* when `current` began to run: time of day */
    const char *disk;                 /* the generation of its files, as they were read last */
    const char *report;               /* why it was refused, for the author; "" */
    const char *changes;              /* files that differ from `before`, as "changed PATH\0" each; then "" */
};

/* Reads all bundles of the settings for the first time. NULL: err. */
struct tide_reload *tide_reload_new(struct tide_supervisor *supervisor, struct tide_err *err);
void tide_reload_free(struct tide_reload *reload);

/* "reloaded", "refused", ... */
const char *tide_reload_outcome_name(enum tide_reload_outcome outcome);

/* index: of settings->bundles. */
const struct tide_reload_bundle *tide_reload_bundle(const struct tide_reload *reload, size_t index);

/* Reads the bundle again. `again`: even what was refused before. */
void tide_reload_start(struct tide_reload *reload, size_t index, bool again);
/* The generations that it had before, the latest first; NULL: no more. */
const char *tide_reload_kept(const struct tide_reload *reload, size_t index, size_t place);
/* Runs one of these again, or the current one, whatever is on the disk; which is not read until it changes
 * or is asked for. False: it is not kept, or another reload is going on. */
TIDE_WARN_UNUSED bool tide_reload_back(struct tide_reload *reload, size_t index, const char *generation,
                                       struct tide_err *err);
/* No bundle is being reloaded. */
bool tide_reload_is_settled(const struct tide_reload *reload);

/* Refuses what still waits for its specs (supervisor/gate.h) or its tables; the specs are ended. NULL is
 * ignored.
 */
void tide_reload_stop(struct tide_reload *reload);
/* Whether the process is one of these. NULL is ignored. */
bool tide_reload_owns(const struct tide_reload *reload, int pid);

/* What a worker says (engine/control.h); false: it is none of these lines. */
bool tide_reload_hear(struct tide_reload *reload, struct tide_child *child, const char *line);
void tide_reload_child_ready(struct tide_reload *reload, struct tide_child *child);
void tide_reload_child_gone(struct tide_reload *reload, struct tide_child *child);

#endif
