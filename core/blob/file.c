#include "blob/file.h"
#include "base/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_MODE 0750

struct file_input {
    int fd;
};

static struct tide_blob_files *files_of(struct tide_blob_backend *backend)
{
    return (struct tide_blob_files *)backend;
}

bool tide_blob_files_error(struct tide_err *err, int errnum, const char *what)
{
    tide_err_errno(err, errnum, what);
    return tide_err_prefix(err, "blob");
}

/* A new directory is made durable with its parent's entry. */
static int open_dir(int parent, const char *name)
{
    int fd, made;

    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    made = mkdirat(parent, name, DIR_MODE);
    if (made < 0 && errno != EEXIST)
        return -1;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && made == 0 && fsync(parent) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The last digits: the first are the time in seconds, equal for months. */
static const char *shard_name(const struct tide_id *id)
{
    return id->hex + TIDE_ID_LEN - 2;
}

int tide_blob_files_shard(struct tide_blob_files *files, const char *bucket, const struct tide_id *id,
                          struct tide_err *err)
{
    int fd = -1, parent = open_dir(files->dir, bucket);

    if (parent >= 0)
        fd = open_dir(parent, shard_name(id));
    if (fd < 0)
        tide_blob_files_error(err, errno, bucket);
    if (parent >= 0)
        close(parent);
    return fd;
}

/* As mkdir -p. */
static int open_path(const char *path)
{
    int fd = open(path[0] == '/' ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[NAME_MAX + 1];

    while (fd >= 0) {
        size_t len;
        int next;

        path += strspn(path, "/");
        len = strcspn(path, "/");
        if (len == 0)
            break;
        if (len > NAME_MAX) {
            close(fd);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, path, len);
        name[len] = '\0';
        path += len;
        next = open_dir(fd, name);
        close(fd);
        fd = next;
    }
    return fd;
}

static void file_close(struct tide_blob_backend *backend)
{
    struct tide_blob_files *files = files_of(backend);

    if (files->index)
        tide_blob_index_close(files->index);
    if (files->tmp >= 0)
        close(files->tmp);
    if (files->dir >= 0)
        close(files->dir);
    free(files);
}

static struct tide_blob_files *new_files(const struct tide_log *log, struct tide_err *err)
{
    struct tide_blob_files *files = calloc(1, sizeof *files);

    if (!files) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        return NULL;
    }
    files->dir = files->tmp = -1;
    files->log = log;
    return files;
}

static struct tide_blob_backend *file_open(const char *url, const struct tide_log *log, struct tide_err *err)
{
    const char *location = tide_driver_location(url);
    struct tide_blob_files *files;
    char path[PATH_MAX];

    if (!tide_driver_check_location(url, err))
        return NULL;
    if (snprintf(path, sizeof path, "%s/index.db", location) >= (int)sizeof path) {
        tide_blob_files_error(err, ENAMETOOLONG, location);
        return NULL;
    }
    files = new_files(log, err);
    if (!files)
        return NULL;
    files->dir = open_path(location);
    if (files->dir >= 0)
        files->tmp = open_dir(files->dir, TIDE_BLOB_TMP);
    if (files->tmp < 0) {
        tide_blob_files_error(err, errno, location);
    } else {
        files->unnamed = tide_blob_file_probe(files->tmp);
        files->index = tide_blob_index_open(path, err);
    }
    if (files->index)
        return (struct tide_blob_backend *)files;
    file_close((struct tide_blob_backend *)files);
    return NULL;
}

static bool file_ready(struct tide_blob_backend *backend, struct tide_err *err)
{
    struct tide_blob_files *files = files_of(backend);
    struct stat st;

    if (fstat(files->tmp, &st) == 0 && st.st_nlink == 0) /* removed, and can still be accessed */
        return tide_blob_files_error(err, ENOENT, TIDE_BLOB_TMP);
    if (faccessat(files->tmp, ".", W_OK | X_OK, AT_EACCESS) < 0)
        return tide_blob_files_error(err, errno, TIDE_BLOB_TMP);
    return tide_blob_index_ready(files->index, err);
}

static int open_file(struct tide_blob_files *files, const char *bucket, const struct tide_id *id,
                     const char *file)
{
    char path[TIDE_BLOB_BUCKET_MAX + TIDE_BLOB_FILE_NAME + 8];

    snprintf(path, sizeof path, "%s/%s/%s", bucket, shard_name(id), file);
    return openat(files->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* Between the look at the index and the open the file may be removed, or even another one be stored by its
 * id. */
static int open_indexed(struct tide_blob_files *files, const char *bucket, const struct tide_id *id,
                        struct tide_blob_info *info, struct tide_err *err)
{
    char file[TIDE_BLOB_FILE_NAME], again[TIDE_BLOB_FILE_NAME];
    int fd, errnum;

    for (;;) {
        if (!tide_blob_index_lookup(files->index, bucket, id, info, file, err))
            return -1;
        fd = open_file(files, bucket, id, file);
        if (fd >= 0)
            return fd;
        errnum = errno;
        tide_blob_info_release(info);
        if (errnum != ENOENT) {
            tide_blob_files_error(err, errnum, file);
            return -1;
        }
        if (!tide_blob_index_lookup(files->index, bucket, id, NULL, again, err))
            return -1;
        if (strcmp(file, again) == 0) {
            tide_err_set(err, TIDE_ERR_INTERNAL, false, "blob %s: the file of %s is missing", file, bucket);
            return -1;
        }
    }
}

static struct tide_blob_input *file_open_input(struct tide_blob_backend *backend, const char *bucket,
                                               const struct tide_id *id, struct tide_blob_info *info,
                                               struct tide_err *err)
{
    struct file_input *input = malloc(sizeof *input);

    if (!input) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        return NULL;
    }
    input->fd = open_indexed(files_of(backend), bucket, id, info, err);
    if (input->fd >= 0)
        return (struct tide_blob_input *)input;
    free(input);
    return NULL;
}

static bool fit_block(struct tide_blob_block *block, size_t len, struct tide_err *err)
{
    void *more;

    if (len <= block->size)
        return true;
    more = realloc(block->memory, len);
    if (!more)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
    block->memory = more;
    block->size = len;
    return true;
}

static bool file_fetch(struct tide_blob_input *input, int64_t offset, size_t len,
                       struct tide_blob_block *block, struct tide_err *err)
{
    int fd = ((struct file_input *)input)->fd;
    ssize_t n;

    block->count = 0;
    if (len > TIDE_STREAM_CHUNK)
        len = TIDE_STREAM_CHUNK;
    if (!fit_block(block, len, err))
        return false;
    do
        n = pread(fd, block->memory, len, offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return tide_blob_files_error(err, errno, "read");
    block->piece[0] = (struct tide_blob_piece){block->memory, (size_t)n};
    block->count = n > 0;
    return true;
}

static void file_release_block(struct tide_blob_block *block)
{
    free(block->memory);
    *block = (struct tide_blob_block){0};
}

static int file_input_fd(const struct tide_blob_input *input)
{
    return ((const struct file_input *)input)->fd;
}

static void file_close_input(struct tide_blob_input *input)
{
    close(file_input_fd(input));
    free(input);
}

static bool file_find(struct tide_blob_backend *backend, const char *bucket,
                      const struct tide_blob_query *query, struct tide_blob_list *list, struct tide_err *err)
{
    return tide_blob_index_find(files_of(backend)->index, bucket, query, list, err);
}

static bool file_annotate(struct tide_blob_backend *backend, const char *bucket,
                          const struct tide_blob_query *query, const char *patch, bool *changed,
                          struct tide_err *err)
{
    return tide_blob_index_annotate(files_of(backend)->index, bucket, query, patch, changed, err);
}

/* Row first: a crash in between leaves bytes for the sweep, never a row without bytes. */
static bool file_remove(struct tide_blob_backend *backend, const char *bucket, const struct tide_id *id,
                        bool *changed, struct tide_err *err)
{
    struct tide_blob_files *files = files_of(backend);
    char path[TIDE_BLOB_BUCKET_MAX + TIDE_BLOB_FILE_NAME + 8], file[TIDE_BLOB_FILE_NAME];

    if (!tide_blob_index_remove(files->index, bucket, id, changed, file, err))
        return false;
    if (!*changed)
        return true;
    snprintf(path, sizeof path, "%s/%s/%s", bucket, shard_name(id), file);
    if (unlinkat(files->dir, path, 0) < 0)
        tide_log_event(files->log, TIDE_LOG_WARN, "removed blob's file stays until the next sweep",
                       tide_log_str("file", path), tide_log_str("error", strerror(errno)));
    return true;
}

const struct tide_blob_driver tide_blob_file_driver = {
    .layout = {.pieces = 1, .body = TIDE_STREAM_CHUNK},
    .fetch_size = TIDE_STREAM_CHUNK,
    .check = tide_driver_check_location,
    .open = file_open,
    .close = file_close,
    .ready = file_ready,
    .sweep = tide_blob_file_sweep,
    .create = tide_blob_file_create,
    .append = tide_blob_file_append,
    .patch = tide_blob_file_patch,
    .commit = tide_blob_file_commit,
    .drop = tide_blob_file_drop,
    .open_input = file_open_input,
    .fetch = file_fetch,
    .release_block = file_release_block,
    .close_input = file_close_input,
    .input_fd = file_input_fd,
    .find = file_find,
    .annotate = file_annotate,
    .remove = file_remove,
};
