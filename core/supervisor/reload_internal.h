/* For the reload*.c files alone. */
#ifndef TIDE_SUPERVISOR_RELOAD_INTERNAL_H
#define TIDE_SUPERVISOR_RELOAD_INTERNAL_H

#include "supervisor/gate.h"
#include "supervisor/history.h"
#include "supervisor/internal.h"

/* One bundle. */
struct reloaded {
    struct tide_reload *reload;
    struct tide_reload_bundle told;           /* its texts are filled in when it is asked for */
    struct tide_content *current, *candidate; /* candidate: the workers are asked about it; NULL: none */
    int64_t asked_ms;                         /* when a worker began to load the candidate */
    bool back;                                /* the candidate is one of the history */
    bool passed;                              /* the candidate needs no specs, or they have passed */
    bool migrated;                            /* it brings no schema files, or the database has them */
    struct tide_gate *gate;                   /* its specs run; NULL: they don't */
    int gate_pid; /* of the last specs, also when they were stopped: libuv waits for it */
    struct tide_bundle_migration *migration; /* its schema files are applied or looked at; NULL: no */
    bool swapping;                  /* all agreed: the candidate is the current one, and is waited for */
    bool wanted;                    /* read it again when this one is over */
    char seen[TIDE_GENERATION_LEN]; /* on the disk, when it was read last */
    struct tide_history history;
    struct tide_buf report, changes;
};

struct tide_reload {
    struct tide_supervisor *supervisor;
    struct reloaded *bundles;
    size_t count;
};

const struct tide_settings_bundle *tide_reload_settings(const struct tide_reload *reload, size_t index);
bool tide_reload_is(const struct tide_content *content, const char *generation);

/* reload.c: a reload is over. */
void tide_reload_settle(struct tide_reload *reload, size_t index, enum tide_reload_outcome outcome);

/* reload_agree.c: has all workers load it, its specs run, and all swap; or refuses it. Takes candidate over.
 * back: it is one of the history. */
void tide_reload_ask(struct tide_reload *reload, size_t index, struct tide_content *candidate, bool back);

#endif
