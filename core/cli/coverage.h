/* Tells which lines of the bundles the specs have run. */
#ifndef TIDE_CLI_COVERAGE_H
#define TIDE_CLI_COVERAGE_H

#include "base/err.h"
#include "script/coverage.h"

/* A table by file, as comments of TAP on the standard output. */
void tide_coverage_print(struct tide_coverage *coverage);
/* LCOV's format, as genhtml and editors read it. */
TIDE_WARN_UNUSED bool tide_coverage_write(struct tide_coverage *coverage, const char *path,
                                          struct tide_err *err);

#endif
