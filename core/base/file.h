/* Files that are made before a library opens them. Any thread; errors by errno. */
#ifndef TIDE_BASE_FILE_H
#define TIDE_BASE_FILE_H

#include "base/err.h"

/* Makes an empty file that only its owner may read and write, unless there is one at `path`: SQLite would
 * follow the umask. A file that is there is never opened: closing it would drop the locks that other
 * connections of this process have on it (POSIX), and SQLite would take it for a file that nobody uses. */
TIDE_WARN_UNUSED bool tide_file_make_private(const char *path, struct tide_err *err);

#endif
