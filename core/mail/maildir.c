#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/driver.h"
#include "base/id.h"
#include "mail/driver.h"

#define MODE_DIR 0750
#define MODE_FILE 0640
#define LEFTOVER_MS (36 * 3600 * 1000LL) /* what the maildir convention gives a file in tmp */
#define NAME_LEN 64

/* A message's file is named by its Message-ID's hash, so that one id is one file. A reader moves it from new
 * to cur, where flags follow a colon: both have to be looked at. */
struct maildir {
    int tmp, new, cur;
};

/* What the system refuses somebody can mend: no message is given up for it. */
static bool fail(struct tide_err *err, int errnum, const char *what)
{
    tide_err_errno(err, errnum, what);
    if (err && strcmp(err->code, TIDE_ERR_FULL) != 0)
        err->code = TIDE_ERR_UNAVAILABLE;
    if (err)
        err->retryable = true;
    return tide_err_prefix(err, "maildir");
}

static int open_dir(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool sync_parent(const char *path)
{
    char parent[PATH_MAX];
    char *slash;
    bool ok;
    int fd;

    snprintf(parent, sizeof parent, "%s", path);
    slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent] = '\0';
    fd = open_dir(slash ? parent : ".");
    if (fd < 0)
        return false;
    ok = fsync(fd) == 0;
    close(fd);
    return ok;
}

/* As mkdir -p, durably. */
static bool make_path(char *path)
{
    for (char *s = path + 1;; s++) {
        char end = *s;
        bool made;

        if (end != '/' && end != '\0')
            continue;
        *s = '\0';
        made = mkdir(path, MODE_DIR) == 0;
        if ((!made && errno != EEXIST) || (made && !sync_parent(path))) {
            *s = end;
            return false;
        }
        *s = end;
        if (end == '\0')
            return true;
    }
}

static int open_part(const char *location, const char *part, struct tide_err *err)
{
    char path[PATH_MAX];
    int fd = -1;

    if (snprintf(path, sizeof path, "%s/%s", location, part) >= (int)sizeof path)
        errno = ENAMETOOLONG;
    else if (make_path(path))
        fd = open_dir(path);
    if (fd < 0)
        fail(err, errno, location);
    return fd;
}

/* Removes what writers that died left. */
static void sweep(int tmp)
{
    int fd = openat(tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    struct stat st;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(dir)))
        if (fstatat(tmp, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            tide_clock_now_ms() - (int64_t)st.st_mtime * 1000 > LEFTOVER_MS)
            unlinkat(tmp, entry->d_name, 0);
    closedir(dir);
}

static void maildir_close(struct tide_mail_backend *backend)
{
    struct maildir *maildir = (struct maildir *)backend;

    if (maildir->tmp >= 0)
        close(maildir->tmp);
    if (maildir->new >= 0)
        close(maildir->new);
    if (maildir->cur >= 0)
        close(maildir->cur);
    free(maildir);
}

static struct tide_mail_backend *maildir_open(const char *url, const struct tide_log *log,
                                              struct tide_err *err)
{
    const char *location = tide_driver_location(url);
    struct maildir *maildir;

    (void)log;
    if (!tide_driver_check_location(url, err))
        return NULL;
    maildir = malloc(sizeof *maildir);
    if (!maildir) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "mail: out of memory");
        return NULL;
    }
    maildir->new = maildir->cur = -1;
    maildir->tmp = open_part(location, "tmp", err);
    if (maildir->tmp >= 0)
        maildir->new = open_part(location, "new", err);
    if (maildir->new >= 0)
        maildir->cur = open_part(location, "cur", err);
    if (maildir->cur >= 0) {
        sweep(maildir->tmp);
        return (struct tide_mail_backend *)maildir;
    }
    maildir_close((struct tide_mail_backend *)maildir);
    return NULL;
}

/* A directory that was removed can still be accessed. */
static bool is_writable(int dir)
{
    struct stat st;

    if (fstat(dir, &st) == 0 && st.st_nlink == 0) {
        errno = ENOENT;
        return false;
    }
    return faccessat(dir, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

static bool maildir_ready(struct tide_mail_backend *backend, struct tide_err *err)
{
    struct maildir *maildir = (struct maildir *)backend;

    if (is_writable(maildir->tmp) && is_writable(maildir->new))
        return true;
    return fail(err, errno, "not writable");
}

/* 1: a reader has it; 0: not; -1 with errno. */
static int is_in_cur(int cur, const char *name)
{
    int fd = openat(cur, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), found = 0;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    size_t len = strlen(name);
    struct dirent *entry;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    while (!found && (entry = readdir(dir)))
        found = strncmp(entry->d_name, name, len) == 0 &&
                (entry->d_name[len] == '\0' || entry->d_name[len] == ':');
    closedir(dir);
    return found;
}

static bool write_file(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return fsync(fd) == 0;
}

/* link() and not rename(): of two processes with the same message one gets EEXIST, which is as good. */
static bool publish(struct maildir *maildir, const char *tmp_name, const char *name, struct tide_err *err)
{
    int seen;

    if (linkat(maildir->tmp, tmp_name, maildir->new, name, 0) < 0) {
        if (errno != EEXIST)
            return fail(err, errno, "link");
    } else {
        /* A reader may have moved an earlier copy while this one was written. */
        seen = is_in_cur(maildir->cur, name);
        if (seen > 0)
            unlinkat(maildir->new, name, 0);
    }
    return fsync(maildir->new) == 0 || fail(err, errno, "sync of the directory");
}

static bool store(struct maildir *maildir, const char *name, const struct tide_mail_envelope *envelope,
                  struct tide_err *err)
{
    struct tide_id random = tide_id_new();
    char tmp_name[NAME_LEN + TIDE_ID_LEN + 2];
    bool ok;
    int fd;

    snprintf(tmp_name, sizeof tmp_name, "%s.%s", name, random.hex);
    fd = openat(maildir->tmp, tmp_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, MODE_FILE);
    if (fd < 0)
        return fail(err, errno, "create");
    ok = write_file(fd, envelope->data, envelope->len) || fail(err, errno, "write");
    close(fd);
    ok = ok && publish(maildir, tmp_name, name, err);
    unlinkat(maildir->tmp, tmp_name, 0);
    return ok;
}

static bool maildir_deliver(struct tide_mail_backend *backend, const struct tide_mail_envelope *envelope,
                            struct tide_err *err)
{
    struct maildir *maildir = (struct maildir *)backend;
    char name[NAME_LEN];
    int seen;

    snprintf(name, sizeof name, "%.*s.eml", (int)strcspn(envelope->message_id + 1, "@"),
             envelope->message_id + 1);
    seen = is_in_cur(maildir->cur, name);
    if (seen < 0)
        return fail(err, errno, "cur");
    if (seen > 0)
        return fsync(maildir->cur) == 0 || fail(err, errno, "sync of the directory");
    if (faccessat(maildir->new, name, F_OK, 0) == 0)
        return fsync(maildir->new) == 0 || fail(err, errno, "sync of the directory");
    return store(maildir, name, envelope, err);
}

const struct tide_mail_driver tide_mail_maildir_driver = {
    .threads = 2,
    .check = tide_driver_check_location,
    .open = maildir_open,
    .close = maildir_close,
    .ready = maildir_ready,
    .deliver = maildir_deliver,
};
