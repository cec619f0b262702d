/* Users of the bundle auth, through its own module `users`: for `tidemill user` and `run --dev`. */
#ifndef TIDE_CLI_USERS_H
#define TIDE_CLI_USERS_H

#include "base/buf.h"
#include "base/err.h"
#include "settings/settings.h"

/* Calls require("users")[function](args) of the bundle auth on the database of the settings. args: a JSON
 * array. */
TIDE_WARN_UNUSED bool tide_users_call(const struct tide_settings *settings, const char *function,
                                      const char *args_json, struct tide_buf *result_json,
                                      struct tide_err *err);

#endif
