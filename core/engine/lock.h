/* One engine a data directory: a lock that the kernel gives back when its holder dies, however it dies.
 * Supervisor only; command-line tools work beside a running engine and don't take it. */
#ifndef TIDE_ENGINE_LOCK_H
#define TIDE_ENGINE_LOCK_H

#include "base/err.h"

/* Creates the directory when it is missing and locks <dir>/engine.lock, which then holds our pid. *fd is kept
 * open as long as the lock shall last. TIDE_ERR_CONFLICT names the pid of the engine that has it. */
TIDE_WARN_UNUSED bool tide_lock_data(const char *dir, int *fd, struct tide_err *err);

/* Creates a directory and those above it, 0700; true when it is there already. */
TIDE_WARN_UNUSED bool tide_lock_make_directory(const char *dir, struct tide_err *err);

#endif
