#include "engine/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PATH 1024

bool tide_lock_make_directory(const char *dir, struct tide_err *err)
{
    char path[MAX_PATH];
    struct stat st;

    if (snprintf(path, sizeof path, "%s", dir) >= (int)sizeof path)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "data: the path is too long");
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return tide_err_errno(err, errno, path);
        *slash = '/';
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return tide_err_errno(err, errno, path);
    if (stat(path, &st) != 0)
        return tide_err_errno(err, errno, path);
    return S_ISDIR(st.st_mode) || tide_err_set(err, TIDE_ERR_INVALID, false, "%s: not a directory", path);
}

static bool refuse(int fd, const char *dir, struct tide_err *err)
{
    char pid[16] = "";
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);

    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    return tide_err_set(
        err, TIDE_ERR_CONFLICT, false,
        "the engine with pid %s works in the data directory '%s': stop it, or give this one a directory "
        "of its own (--data DIR)",
        *pid ? pid : "?", dir);
}

bool tide_lock_data(const char *dir, int *fd, struct tide_err *err)
{
    char path[MAX_PATH], pid[16];
    int n;

    if (!tide_lock_make_directory(dir, err))
        return false;
    if (snprintf(path, sizeof path, "%s/engine.lock", dir) >= (int)sizeof path)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "data: the path is too long");
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return tide_err_errno(err, errno, path);
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            refuse(*fd, dir, err);
        else
            tide_err_errno(err, errno, path);
        close(*fd);
        *fd = -1;
        return false;
    }
    n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(*fd, 0) == 0 && pwrite(*fd, pid, (size_t)n, 0) == n)
        return true;
    tide_err_errno(err, errno, path);
    close(*fd);
    *fd = -1;
    return false;
}
