#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "sql/driver.h"

#define MAX_FILES 999
#define MAX_FILE_BYTES (1024 * 1024)

struct schema_file {
    int version; /* NNN, 1..999 */
    bool meant;  /* for this dialect alone */
    char name[256];
};

struct schema_dir {
    const char *path, *dialect;
    struct schema_file files[MAX_FILES]; /* by version, from 0 */
    int highest;
};

/* ---- the directory ---- */

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t end_len = strlen(end);

    return len >= end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

/* NNN_name.sql or NNN_name.DIALECT.sql, NNN from 001. */
static bool is_schema_name(const char *name)
{
    size_t digits = strspn(name, "0123456789"), len = strcspn(name, ".");
    const char *end = strrchr(name, '.'), *dot = name + len;

    if (digits != 3 || name[3] != '_' || len < 5 || memcmp(name, "000", 3) == 0)
        return false;
    return dot == end || (dot + 1 < end && strcspn(dot + 1, ".") == (size_t)(end - dot - 1));
}

/* False: not for this dialect. */
static bool parse_name(const char *name, const char *dialect, struct schema_file *file)
{
    const char *dot = strchr(name, '.');
    char own[32];

    file->version = (name[0] - '0') * 100 + (name[1] - '0') * 10 + (name[2] - '0');
    snprintf(own, sizeof own, ".%s.sql", dialect);
    file->meant = strcmp(dot, own) == 0;
    snprintf(file->name, sizeof file->name, "%s", name);
    return file->meant || strcmp(dot, ".sql") == 0;
}

static bool add_file(struct schema_dir *dir, const struct schema_file *file, struct tide_err *err)
{
    struct schema_file *place = &dir->files[file->version - 1];

    if (place->version && place->meant == file->meant)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "%s: %.100s and %.100s have the same number",
                            dir->path, place->name, file->name);
    if (!place->version || file->meant)
        *place = *file;
    if (file->version > dir->highest)
        dir->highest = file->version;
    return true;
}

static bool check_name(const char *dir, const char *name, struct tide_err *err)
{
    if (is_schema_name(name))
        return true;
    return tide_err_set(err, TIDE_ERR_INVALID, false,
                        "%s/%.100s: a schema file is named NNN_name.sql or NNN_name.DIALECT.sql, such as "
                        "001_user.sql or 001_user.sqlite.sql",
                        dir, name);
}

/* Calls take(arg, name) for every .sql file of `path`, whose names are checked; but not for the hidden ones
 * that editors make. */
static bool each_file(const char *path, bool (*take)(void *arg, const char *name, struct tide_err *err),
                      void *arg, struct tide_err *err)
{
    DIR *handle = opendir(path);
    struct dirent *entry;
    bool ok = true;

    if (!handle)
        return tide_err_errno(err, errno, path);
    while (ok && (entry = readdir(handle)))
        if (entry->d_name[0] != '.' && ends_with(entry->d_name, strlen(entry->d_name), ".sql"))
            ok = check_name(path, entry->d_name, err) && (!take || take(arg, entry->d_name, err));
    closedir(handle);
    return ok;
}

bool tide_sql_check_schema(const char *dir, struct tide_err *err)
{
    return each_file(dir, NULL, NULL, err);
}

static bool take_file(void *arg, const char *name, struct tide_err *err)
{
    struct schema_dir *dir = arg;
    struct schema_file file;

    return !parse_name(name, dir->dialect, &file) || add_file(dir, &file, err);
}

static char *read_file(const char *path, struct tide_err *err)
{
    size_t len;
    char *text = tide_file_read(path, MAX_FILE_BYTES, &len, err);

    if (!text || !memchr(text, '\0', len))
        return text;
    tide_err_set(err, TIDE_ERR_INVALID, false, "%s: has a NUL byte", path);
    free(text);
    return NULL;
}

/* ---- the table ---- */

static struct tide_sql_value text_value(const char *text)
{
    return (struct tide_sql_value){.type = TIDE_SQL_TEXT, .text = (char *)text, .len = strlen(text)};
}

static struct tide_sql_value int_value(int64_t integer)
{
    return (struct tide_sql_value){.type = TIDE_SQL_INT, .integer = integer};
}

static bool run(struct tide_sql_db *db, const char *statement, const struct tide_sql_value *params,
                size_t count, size_t *rows, struct tide_err *err)
{
    struct tide_sql_result result;

    if (!tide_sql_run_sync(db, statement, params, count, &result, err))
        return false;
    if (rows)
        *rows = result.rows;
    tide_sql_result_release(&result);
    return true;
}

static bool make_table(struct tide_sql_db *db, struct tide_err *err)
{
    static const char statement[] =
        "CREATE TABLE IF NOT EXISTS tide_schema (component VARCHAR(64) NOT NULL, version INTEGER NOT NULL, "
        "name VARCHAR(255) NOT NULL, applied_at VARCHAR(24) NOT NULL, PRIMARY KEY (component, version))";

    return run(db, statement, NULL, 0, NULL, err) ||
           tide_err_prefix(err, "the table tide_schema, which notes the schema files, can't be made");
}

static bool is_applied(struct tide_sql_db *db, const char *component, int version, bool *applied,
                       struct tide_err *err)
{
    struct tide_sql_value params[] = {text_value(component), int_value(version)};
    size_t rows;

    if (!run(db, "SELECT version FROM tide_schema WHERE component = ? AND version = ?", params, 2, &rows,
             err))
        return false;
    *applied = rows > 0;
    return true;
}

static bool note(struct tide_sql_db *db, const char *component, const struct schema_file *file,
                 struct tide_err *err)
{
    char now[25];
    struct tide_sql_value params[] = {text_value(component), int_value(file->version), text_value(file->name),
                                      (tide_clock_format(tide_clock_now_ms(), now), text_value(now))};

    return run(db, "INSERT INTO tide_schema (component, version, name, applied_at) VALUES (?, ?, ?, ?)",
               params, 4, NULL, err);
}

/* ---- applying ---- */

/* Within a transaction, so that of several processes that start together one applies the file. */
static bool apply_script(struct tide_sql_db *db, const char *component, const struct schema_file *file,
                         const char *script, bool *applied, struct tide_err *err)
{
    if (!db->driver->begin_sync(db, err))
        return false;
    if (!is_applied(db, component, file->version, applied, err))
        goto out;
    if (!*applied && !(db->driver->script_sync(db, script, err) && note(db, component, file, err)))
        goto out;
    return db->driver->end_sync(db, true, err);
out:
    (void)db->driver->end_sync(db, false, NULL);
    return false;
}

static bool apply(struct tide_sql_db *db, const char *component, const char *dir,
                  const struct schema_file *file, struct tide_err *err)
{
    bool applied, ok;
    char path[1024];
    char *script;

    if (!is_applied(db, component, file->version, &applied, err))
        return false;
    if (applied)
        return true;
    snprintf(path, sizeof path, "%s/%s", dir, file->name);
    script = read_file(path, err);
    if (!script)
        return false;
    ok = apply_script(db, component, file, script, &applied, err);
    free(script);
    if (!ok)
        return tide_err_prefix(err, "%s", path);
    if (!applied)
        tide_log_event(db->log, TIDE_LOG_INFO, "schema applied", tide_log_str("component", component),
                       tide_log_str("file", path));
    return true;
}

/* The files of a directory that this dialect has; NULL with err. */
static struct schema_dir *read_dir(const struct tide_sql_db *db, const char *dir, struct tide_err *err)
{
    struct schema_dir *files = calloc(1, sizeof *files);

    if (!files) {
        tide_err_errno(err, ENOMEM, "sql migrate");
        return NULL;
    }
    files->path = dir;
    files->dialect = tide_sql_dialect(db);
    if (each_file(dir, take_file, files, err))
        return files;
    free(files);
    return NULL;
}

/* In a database that was never migrated there is no table to ask. */
static bool is_pending(struct tide_sql_db *db, const char *component, int version, bool *pending,
                       struct tide_err *err)
{
    bool applied = false;

    if (!is_applied(db, component, version, &applied, err) && strcmp(err->code, TIDE_ERR_INVALID) != 0)
        return false;
    *pending = !applied;
    return true;
}

static bool each_pending(struct tide_sql_db *db, const char *component, const struct schema_dir *files,
                         void (*pending)(void *arg, const char *path), void *arg, struct tide_err *err)
{
    bool ok = true, is = false;
    char path[1024];

    for (int i = 0; ok && i < files->highest; i++) {
        if (!files->files[i].version)
            continue;
        ok = is_pending(db, component, files->files[i].version, &is, err);
        snprintf(path, sizeof path, "%s/%s", files->path, files->files[i].name);
        if (ok && is)
            pending(arg, path);
    }
    return ok;
}

bool tide_sql_pending(struct tide_sql_db *db, const char *component, const char *dir,
                      void (*pending)(void *arg, const char *path), void *arg, struct tide_err *err)
{
    struct schema_dir *files = read_dir(db, dir, err);
    bool ok = files && each_pending(db, component, files, pending, arg, err);

    free(files);
    return ok;
}

static void note_one(void *arg, const char *path)
{
    (void)path;
    *(bool *)arg = true;
}

/* Where nothing is pending nothing is written: the database's user may be one that only reads. */
bool tide_sql_migrate(struct tide_sql_db *db, const char *component, const char *dir, struct tide_err *err)
{
    struct schema_dir *files = read_dir(db, dir, err);
    bool any = false, ok = files && each_pending(db, component, files, note_one, &any, err);

    ok = ok && (!any || make_table(db, err));
    for (int i = 0; any && ok && i < files->highest; i++)
        if (files->files[i].version)
            ok = apply(db, component, dir, &files->files[i], err);
    free(files);
    return ok;
}
