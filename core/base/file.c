#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool tide_file_make_private(const char *path, struct tide_err *err)
{
    char temporary[4096];
    int fd, failure = 0;

    if (access(path, F_OK) == 0)
        return true;
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return tide_err_errno(err, ENAMETOOLONG, path);
    fd = mkstemp(temporary); /* 0600 */
    if (fd < 0)
        return tide_err_errno(err, errno, path);
    close(fd); /* while it has another name, so while nobody can have a lock on it */
    if (link(temporary, path) != 0 && errno != EEXIST)
        failure = errno;
    unlink(temporary);
    return failure == 0 || tide_err_errno(err, failure, path);
}
