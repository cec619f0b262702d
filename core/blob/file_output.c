#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "blob/file.h"

#define FILE_MODE 0640
/* Bytes after which the disk is set to work, so that the final sync is short. */
#define WRITEBACK (8 * 1024 * 1024)

struct file_output {
    struct tide_blob_files *files;
    char bucket[TIDE_BLOB_BUCKET_MAX + 1];
    struct tide_id id;
    int fd;
    char tmp_name[TIDE_BLOB_FILE_NAME]; /* below DIR/.tmp; empty: it has no name */
    int64_t length, started;            /* bytes written, and of those given to the disk */
};

static struct file_output *output_of(struct tide_blob_output *output)
{
    return (struct file_output *)output;
}

/* A name that no other file has or had. */
static void make_name(const struct tide_id *id, char name[TIDE_BLOB_FILE_NAME])
{
    struct tide_id random = tide_id_new();

    snprintf(name, TIDE_BLOB_FILE_NAME, "%s.%s", id->hex, random.hex + TIDE_ID_LEN - 8);
}

static int link_fd(int fd, int dir, const char *name)
{
    char path[40];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW);
}

bool tide_blob_file_probe(int tmp)
{
    struct tide_id id = tide_id_new();
    int fd = openat(tmp, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, FILE_MODE);
    bool works;

    if (fd < 0)
        return false;
    works = link_fd(fd, tmp, id.hex) == 0;
    if (works)
        unlinkat(tmp, id.hex, 0);
    close(fd);
    return works;
}

static bool open_output(struct file_output *out, struct tide_err *err)
{
    if (out->files->unnamed) {
        out->fd = openat(out->files->tmp, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, FILE_MODE);
    } else {
        make_name(&out->id, out->tmp_name);
        out->fd = openat(out->files->tmp, out->tmp_name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, FILE_MODE);
    }
    if (out->fd < 0)
        return tide_blob_files_error(err, errno, "create");
    /* Held until it is closed: tells a sweep that the file's writer lives. */
    if (flock(out->fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    tide_blob_files_error(err, errno, "lock");
    close(out->fd);
    if (out->tmp_name[0])
        unlinkat(out->files->tmp, out->tmp_name, 0);
    return false;
}

struct tide_blob_output *tide_blob_file_create(struct tide_blob_backend *backend, const char *bucket,
                                               const struct tide_id *id, bool shared, struct tide_err *err)
{
    struct file_output *out = calloc(1, sizeof *out);

    (void)shared; /* every writer has a file of its own */
    if (!out) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        return NULL;
    }
    out->files = (struct tide_blob_files *)backend;
    memcpy(out->bucket, bucket, strlen(bucket) + 1);
    out->id = *id;
    if (open_output(out, err))
        return (struct tide_blob_output *)out;
    free(out);
    return NULL;
}

static bool write_all(int fd, int64_t offset, const char *data, size_t len, struct tide_err *err)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return tide_blob_files_error(err, n < 0 ? errno : ENOSPC, "write");
        data += n;
        len -= (size_t)n;
        offset += n;
    }
    return true;
}

bool tide_blob_file_append(struct tide_blob_output *output, char *block, size_t len, struct tide_err *err)
{
    struct file_output *out = output_of(output);

    if (!write_all(out->fd, out->length, block, len, err))
        return false;
    out->length += (int64_t)len;
    if (out->length - out->started >= WRITEBACK) {
        /* Only a hint: the sync at the end is what counts, and tells of failures. */
        (void)sync_file_range(out->fd, out->started, out->length - out->started, SYNC_FILE_RANGE_WRITE);
        out->started = out->length;
    }
    return true;
}

bool tide_blob_file_patch(struct tide_blob_output *output, int64_t offset, const void *data, size_t len,
                          struct tide_err *err)
{
    return write_all(output_of(output)->fd, offset, data, len, err);
}

static bool insert_row(struct file_output *out, const char *file, const char *name, const char *metadata,
                       struct tide_err *err)
{
    struct tide_blob_info info = {
        .id = out->id,
        .name = (char *)name,
        .length = out->length,
        .uploaded_ms = tide_clock_now_ms(),
        .metadata = (char *)metadata,
    };

    return tide_blob_index_insert(out->files->index, out->bucket, &info, file, err);
}

/* Gives the file its lasting name in `dir`, durably. */
static bool place(struct file_output *out, int dir, const char *file, struct tide_err *err)
{
    int rc;

    if (out->tmp_name[0])
        rc = renameat(out->files->tmp, out->tmp_name, dir, file);
    else
        rc = link_fd(out->fd, dir, file);
    if (rc < 0)
        return tide_blob_files_error(err, errno, "link");
    out->tmp_name[0] = '\0';
    if (fsync(dir) == 0)
        return true;
    tide_blob_files_error(err, errno, "sync of the directory");
    unlinkat(dir, file, 0);
    return false;
}

bool tide_blob_file_commit(struct tide_blob_output *output, const char *name, const char *metadata,
                           struct tide_err *err)
{
    struct file_output *out = output_of(output);
    char file[TIDE_BLOB_FILE_NAME];
    bool ok;
    int dir;

    if (fdatasync(out->fd) < 0)
        return tide_blob_files_error(err, errno, "sync");
    dir = tide_blob_files_shard(out->files, out->bucket, &out->id, err);
    if (dir < 0)
        return false;
    make_name(&out->id, file);
    ok = place(out, dir, file, err);
    if (ok) {
        ok = insert_row(out, file, name, metadata, err);
        /* After an internal error nobody knows whether the row will be there once the database has recovered:
         * the next sweep decides. */
        if (!ok && strcmp(err->code, TIDE_ERR_INTERNAL) != 0)
            unlinkat(dir, file, 0);
    }
    close(dir);
    return ok;
}

void tide_blob_file_drop(struct tide_blob_output *output)
{
    struct file_output *out = output_of(output);

    if (out->tmp_name[0])
        unlinkat(out->files->tmp, out->tmp_name, 0);
    close(out->fd);
    free(out);
}
