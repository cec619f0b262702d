#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

#define SLACK 65536 /* tide_buf_read takes steps */

char *tide_file_read(const char *path, size_t most, size_t *len, struct tide_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct tide_buf buf;
    bool good;

    if (fd < 0) {
        tide_err_errno(err, errno, path);
        return NULL;
    }
    tide_buf_init(&buf, most + SLACK);
    good = tide_buf_read(&buf, fd, most);
    if (!good && errno == EFBIG)
        tide_err_set(err, TIDE_ERR_TOO_LARGE, false, "%s: over %zu bytes", path, most);
    else if (!good)
        tide_err_errno(err, errno, path);
    close(fd);
    if (good)
        return tide_buf_take(&buf, len);
    tide_buf_release(&buf);
    return NULL;
}

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

bool tide_file_next(const char **list, char *path, size_t size)
{
    while (*list && **list) {
        size_t len = strcspn(*list, ":");
        int written = snprintf(path, size, "%.*s", (int)len, *list);

        *list += (*list)[len] ? len + 1 : len;
        if (written < (int)size)
            return true;
    }
    return false;
}
