/* Files as a whole: read, or made before a library opens them. Any thread; blocks. */
#ifndef TIDE_BASE_FILE_H
#define TIDE_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* What the file holds, with a NUL behind it, the caller's to free. NULL: it can't be read, or has more than
 * `most` bytes (TIDE_ERR_TOO_LARGE). `len` may be NULL. */
char *tide_file_read(const char *path, size_t most, size_t *len, struct tide_err *err);

/* Makes an empty file that only its owner may read and write, unless there is one at `path`: SQLite would
 * follow the umask. A file that is there is never opened: closing it would drop the locks that other
 * connections of this process have on it (POSIX), and SQLite would take it for a file that nobody uses. */
TIDE_WARN_UNUSED bool tide_file_make_private(const char *path, struct tide_err *err);

/* Copies the next of the paths in *list, which have a ':' between them, and moves *list behind it. One that
 * does not fit into `size` bytes is passed over. False when there is none left; *list may be NULL. */
TIDE_WARN_UNUSED bool tide_file_next(const char **list, char *path, size_t size);

#endif
