#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sqlite_conn.h"

/* ---- prepared statements ---- */

static uint64_t hash_text(const char *text)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a */

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

/* A free place, or that of the statement used longest ago. */
static struct tide_sqlite_cached *make_place(struct tide_sqlite_conn *conn)
{
    struct tide_sqlite_cached *place = &conn->cache[0];

    for (size_t i = 0; i < TIDE_SQLITE_CACHED && place->stmt; i++)
        if (!conn->cache[i].stmt || conn->cache[i].used < place->used)
            place = &conn->cache[i];
    sqlite3_finalize(place->stmt);
    free(place->text);
    *place = (struct tide_sqlite_cached){0};
    return place;
}

/* Nothing but spaces, comments and semicolons. */
static bool is_blank(const char *text)
{
    for (;;) {
        text += strspn(text, " \t\r\n\f;");
        if (text[0] == '-' && text[1] == '-') {
            text += strcspn(text, "\n");
        } else if (text[0] == '/' && text[1] == '*') {
            const char *end = strstr(text + 2, "*/");

            text = end ? end + 2 : text + strlen(text);
        } else {
            return *text == '\0';
        }
    }
}

static sqlite3_stmt *prepare(struct tide_sqlite_conn *conn, const char *text, struct tide_err *err)
{
    sqlite3_stmt *stmt = NULL;
    const char *tail = NULL;
    int rc = sqlite3_prepare_v3(conn->db, text, -1, SQLITE_PREPARE_PERSISTENT, &stmt, &tail);

    if (rc != SQLITE_OK) {
        tide_sqlite_conn_fail(conn, rc, text, err);
    } else if (!stmt) {
        tide_err_set(err, TIDE_ERR_INVALID, false, "sqlite: the statement is empty");
    } else if (!is_blank(tail)) {
        tide_err_set(err, TIDE_ERR_INVALID, false,
                     "sqlite: one statement a call, this follows the first: %.120s",
                     tail + strspn(tail, " \t\r\n"));
        sqlite3_finalize(stmt);
        stmt = NULL;
    }
    return stmt;
}

static sqlite3_stmt *cached(struct tide_sqlite_conn *conn, const char *text, struct tide_err *err)
{
    uint64_t hash = hash_text(text);
    struct tide_sqlite_cached *place;
    sqlite3_stmt *stmt;

    for (size_t i = 0; i < TIDE_SQLITE_CACHED; i++) {
        place = &conn->cache[i];
        if (place->stmt && place->hash == hash && strcmp(place->text, text) == 0) {
            place->used = ++conn->turn;
            return place->stmt;
        }
    }
    stmt = prepare(conn, text, err);
    if (!stmt)
        return NULL;
    place = make_place(conn);
    place->text = strdup(text);
    if (!place->text) {
        sqlite3_finalize(stmt);
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "sqlite: out of memory");
        return NULL;
    }
    place->stmt = stmt;
    place->hash = hash;
    place->used = ++conn->turn;
    return stmt;
}

/* ---- parameters ---- */

static int bind_one(sqlite3_stmt *stmt, int i, const struct tide_sql_value *value)
{
    switch (value->type) {
    case TIDE_SQL_NULL:
        return sqlite3_bind_null(stmt, i);
    case TIDE_SQL_INT:
        return sqlite3_bind_int64(stmt, i, value->integer);
    case TIDE_SQL_NUMBER:
        return sqlite3_bind_double(stmt, i, value->number);
    case TIDE_SQL_TEXT: /* static: the caller's parameters outlive the run */
        return sqlite3_bind_text64(stmt, i, value->len ? value->text : "", value->len, SQLITE_STATIC,
                                   SQLITE_UTF8);
    }
    assert(!"a value has one of the four types");
    return SQLITE_MISUSE;
}

static bool bind_all(struct tide_sqlite_conn *conn, sqlite3_stmt *stmt,
                     const struct tide_sql_statement *statement, struct tide_err *err)
{
    size_t wanted = (size_t)sqlite3_bind_parameter_count(stmt);

    if (wanted != statement->count)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "sqlite: the statement takes %zu parameter%s, %zu given: %.120s", wanted,
                            wanted == 1 ? "" : "s", statement->count, statement->text);
    for (size_t i = 0; i < statement->count; i++) {
        int rc = bind_one(stmt, (int)i + 1, &statement->params[i]);

        if (rc != SQLITE_OK)
            return tide_sqlite_conn_fail(conn, rc, statement->text, err);
    }
    return true;
}

/* ---- results ---- */

struct collector {
    struct tide_sql_result *result;
    size_t bytes; /* of the result so far */
    size_t room;  /* rows that fit */
};

static char *copy_bytes(const void *bytes, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

static bool fail_memory(struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "sqlite: out of memory for the result");
}

static bool take_names(struct collector *to, sqlite3_stmt *stmt, struct tide_err *err)
{
    struct tide_sql_result *result = to->result;
    size_t columns = (size_t)sqlite3_column_count(stmt);

    if (columns == 0)
        return true;
    result->names = calloc(columns, sizeof *result->names);
    if (!result->names)
        return fail_memory(err);
    result->columns = columns;
    for (size_t i = 0; i < columns; i++) {
        const char *name = sqlite3_column_name(stmt, (int)i);

        result->names[i] = name ? copy_bytes(name, strlen(name)) : NULL;
        if (!result->names[i])
            return fail_memory(err);
        to->bytes += strlen(name) + sizeof(char *);
    }
    return true;
}

static bool take_value(struct collector *to, sqlite3_stmt *stmt, int column, struct tide_sql_value *value)
{
    const void *bytes;

    to->bytes += sizeof *value;
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER:
        value->type = TIDE_SQL_INT;
        value->integer = sqlite3_column_int64(stmt, column);
        return true;
    case SQLITE_FLOAT:
        value->type = TIDE_SQL_NUMBER;
        value->number = sqlite3_column_double(stmt, column);
        return true;
    case SQLITE_NULL:
        value->type = TIDE_SQL_NULL;
        return true;
    default:
        value->type = TIDE_SQL_TEXT;
        bytes = sqlite3_column_blob(stmt, column);
        value->len = (size_t)sqlite3_column_bytes(stmt, column);
        to->bytes += value->len;
        if (to->bytes > TIDE_SQL_MAX_BYTES)
            return true; /* the row is refused as a whole, so don't copy it */
        value->text = copy_bytes(bytes, value->len);
        return value->text != NULL;
    }
}

static bool grow(struct collector *to)
{
    struct tide_sql_result *result = to->result;
    size_t room = to->room ? to->room * 2 : 4;
    void *values = realloc(result->values, room * result->columns * sizeof *result->values);

    if (!values)
        return false;
    result->values = values;
    to->room = room;
    return true;
}

static bool take_row(struct collector *to, sqlite3_stmt *stmt, struct tide_err *err)
{
    struct tide_sql_result *result = to->result;
    struct tide_sql_value *row;

    if (result->rows == TIDE_SQL_MAX_ROWS)
        return tide_err_set(err, TIDE_ERR_LIMIT, false, "sqlite: more than %d rows: add a LIMIT",
                            TIDE_SQL_MAX_ROWS);
    if (result->rows == to->room && !grow(to))
        return fail_memory(err);
    row = &result->values[result->rows * result->columns];
    memset(row, 0, result->columns * sizeof *row);
    result->rows++;
    for (size_t i = 0; i < result->columns; i++)
        if (!take_value(to, stmt, (int)i, &row[i]))
            return fail_memory(err);
    if (to->bytes > TIDE_SQL_MAX_BYTES)
        return tide_err_set(err, TIDE_ERR_LIMIT, false, "sqlite: a result of more than %zu MiB: add a LIMIT",
                            TIDE_SQL_MAX_BYTES >> 20);
    return true;
}

/* ---- running ---- */

static bool step_all(struct tide_sqlite_conn *conn, sqlite3_stmt *stmt, const char *text,
                     struct tide_sql_result *result, struct tide_err *err)
{
    struct collector to = {.result = result};
    int64_t changes = sqlite3_total_changes64(conn->db);
    int rc;

    sqlite3_set_last_insert_rowid(conn->db, 0);
    rc = sqlite3_step(stmt); /* which prepares it anew when the schema has changed: other columns */
    if ((rc == SQLITE_ROW || rc == SQLITE_DONE) && !take_names(&to, stmt, err))
        return false;
    for (; rc == SQLITE_ROW; rc = sqlite3_step(stmt))
        if (!take_row(&to, stmt, err))
            return false;
    if (rc != SQLITE_DONE)
        return tide_sqlite_conn_fail(conn, rc, text, err);
    /* After a CREATE or a SELECT sqlite3_changes still tells of the statement before. */
    if (sqlite3_total_changes64(conn->db) != changes)
        result->affected = sqlite3_changes64(conn->db);
    result->last_id = sqlite3_last_insert_rowid(conn->db);
    return true;
}

static bool run_prepared(struct tide_sqlite_conn *conn, sqlite3_stmt *stmt, const char *text,
                         struct tide_sql_result *result, struct tide_err *err)
{
    bool ok;

    *result = (struct tide_sql_result){0};
    ok = step_all(conn, stmt, text, result, err);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    if (!ok)
        tide_sql_result_release(result);
    return ok;
}

/* A statement with RETURNING has written everything before its first row is read, so that a result over the
 * limit would be an error whose work is kept: run it in a transaction, to take it back. */
static bool run_returning(struct tide_sqlite_conn *conn, sqlite3_stmt *stmt, const char *text,
                          struct tide_sql_result *result, struct tide_err *err)
{
    if (!tide_sqlite_conn_begin(conn, err))
        return false;
    if (!run_prepared(conn, stmt, text, result, err)) {
        (void)tide_sqlite_conn_end(conn, false, NULL);
        return false;
    }
    if (tide_sqlite_conn_end(conn, true, err))
        return true;
    tide_sql_result_release(result);
    return false;
}

bool tide_sqlite_conn_run(struct tide_sqlite_conn *conn, const struct tide_sql_statement *statement,
                          struct tide_sql_result *result, struct tide_err *err)
{
    sqlite3_stmt *stmt = cached(conn, statement->text, err);

    if (!stmt)
        return false;
    if (!bind_all(conn, stmt, statement, err)) {
        sqlite3_clear_bindings(stmt);
        return false;
    }
    if (sqlite3_column_count(stmt) > 0 && !sqlite3_stmt_readonly(stmt) && !tide_sqlite_conn_in_tx(conn))
        return run_returning(conn, stmt, statement->text, result, err);
    return run_prepared(conn, stmt, statement->text, result, err);
}

static int line_of(const char *script, const char *at)
{
    int line = 1;

    for (; script < at; script++)
        line += *script == '\n';
    return line;
}

static const char *skip_blank(const char *text)
{
    for (;;) {
        text += strspn(text, " \t\r\n\f;");
        if (text[0] != '-' || text[1] != '-')
            return text;
        text += strcspn(text, "\n");
    }
}

/* In a statement that can't be prepared. */
static int offset_of_error(sqlite3 *db)
{
    int offset = sqlite3_error_offset(db);

    return offset > 0 ? offset : 0;
}

bool tide_sqlite_conn_script(struct tide_sqlite_conn *conn, const char *script, int *line,
                             struct tide_err *err)
{
    const char *at = skip_blank(script);

    while (!is_blank(at)) {
        struct tide_sql_result result;
        sqlite3_stmt *stmt = NULL;
        const char *tail = NULL;
        int rc = sqlite3_prepare_v2(conn->db, at, -1, &stmt, &tail);
        int offset = rc == SQLITE_OK ? 0 : offset_of_error(conn->db);
        bool ok = rc == SQLITE_OK || tide_sqlite_conn_fail(conn, rc, NULL, err);

        ok = ok && (!stmt || run_prepared(conn, stmt, NULL, &result, err));
        if (ok && stmt)
            tide_sql_result_release(&result);
        sqlite3_finalize(stmt);
        if (!ok) {
            *line = line_of(script, at + offset);
            return false;
        }
        at = skip_blank(tail);
    }
    return true;
}
