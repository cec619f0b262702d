/* Asks a running engine by its admin listener: reload, status. Blocks. */
#ifndef TIDE_CLI_ADMIN_H
#define TIDE_CLI_ADMIN_H

#include <jansson.h>

#include "settings/settings.h"

/* The answer's JSON and status, the caller's to json_decref; NULL: told on stderr. A problem (RFC 9457) is
 * none. */
json_t *tide_admin_ask(const struct tide_settings *settings, const char *method, const char *path,
                       int *status);
/* Of a bundle in an answer: the generations before its current one that are still busy, of all workers. */
unsigned tide_admin_retired(const json_t *bundle);

#endif
