#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "blob/file.h"

#define MIN_AGE_MS (60 * 1000) /* covers the moment between a file's creation and its writer's lock */

struct sweep {
    struct tide_blob_files *files;
    const atomic_bool *stop;
    const char *bucket; /* NULL: in DIR/.tmp */
    int64_t removed;
};

typedef void entry_fn(struct sweep *sweep, int dir, const char *name);

static void for_each(struct sweep *sweep, int parent, const char *name, entry_fn *fn)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while (!atomic_load(sweep->stop) && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            fn(sweep, fd, entry->d_name);
    closedir(dir);
}

/* False also when the index cannot tell. */
static bool has_no_row(struct sweep *sweep, const char *name)
{
    char file[TIDE_BLOB_FILE_NAME], hex[TIDE_ID_LEN + 1] = "";
    struct tide_err err = {0};
    struct tide_id id;

    if (strlen(name) != TIDE_ID_LEN + 9 || name[TIDE_ID_LEN] != '.')
        return false;
    memcpy(hex, name, TIDE_ID_LEN);
    if (!tide_id_parse(hex, &id))
        return false;
    if (tide_blob_index_lookup(sweep->files->index, sweep->bucket, &id, NULL, file, &err))
        return strcmp(file, name) != 0;
    return strcmp(err.code, TIDE_ERR_NOT_FOUND) == 0;
}

static bool is_old(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           tide_clock_now_ms() - (int64_t)st.st_mtime * 1000 > MIN_AGE_MS;
}

static void sweep_file(struct sweep *sweep, int dir, const char *name)
{
    int fd;

    if (sweep->bucket && !has_no_row(sweep, name))
        return;
    fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    /* The row is looked for once more under the lock: its writer may have come to the end just now. */
    if (is_old(fd) && flock(fd, LOCK_EX | LOCK_NB) == 0 && (!sweep->bucket || has_no_row(sweep, name)) &&
        unlinkat(dir, name, 0) == 0)
        sweep->removed++;
    close(fd);
}

static void sweep_shard(struct sweep *sweep, int dir, const char *name)
{
    if (strlen(name) == 2)
        for_each(sweep, dir, name, sweep_file);
}

static void sweep_bucket(struct sweep *sweep, int dir, const char *name)
{
    if (strlen(name) > TIDE_BLOB_BUCKET_MAX || strchr(name, '.'))
        return;
    sweep->bucket = name;
    for_each(sweep, dir, name, sweep_shard);
}

/* One process is enough: the others that start at the same time skip it. */
int64_t tide_blob_file_sweep(struct tide_blob_backend *backend, const atomic_bool *stop)
{
    struct sweep sweep = {.files = (struct tide_blob_files *)backend, .stop = stop};
    int lock = openat(sweep.files->tmp, ".sweep", O_CREAT | O_RDWR | O_CLOEXEC, 0640);

    if (lock < 0)
        return 0;
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
        for_each(&sweep, sweep.files->tmp, ".", sweep_file);
        for_each(&sweep, sweep.files->dir, ".", sweep_bucket);
        if (sweep.removed > 0)
            tide_log_event(sweep.files->log, TIDE_LOG_INFO, "removed files that a crash had left",
                           tide_log_int("count", sweep.removed));
    }
    close(lock);
    return 0;
}
