#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "sql/driver.h"

#define MAX_FILES 999
#define MAX_FILE_BYTES (1024 * 1024)
#define HASH_LEN (2 * crypto_generichash_BYTES + 1)

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
                size_t count, struct tide_err *err)
{
    struct tide_sql_result result;

    if (!tide_sql_run_sync(db, statement, params, count, &result, err))
        return false;
    tide_sql_result_release(&result);
    return true;
}

static bool is_invalid(const struct tide_err *err)
{
    return strcmp(err->code, TIDE_ERR_INVALID) == 0;
}

/* Of several processes that add it at once, one does. */
static bool add_hashes(struct tide_sql_db *db, struct tide_err *err)
{
    static const char look[] = "SELECT hash FROM tide_schema WHERE version = 0";

    return run(db, look, NULL, 0, err) ||
           (is_invalid(err) &&
            (run(db, "ALTER TABLE tide_schema ADD COLUMN hash VARCHAR(64)", NULL, 0, err) ||
             run(db, look, NULL, 0, NULL)));
}

static bool make_table(struct tide_sql_db *db, struct tide_err *err)
{
    static const char statement[] =
        "CREATE TABLE IF NOT EXISTS tide_schema (component VARCHAR(64) NOT NULL, version INTEGER NOT NULL, "
        "name VARCHAR(255) NOT NULL, applied_at VARCHAR(24) NOT NULL, hash VARCHAR(64), "
        "PRIMARY KEY (component, version))";

    return (run(db, statement, NULL, 0, err) && add_hashes(db, err)) ||
           tide_err_prefix(err, "the table tide_schema, which notes the schema files, can't be made");
}

/* What the table says of a file. */
struct noted {
    bool applied;
    char hash[HASH_LEN]; /* of what was applied; "": not noted */
};

static bool select_noted(struct tide_sql_db *db, const char *statement, const char *component, int version,
                         struct noted *noted, struct tide_err *err)
{
    struct tide_sql_value params[] = {text_value(component), int_value(version)};
    struct tide_sql_result result;

    if (!tide_sql_run_sync(db, statement, params, 2, &result, err))
        return false;
    noted->applied = result.rows > 0;
    if (noted->applied && result.values[0].type == TIDE_SQL_TEXT)
        snprintf(noted->hash, sizeof noted->hash, "%s", result.values[0].text);
    tide_sql_result_release(&result);
    return true;
}

/* An old table has no hashes, and a database that was never migrated no table. */
static bool find_noted(struct tide_sql_db *db, const char *component, int version, struct noted *noted,
                       struct tide_err *err)
{
    *noted = (struct noted){0};
    return select_noted(db, "SELECT hash FROM tide_schema WHERE component = ? AND version = ?", component,
                        version, noted, err) ||
           (is_invalid(err) &&
            (select_noted(db, "SELECT NULL FROM tide_schema WHERE component = ? AND version = ?", component,
                          version, noted, err) ||
             is_invalid(err)));
}

static void hash_of(const char *script, char hash[HASH_LEN])
{
    unsigned char bytes[crypto_generichash_BYTES];

    crypto_generichash(bytes, sizeof bytes, (const unsigned char *)script, strlen(script), NULL, 0);
    sodium_bin2hex(hash, HASH_LEN, bytes, sizeof bytes);
}

static bool note(struct tide_sql_db *db, const char *component, const struct schema_file *file,
                 const char *script, struct tide_err *err)
{
    char now[25], hash[HASH_LEN];
    struct tide_sql_value params[] = {text_value(component), int_value(file->version), text_value(file->name),
                                      (tide_clock_format(tide_clock_now_ms(), now), text_value(now)),
                                      (hash_of(script, hash), text_value(hash))};

    return run(db,
               "INSERT INTO tide_schema (component, version, name, applied_at, hash) VALUES (?, ?, ?, ?, ?)",
               params, 5, err);
}

/* ---- applying ---- */

/* A file on its way into the database. */
struct step {
    char *script;
    bool applied; /* not by another process */
    int line;     /* that is at fault; 0: none is */
};

/* Within a transaction, so that of several processes that start together one applies the file. */
static bool apply_script(struct tide_sql_db *db, const char *component, const struct schema_file *file,
                         struct step *step, struct tide_err *err)
{
    struct noted noted;

    if (!db->driver->begin_sync(db, err))
        return false;
    if (!find_noted(db, component, file->version, &noted, err))
        goto out;
    step->applied = !noted.applied;
    if (step->applied && !(db->driver->script_sync(db, step->script, &step->line, err) &&
                           note(db, component, file, step->script, err)))
        goto out;
    return db->driver->end_sync(db, true, err);
out:
    (void)db->driver->end_sync(db, false, NULL);
    return false;
}

static bool apply(struct tide_sql_db *db, const char *component, const char *dir,
                  const struct schema_file *file, struct tide_err *err)
{
    struct noted noted;
    struct step step = {0};
    char path[1024];
    bool ok;

    if (!find_noted(db, component, file->version, &noted, err))
        return false;
    if (noted.applied)
        return true;
    snprintf(path, sizeof path, "%s/%s", dir, file->name);
    step.script = read_file(path, err);
    if (!step.script)
        return false;
    ok = apply_script(db, component, file, &step, err);
    free(step.script);
    if (!ok)
        return step.line ? tide_err_prefix(err, "%s:%d", path, step.line) : tide_err_prefix(err, "%s", path);
    if (step.applied)
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

/* ---- what differs from what was applied ---- */

static bool is_changed(const char *path, const struct noted *noted, bool *changed, struct tide_err *err)
{
    char *script = read_file(path, err);
    char hash[HASH_LEN];

    if (!script)
        return false;
    hash_of(script, hash);
    *changed = strcmp(hash, noted->hash) != 0;
    free(script);
    return true;
}

static bool review(struct tide_sql_db *db, const char *component, const struct schema_dir *files,
                   tide_sql_review_cb *found, void *arg, struct tide_err *err)
{
    struct noted noted;
    bool ok = true, changed;
    char path[1024];

    for (int i = 0; ok && i < files->highest; i++) {
        if (!files->files[i].version)
            continue;
        changed = false;
        snprintf(path, sizeof path, "%s/%s", files->path, files->files[i].name);
        ok = find_noted(db, component, files->files[i].version, &noted, err) &&
             (!*noted.hash || is_changed(path, &noted, &changed, err));
        if (ok && (changed || !noted.applied))
            found(arg, component, changed ? TIDE_SQL_SCHEMA_CHANGED : TIDE_SQL_SCHEMA_PENDING, path);
    }
    return ok;
}

bool tide_sql_review(struct tide_sql_db *db, const char *component, const char *dir,
                     tide_sql_review_cb *found, void *arg, struct tide_err *err)
{
    struct schema_dir *files = read_dir(db, dir, err);
    bool ok = files && review(db, component, files, found, arg, err);

    free(files);
    return ok;
}

void tide_sql_log_changed(const struct tide_log *log, const char *component, const char *path)
{
    tide_log_event(log, TIDE_LOG_WARN, "schema file changed after it was applied: it is not applied again",
                   tide_log_str("component", component), tide_log_str("file", path),
                   tide_log_str("fix", "put it back, and what is to change into a new file"));
}

struct found {
    const struct tide_log *log;
    bool pending;
};

static void on_found(void *arg, const char *component, enum tide_sql_schema state, const char *path)
{
    struct found *found = arg;

    if (state == TIDE_SQL_SCHEMA_PENDING)
        found->pending = true;
    else
        tide_sql_log_changed(found->log, component, path);
}

/* Where nothing is pending nothing is written: the database's user may be one that only reads. */
bool tide_sql_migrate(struct tide_sql_db *db, const char *component, const char *dir, struct tide_err *err)
{
    struct schema_dir *files = read_dir(db, dir, err);
    struct found found = {.log = db->log};
    bool ok = files && review(db, component, files, on_found, &found, err);

    ok = ok && (!found.pending || make_table(db, err));
    for (int i = 0; found.pending && ok && i < files->highest; i++)
        if (files->files[i].version)
            ok = apply(db, component, dir, &files->files[i], err);
    free(files);
    return ok;
}
