/* tidemill test --watch: runs specs again when they, or what they use, are edited. */
#ifndef TIDE_CLI_TEST_WATCH_H
#define TIDE_CLI_TEST_WATCH_H

#include "cli/options.h"
#include "cli/spec_files.h"
#include "settings/settings.h"
#include "spec/spec.h"

/* Runs all files of the command line, then those that an edit touches, until the process is ended. Returns
 * only when it can't watch: the exit code. `run` runs files. */
int tide_test_watch(const struct tide_cli *cli, const struct tide_spec_config *config,
                    int (*run)(const struct tide_cli *cli, struct tide_spec_config *config,
                               const struct tide_spec_files *files));

#endif
