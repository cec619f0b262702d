/* Options of a command, from its table, by getopt_long. */
#ifndef TIDE_CLI_OPTIONS_H
#define TIDE_CLI_OPTIONS_H

#include "cli/command.h"

enum tide_options_result { TIDE_OPTIONS_GOOD, TIDE_OPTIONS_HELP, TIDE_OPTIONS_WRONG /* told on stderr */ };

/* Fills cli->values and cli->argv (operands; argv is permuted). argv[0] is the command. */
enum tide_options_result tide_options_parse(struct tide_cli *cli, int argc, char **argv);

#endif
