#include "blob/file_index.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"

#define BUSY_MS 10000
#define MAX_RESULT (16 * 1024 * 1024) /* bytes of one find */
#define MAX_SQL 4096
#define MAX_PARAMS 16

/* One for reading, so that a look-up does not wait for the fsync of a change. */
struct connection {
    sqlite3 *db;
    pthread_mutex_t lock;
};

struct tide_blob_index {
    struct connection reads, changes;
};

/* A statement in the making: its text and what its question marks stand for. */
struct query {
    struct tide_buf sql;
    struct {
        const char *text; /* NULL: number */
        int64_t number;
    } param[MAX_PARAMS];
    int params;
};

static const char schema[] = "BEGIN IMMEDIATE;"
                             "CREATE TABLE IF NOT EXISTS file ("
                             "  bucket TEXT NOT NULL,"
                             "  id TEXT NOT NULL,"
                             "  file TEXT NOT NULL,"
                             "  name TEXT NOT NULL,"
                             "  length INTEGER NOT NULL,"
                             "  uploaded INTEGER NOT NULL,"
                             "  metadata TEXT NOT NULL"
                             "    CHECK (json_valid(metadata) AND json_type(metadata) = 'object'"
                             "           AND length(CAST(metadata AS BLOB)) <= 65536),"
                             "  UNIQUE (bucket, id)"
                             ") STRICT;"
                             "CREATE INDEX IF NOT EXISTS file_order ON file (bucket, uploaded DESC, id DESC);"
                             "CREATE INDEX IF NOT EXISTS file_owner"
                             "  ON file (bucket, json_extract(metadata, '$.owner'), uploaded DESC, id DESC);"
                             "CREATE INDEX IF NOT EXISTS file_state"
                             "  ON file (bucket, json_extract(metadata, '$.state'), uploaded DESC, id DESC);"
                             "PRAGMA user_version = 1;"
                             "COMMIT;";

static bool sqlite_error(sqlite3 *db, struct tide_err *err)
{
    int rc = sqlite3_extended_errcode(db), errnum = sqlite3_system_errno(db);
    const char *code = TIDE_ERR_INTERNAL;
    bool retryable = false;

    if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
        return tide_err_set(err, TIDE_ERR_EXISTS, false, "blob: that id is there already");
    if (rc == SQLITE_CONSTRAINT_CHECK)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "blob: metadata must be a JSON object of at most 64 KiB");
    if ((rc & 0xff) == SQLITE_ERROR && strstr(sqlite3_errmsg(db), "malformed JSON"))
        return tide_err_set(err, TIDE_ERR_INVALID, false, "blob: metadata is not JSON");
    if ((rc & 0xff) == SQLITE_FULL ||
        ((rc & 0xff) == SQLITE_IOERR && (errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG))) {
        code = TIDE_ERR_FULL;
        retryable = true;
    } else if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_NOMEM || (rc & 0xff) == SQLITE_CANTOPEN) {
        code = TIDE_ERR_UNAVAILABLE;
        retryable = true;
    }
    return tide_err_set(err, code, retryable, "blob index: %s", sqlite3_errmsg(db));
}

static bool execute(sqlite3 *db, const char *sql, struct tide_err *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || sqlite_error(db, err);
}

/* Turning WAL on does not use the busy handler when several processes start at once. */
static bool set_wal(sqlite3 *db, struct tide_err *err)
{
    int64_t deadline = tide_clock_monotonic_ms() + BUSY_MS;

    while (!execute(db, "PRAGMA journal_mode = WAL", err)) {
        if ((sqlite3_errcode(db) & 0xff) != SQLITE_BUSY || tide_clock_monotonic_ms() > deadline)
            return false;
        sqlite3_sleep(10);
    }
    return true;
}

static bool open_connection(struct connection *c, const char *path, struct tide_err *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;

    if (sqlite3_open_v2(path, &c->db, flags, NULL) != SQLITE_OK) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "%s: %s", path,
                     c->db ? sqlite3_errmsg(c->db) : "out of memory");
        sqlite3_close(c->db);
        c->db = NULL;
        return false;
    }
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, BUSY_MS);
    return set_wal(c->db, err) && execute(c->db, "PRAGMA synchronous = FULL; PRAGMA cache_size = -1024", err);
}

struct tide_blob_index *tide_blob_index_open(const char *path, struct tide_err *err)
{
    struct tide_blob_index *index = calloc(1, sizeof *index);

    if (!index) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        return NULL;
    }
    pthread_mutex_init(&index->reads.lock, NULL);
    pthread_mutex_init(&index->changes.lock, NULL);
    if (tide_file_make_private(path, err) && open_connection(&index->changes, path, err) &&
        execute(index->changes.db, schema, err) && open_connection(&index->reads, path, err))
        return index;
    tide_err_prefix(err, "%s", path);
    tide_blob_index_close(index);
    return NULL;
}

void tide_blob_index_close(struct tide_blob_index *index)
{
    sqlite3_close(index->reads.db);
    sqlite3_close(index->changes.db);
    pthread_mutex_destroy(&index->reads.lock);
    pthread_mutex_destroy(&index->changes.lock);
    free(index);
}

static void add_text(struct query *q, const char *sql, const char *value)
{
    tide_buf_puts(&q->sql, sql);
    q->param[q->params++].text = value;
}

static void add_number(struct query *q, const char *sql, int64_t value)
{
    tide_buf_puts(&q->sql, sql);
    q->param[q->params].text = NULL;
    q->param[q->params++].number = value;
}

static void query_init(struct query *q, const char *sql)
{
    memset(q, 0, sizeof *q);
    tide_buf_init(&q->sql, MAX_SQL);
    tide_buf_puts(&q->sql, sql);
}

/* Releases the query. NULL with err. */
static sqlite3_stmt *prepare(struct connection *c, struct query *q, struct tide_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = q->sql.overflow ? SQLITE_NOMEM : sqlite3_prepare_v2(c->db, q->sql.data, -1, &stmt, NULL);

    for (int i = 0; rc == SQLITE_OK && i < q->params; i++) {
        if (q->param[i].text)
            rc = sqlite3_bind_text(stmt, i + 1, q->param[i].text, -1, SQLITE_STATIC);
        else
            rc = sqlite3_bind_int64(stmt, i + 1, q->param[i].number);
    }
    tide_buf_release(&q->sql);
    if (rc == SQLITE_OK)
        return stmt;
    if (rc == SQLITE_NOMEM)
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob index: out of memory");
    else
        sqlite_error(c->db, err);
    sqlite3_finalize(stmt);
    return NULL;
}

/* Runs a statement that gives no rows. */
static bool run_change(struct connection *c, struct query *q, bool *changed, struct tide_err *err)
{
    bool ok = false;
    sqlite3_stmt *stmt;

    pthread_mutex_lock(&c->lock);
    stmt = prepare(c, q, err);
    if (stmt) {
        ok = sqlite3_step(stmt) == SQLITE_DONE || sqlite_error(c->db, err);
        if (ok && changed)
            *changed = sqlite3_changes(c->db) > 0;
        sqlite3_finalize(stmt);
    }
    pthread_mutex_unlock(&c->lock);
    return ok;
}

bool tide_blob_index_ready(struct tide_blob_index *index, struct tide_err *err)
{
    bool ok;

    pthread_mutex_lock(&index->reads.lock);
    ok = execute(index->reads.db, "SELECT id FROM file LIMIT 1", err);
    pthread_mutex_unlock(&index->reads.lock);
    return ok;
}

bool tide_blob_index_insert(struct tide_blob_index *index, const char *bucket,
                            const struct tide_blob_info *info, const char *file, struct tide_err *err)
{
    struct query q;

    query_init(&q, "INSERT INTO file (bucket, id, file, name, metadata, length, uploaded) VALUES (");
    add_text(&q, "?", bucket);
    add_text(&q, ",?", info->id.hex);
    add_text(&q, ",?", file);
    add_text(&q, ",?", info->name);
    add_text(&q, ",?", info->metadata);
    add_number(&q, ",?", info->length);
    add_number(&q, ",?", info->uploaded_ms);
    tide_buf_puts(&q.sql, ")");
    return run_change(&index->changes, &q, NULL, err);
}

static char *column_text(sqlite3_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);

    return text ? strdup((const char *)text) : NULL;
}

/* Columns: id, length, uploaded, name, metadata. */
static bool read_info(sqlite3_stmt *stmt, struct tide_blob_info *info, struct tide_err *err)
{
    const unsigned char *id = sqlite3_column_text(stmt, 0);

    memset(info, 0, sizeof *info);
    if (!id || !tide_id_parse((const char *)id, &info->id))
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "blob index: a row without a proper id");
    info->length = sqlite3_column_int64(stmt, 1);
    info->uploaded_ms = sqlite3_column_int64(stmt, 2);
    info->name = column_text(stmt, 3);
    info->metadata = column_text(stmt, 4);
    if (info->name && info->metadata)
        return true;
    tide_blob_info_release(info);
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
}

static bool copy_file_name(sqlite3_stmt *stmt, int column, char file[TIDE_BLOB_FILE_NAME],
                           struct tide_err *err)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);
    size_t len = text ? strlen((const char *)text) : 0;

    if (!text || len == 0 || len >= TIDE_BLOB_FILE_NAME || strchr((const char *)text, '/'))
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "blob index: a row without a proper file");
    memcpy(file, text, len + 1);
    return true;
}

bool tide_blob_index_lookup(struct tide_blob_index *index, const char *bucket, const struct tide_id *id,
                            struct tide_blob_info *info, char file[TIDE_BLOB_FILE_NAME], struct tide_err *err)
{
    struct connection *c = &index->reads;
    struct query q;
    sqlite3_stmt *stmt;
    bool ok = false;
    int rc;

    query_init(&q, "SELECT id, length, uploaded, name, metadata, file FROM file WHERE");
    add_text(&q, " bucket = ?", bucket);
    add_text(&q, " AND id = ?", id->hex);
    pthread_mutex_lock(&c->lock);
    stmt = prepare(c, &q, err);
    if (stmt) {
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW)
            ok = copy_file_name(stmt, 5, file, err) && (!info || read_info(stmt, info, err));
        else if (rc == SQLITE_DONE)
            tide_err_set(err, TIDE_ERR_NOT_FOUND, false, "blob: no file %s in %s", id->hex, bucket);
        else
            sqlite_error(c->db, err);
        sqlite3_finalize(stmt);
    }
    pthread_mutex_unlock(&c->lock);
    return ok;
}

static void add_conditions(struct query *q, const char *bucket, const struct tide_blob_query *query)
{
    add_text(q, " WHERE bucket = ?", bucket);
    if (query->id)
        add_text(q, " AND id = ?", query->id->hex);
    if (query->older_than_ms)
        add_number(q, " AND uploaded < ?", query->older_than_ms);
    for (size_t i = 0; i < sizeof query->where / sizeof query->where[0]; i++) {
        if (!query->where[i].key)
            continue;
        tide_buf_printf(&q->sql, " AND json_extract(metadata, '$.%s')", query->where[i].key);
        if (query->where[i].value)
            add_text(q, " = ?", query->where[i].value);
        else
            tide_buf_puts(&q->sql, " IS NULL");
    }
}

static bool push(struct tide_blob_list *list, sqlite3_stmt *stmt, size_t *bytes, struct tide_err *err)
{
    struct tide_blob_info *items;

    if ((list->count & (list->count - 1)) == 0) {
        items = realloc(list->items, sizeof *items * (list->count ? list->count * 2 : 1));
        if (!items)
            return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        list->items = items;
    }
    if (!read_info(stmt, &list->items[list->count], err))
        return false;
    *bytes += strlen(list->items[list->count].name) + strlen(list->items[list->count].metadata);
    list->count++;
    if (*bytes > MAX_RESULT)
        return tide_err_set(err, TIDE_ERR_TOO_LARGE, false, "blob: over 16 MiB found, ask for fewer files");
    return true;
}

bool tide_blob_index_find(struct tide_blob_index *index, const char *bucket,
                          const struct tide_blob_query *query, struct tide_blob_list *list,
                          struct tide_err *err)
{
    struct connection *c = &index->reads;
    struct tide_blob_info before = {0};
    char file[TIDE_BLOB_FILE_NAME];
    size_t bytes = 0;
    struct query q;
    sqlite3_stmt *stmt;
    int rc = SQLITE_ERROR;
    bool ok = false;

    if (query->before && !tide_blob_index_lookup(index, bucket, query->before, &before, file, err))
        return false;
    query_init(&q, "SELECT id, length, uploaded, name, metadata FROM file");
    add_conditions(&q, bucket, query);
    if (query->before) {
        add_number(&q, " AND (uploaded, id) < (?", before.uploaded_ms);
        add_text(&q, ", ?)", query->before->hex);
    }
    add_number(&q, " ORDER BY uploaded DESC, id DESC LIMIT ?", (int64_t)query->limit);
    tide_blob_info_release(&before);

    pthread_mutex_lock(&c->lock);
    stmt = prepare(c, &q, err);
    if (stmt) {
        do
            ok = (rc = sqlite3_step(stmt)) != SQLITE_ROW || push(list, stmt, &bytes, err);
        while (ok && rc == SQLITE_ROW);
        if (ok && rc != SQLITE_DONE)
            ok = sqlite_error(c->db, err);
        sqlite3_finalize(stmt);
    }
    pthread_mutex_unlock(&c->lock);
    if (!ok)
        tide_blob_list_release(list);
    return ok;
}

bool tide_blob_index_annotate(struct tide_blob_index *index, const char *bucket,
                              const struct tide_blob_query *query, const char *patch, bool *changed,
                              struct tide_err *err)
{
    struct query q;

    query_init(&q, "UPDATE file SET metadata = ");
    /* A patch that is no object would replace the metadata by itself; the table's check refuses that. */
    add_text(&q, "json_patch(metadata, ?)", patch);
    add_conditions(&q, bucket, query);
    return run_change(&index->changes, &q, changed, err);
}

bool tide_blob_index_remove(struct tide_blob_index *index, const char *bucket, const struct tide_id *id,
                            bool *changed, char file[TIDE_BLOB_FILE_NAME], struct tide_err *err)
{
    struct connection *c = &index->changes;
    struct query q;
    sqlite3_stmt *stmt;
    bool ok = false;
    int rc;

    query_init(&q, "DELETE FROM file WHERE");
    add_text(&q, " bucket = ?", bucket);
    add_text(&q, " AND id = ?", id->hex);
    tide_buf_puts(&q.sql, " RETURNING file");
    pthread_mutex_lock(&c->lock);
    stmt = prepare(c, &q, err);
    if (stmt) {
        rc = sqlite3_step(stmt);
        *changed = rc == SQLITE_ROW;
        ok = !*changed || copy_file_name(stmt, 0, file, err);
        /* The row is gone for good only when the statement has come to its end. */
        while (rc == SQLITE_ROW)
            rc = sqlite3_step(stmt);
        if (rc != SQLITE_DONE)
            ok = sqlite_error(c->db, err);
        sqlite3_finalize(stmt);
    }
    pthread_mutex_unlock(&c->lock);
    return ok;
}
