#include "script/content.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

#define READINGS 20
#define PAUSE_US 5000
#define BLANK " \t\r\n"

/* In the memory file: the generation, then for each file a record, its path and its bytes, both with a NUL.
 */
struct record {
    uint32_t path_len, len; /* without the NUL */
};

struct tide_content {
    int fd;
    const char *data;
    size_t len;
};

/* ---- one reading ---- */

struct reading {
    const char *directory, *library, *plugins;
    struct tide_buf bytes;
    crypto_generichash_state hash;
    bool any_module; /* some require may name any module */
    bool moved;      /* something went away while it was read */
    struct tide_err *err;
};

static size_t record_size(const struct record *record)
{
    return sizeof *record + record->path_len + 1 + record->len + 1;
}

static void get_record(const char *at, struct record *record, const char **path, const char **data)
{
    memcpy(record, at, sizeof *record);
    *path = at + sizeof *record;
    *data = *path + record->path_len + 1;
}

static const char *find(const char *data, size_t len, const char *path, size_t *file_len)
{
    struct record record;
    const char *name, *bytes;

    for (size_t at = TIDE_GENERATION_LEN; at < len; at += record_size(&record)) {
        get_record(data + at, &record, &name, &bytes);
        if (strcmp(name, path) == 0) {
            *file_len = record.len;
            return bytes;
        }
    }
    return NULL;
}

/* seen: it was there a moment ago. */
static bool fail(struct reading *reading, int number, const char *path, bool seen)
{
    reading->moved = seen && number == ENOENT;
    return tide_err_errno(reading->err, number, path);
}

static bool fail_large(struct reading *reading, const char *path)
{
    return tide_err_set(reading->err, TIDE_ERR_LIMIT, false, "%s: the bundle's files take more than 64 MiB",
                        path);
}

static bool read_bytes(struct reading *reading, int fd, const char *path)
{
    if (tide_buf_read(&reading->bytes, fd, TIDE_CONTENT_FILE_MAX))
        return true;
    if (errno == ENOBUFS)
        return fail_large(reading, path);
    if (errno != EFBIG)
        return tide_err_errno(reading->err, errno, path);
    return tide_err_set(reading->err, TIDE_ERR_LIMIT, false,
                        "%s: larger than 1 MiB; a bundle has scripts, templates and small files", path);
}

/* Appends a file; `name` is what it is known by in the hash. */
static bool add_file(struct reading *reading, const char *path, const char *name)
{
    struct record record = {.path_len = (uint32_t)strlen(path)};
    size_t start = reading->bytes.len, data;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO without a writer would be waited for */
    struct stat st;
    bool good;

    if (fd < 0)
        return fail(reading, errno, path, true);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return tide_err_set(reading->err, TIDE_ERR_INVALID, false, "%s: not a regular file", path);
    }
    tide_buf_append(&reading->bytes, &record, sizeof record);
    tide_buf_append(&reading->bytes, path, record.path_len + 1);
    data = reading->bytes.len;
    good = read_bytes(reading, fd, path);
    close(fd);
    if (!good)
        return false;
    if (!tide_buf_putc(&reading->bytes, '\0'))
        return fail_large(reading, path);
    record.len = (uint32_t)(reading->bytes.len - 1 - data);
    memcpy(reading->bytes.data + start, &record, sizeof record);
    crypto_generichash_update(&reading->hash, (const unsigned char *)name, strlen(name) + 1);
    crypto_generichash_update(&reading->hash, (const unsigned char *)&record.len, sizeof record.len);
    crypto_generichash_update(&reading->hash, (const unsigned char *)reading->bytes.data + data, record.len);
    return true;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Dot files, and the bundle's specs: they don't run in it. */
static bool is_left_out(const FTSENT *entry)
{
    return (entry->fts_level > 0 && entry->fts_name[0] == '.') ||
           (entry->fts_level == 1 && entry->fts_info == FTS_D && strcmp(entry->fts_name, "spec") == 0);
}

static bool is_lua(const char *path, size_t len)
{
    return len > 4 && strcmp(path + len - 4, ".lua") == 0;
}

static bool is_new_module(const struct reading *reading, const FTSENT *entry)
{
    size_t len;

    return is_lua(entry->fts_name, entry->fts_namelen) &&
           !find(reading->bytes.data, reading->bytes.len, entry->fts_path, &len);
}

/* modules: Lua files that are not there yet; else all files. */
static bool add_tree(struct reading *reading, const char *directory, bool modules)
{
    char *paths[] = {(char *)directory, NULL};
    FTS *tree = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    FTSENT *entry;
    bool good = true;

    if (!tree)
        return tide_err_errno(reading->err, errno, directory);
    while (good && (entry = fts_read(tree))) {
        if (is_left_out(entry))
            fts_set(tree, entry, FTS_SKIP);
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            good = fail(reading, entry->fts_errno, entry->fts_path, entry->fts_level > 0);
        else if (entry->fts_info == FTS_F && (!modules || is_new_module(reading, entry)))
            good = add_file(reading, entry->fts_path, entry->fts_path + strlen(directory));
    }
    fts_close(tree);
    return good;
}

/* ---- what it requires of the library and of plugins ---- */

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The module's name when it is written out behind `require`; the length, 0 when it is not. */
static size_t literal(const char *at, const char **name)
{
    size_t len;

    at += strspn(at, BLANK "(");
    if (*at != '"' && *at != '\'')
        return 0;
    *name = at + 1;
    len = strcspn(*name, "\"'\n");
    return (*name)[len] == *at && !memchr(*name, '\\', len) ? len : 0;
}

/* Calls add_tree for the Lua files of the plugin `name`, or of every plugin when it is NULL. */
static bool add_plugin(struct reading *reading, const char *name, size_t name_len)
{
    const char *rest = reading->plugins;
    char directory[4096];

    while (tide_file_next(&rest, directory, sizeof directory)) {
        const char *base = strrchr(directory, '/') ? strrchr(directory, '/') + 1 : directory;

        if (name && (strlen(base) != name_len || strncmp(base, name, name_len) != 0))
            continue;
        if (!add_tree(reading, directory, true))
            return false;
    }
    return true;
}

/* Of the library, or else of a plugin. */
static bool add_module(struct reading *reading, const char *name, size_t name_len)
{
    char path[4096];
    const char *library = reading->library ? reading->library : "", *dot = memchr(name, '.', name_len);
    size_t root = strlen(library) + 1, len;
    int n = snprintf(path, sizeof path, "%s/%.*s.lua", library, (int)name_len, name);

    if (n >= (int)sizeof path)
        return true;
    for (size_t i = root; i < root + name_len; i++)
        if (path[i] == '.')
            path[i] = '/';
    if (!reading->library || access(path, F_OK) != 0)
        return add_plugin(reading, name, dot ? (size_t)(dot - name) : name_len);
    return find(reading->bytes.data, reading->bytes.len, path, &len) || add_file(reading, path, path + root);
}

/* The text moves when a file is added: it is looked at by its offset. */
static bool add_required(struct reading *reading, size_t text)
{
    const char *name, *at = reading->bytes.data + text;

    while ((at = strstr(at, "require"))) {
        bool whole = !(at > reading->bytes.data + text && is_word(at[-1])) && !is_word(at[7]);
        size_t len = whole ? literal(at + 7, &name) : 0, offset = (size_t)(at - reading->bytes.data) + 7;

        if (whole && len == 0)
            reading->any_module = true;
        if (len > 0) {
            char copy[256]; /* the text moves when a file is added */

            snprintf(copy, sizeof copy, "%.*s", (int)len, name);
            if (!add_module(reading, copy, strlen(copy)))
                return false;
        }
        at = reading->bytes.data + offset;
    }
    return true;
}

static bool add_all_required(struct reading *reading)
{
    struct record record;
    const char *path, *data;

    for (size_t at = TIDE_GENERATION_LEN; at < reading->bytes.len; at += record_size(&record)) {
        get_record(reading->bytes.data + at, &record, &path, &data);
        if (is_lua(path, record.path_len) && !add_required(reading, (size_t)(data - reading->bytes.data)))
            return false;
    }
    if (!reading->any_module)
        return true;
    if (reading->library && access(reading->library, F_OK) == 0 && !add_tree(reading, reading->library, true))
        return false;
    return add_plugin(reading, NULL, 0);
}

static bool read_once(struct reading *reading)
{
    static const char unnamed[TIDE_GENERATION_LEN];
    unsigned char hash[crypto_generichash_BYTES_MIN];

    reading->moved = reading->any_module = false;
    tide_buf_reset(&reading->bytes);
    crypto_generichash_init(&reading->hash, NULL, 0, sizeof hash);
    if (!tide_buf_append(&reading->bytes, unnamed, sizeof unnamed) ||
        !add_tree(reading, reading->directory, false) || !add_all_required(reading))
        return false;
    crypto_generichash_final(&reading->hash, hash, sizeof hash);
    sodium_bin2hex(reading->bytes.data, TIDE_GENERATION_LEN, hash, TIDE_GENERATION_LEN / 2);
    return true;
}

static bool read_settled(struct reading *reading)
{
    char before[TIDE_GENERATION_LEN] = "";

    for (int i = 0; i < READINGS; i++) {
        bool good = read_once(reading);

        if (!good && !reading->moved)
            return false;
        if (good && strcmp(before, reading->bytes.data) == 0)
            return true;
        snprintf(before, sizeof before, "%s", good ? reading->bytes.data : "");
        if (i > 0 || !good)
            usleep(PAUSE_US);
    }
    return tide_err_set(reading->err, TIDE_ERR_CONFLICT, true, "%s: changes while it is read",
                        reading->directory);
}

/* ---- the memory file ---- */

static int store(const struct tide_buf *bytes, struct tide_err *err)
{
    int fd = memfd_create("tidemill-bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd >= 0 && pwrite(fd, bytes->data, bytes->len, 0) == (ssize_t)bytes->len &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
        return fd;
    tide_err_errno(err, errno, "memory for a bundle's files");
    if (fd >= 0)
        close(fd);
    return -1;
}

struct tide_content *tide_content_read(const char *directory, const char *library, const char *plugins,
                                       struct tide_err *err)
{
    struct reading reading = {.directory = directory, .library = library, .plugins = plugins, .err = err};
    int fd = -1;

    tide_buf_init(&reading.bytes, TIDE_CONTENT_MAX);
    if (read_settled(&reading))
        fd = store(&reading.bytes, err);
    tide_buf_release(&reading.bytes);
    return fd < 0 ? NULL : tide_content_map(fd, err);
}

struct tide_content *tide_content_map(int fd, struct tide_err *err)
{
    struct tide_content *content = calloc(1, sizeof *content);
    struct stat st;
    void *data = MAP_FAILED;

    if (content && fstat(fd, &st) == 0 && st.st_size >= TIDE_GENERATION_LEN)
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
        tide_err_set(err, TIDE_ERR_INTERNAL, false, "a bundle's files can't be mapped: %s", strerror(errno));
        close(fd);
        free(content);
        return NULL;
    }
    *content = (struct tide_content){.fd = fd, .data = data, .len = (size_t)st.st_size};
    return content;
}

void tide_content_free(struct tide_content *content)
{
    if (!content)
        return;
    munmap((void *)content->data, content->len);
    close(content->fd);
    free(content);
}

int tide_content_fd(const struct tide_content *content)
{
    return content->fd;
}

const char *tide_content_generation(const struct tide_content *content)
{
    return content->data;
}

const char *tide_content_file(const struct tide_content *content, const char *path, size_t *len)
{
    return find(content->data, content->len, path, len);
}

typedef void each_change(void *arg, enum tide_content_change change, const char *path);

/* As find, from *at on and round; *at is then behind what was found. Two readings of a directory have their
 * files in the same order: each is found at once. */
static const char *find_next(const struct tide_content *content, size_t *at, const char *path, size_t *len)
{
    const char *bytes =
        find(content->data + *at - TIDE_GENERATION_LEN, content->len - *at + TIDE_GENERATION_LEN, path, len);

    if (!bytes)
        bytes = tide_content_file(content, path, len);
    if (bytes)
        *at = (size_t)(bytes - content->data) + *len + 1;
    return bytes;
}

void tide_content_compare(const struct tide_content *before, const struct tide_content *after,
                          each_change *each, void *arg)
{
    struct record record;
    const char *path, *data, *other;
    size_t len, next = TIDE_GENERATION_LEN;

    for (size_t at = TIDE_GENERATION_LEN; at < after->len; at += record_size(&record)) {
        get_record(after->data + at, &record, &path, &data);
        other = find_next(before, &next, path, &len);
        if (!other)
            each(arg, TIDE_CONTENT_ADDED, path);
        else if (len != record.len || memcmp(other, data, len) != 0)
            each(arg, TIDE_CONTENT_CHANGED, path);
    }
    next = TIDE_GENERATION_LEN;
    for (size_t at = TIDE_GENERATION_LEN; at < before->len; at += record_size(&record)) {
        get_record(before->data + at, &record, &path, &data);
        if (!find_next(after, &next, path, &len))
            each(arg, TIDE_CONTENT_REMOVED, path);
    }
}

/* at: behind `tide`. */
static bool may_be_part(const char *at, const char *part)
{
    size_t len = strlen(part);

    at += strspn(at, BLANK);
    if (*at != '.')
        return true;
    at++;
    at += strspn(at, BLANK);
    return strncmp(at, part, len) == 0 && !is_word(at[len]);
}

static bool script_uses(const char *text, const char *part)
{
    for (const char *at = text; (at = strstr(at, "tide")); at += 4)
        if (!(at > text && is_word(at[-1])) && !is_word(at[4]) && may_be_part(at + 4, part))
            return true;
    return false;
}

bool tide_content_uses(const struct tide_content *content, const char *part)
{
    struct record record;
    const char *path, *data;

    for (size_t at = TIDE_GENERATION_LEN; at < content->len; at += record_size(&record)) {
        get_record(content->data + at, &record, &path, &data);
        if (is_lua(path, record.path_len) && script_uses(data, part))
            return true;
    }
    return false;
}

void tide_content_rest(const struct tide_content *content)
{
    madvise((void *)content->data, content->len, MADV_DONTNEED);
}
