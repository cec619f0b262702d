/*
 * Which lines of scripts run: for specs. States that have one (tide_state_config.coverage) run interpreted,
 * with a hook at each line, and are some ten times slower. Owned by who runs the specs; outlives the states.
 * Loop thread only.
 */
#ifndef TIDE_SCRIPT_COVERAGE_H
#define TIDE_SCRIPT_COVERAGE_H

#include <stdbool.h>
#include <stddef.h>

struct tide_coverage;

struct tide_coverage_file {
    char *path;     /* as the bundle was loaded from */
    unsigned *hits; /* of line i + 1: how often it ran */
    bool *code;     /* has line i + 1 any code? */
    int lines;
};

struct tide_coverage *tide_coverage_new(void);           /* aborts without memory */
void tide_coverage_free(struct tide_coverage *coverage); /* NULL allowed */

/* A line has code. Out of memory, what is there stays as it was. */
void tide_coverage_add(struct tide_coverage *coverage, const char *path, int line);
/* A line ran: counted when it has code. */
void tide_coverage_hit(struct tide_coverage *coverage, const char *path, int line);

/* The files in the order of their paths; valid until the next add. */
size_t tide_coverage_files(struct tide_coverage *coverage, const struct tide_coverage_file **list);

#endif
