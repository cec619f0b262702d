/* What --help prints. */
#ifndef TIDE_CLI_HELP_H
#define TIDE_CLI_HELP_H

#include <stdio.h>

#include "cli/command.h"

void tide_help_all(FILE *out, const struct tide_command *commands, size_t count);
void tide_help_command(FILE *out, const struct tide_command *command);
/* The Lua API, or one name of it ("tide.queue", "webhook.sender"), on the standard output.
 * False: there is no such name, and err tells it. */
bool tide_help_api(const char *name, struct tide_err *err);

#endif
