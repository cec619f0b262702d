#include "sql/sqlite_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"

static bool out_of_time(const struct tide_sqlite_conn *conn)
{
    if (conn->stop && atomic_load_explicit(conn->stop, memory_order_relaxed))
        return true;
    return tide_clock_monotonic_ms() >= conn->deadline_ms;
}

static int on_progress(void *arg)
{
    return out_of_time(arg);
}

/* SQLite asks again after every nap: short ones first, since a commit takes a few milliseconds at most. */
static int on_busy(void *arg, int count)
{
    struct timespec nap = {.tv_nsec = count < 4 ? 500000L : count < 20 ? 2000000L : 10000000L};

    if (out_of_time(arg))
        return 0;
    nanosleep(&nap, NULL);
    return 1;
}

static bool pragma_allowed(const char *name, const char *value)
{
    static const char *const queries[] = {
        "table_info",  "table_xinfo",      "table_list",        "index_list",  "index_info",
        "index_xinfo", "foreign_key_list", "foreign_key_check", "quick_check", "integrity_check"};

    if (sqlite3_stricmp(name, "user_version") == 0)
        return value == NULL;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++)
        if (sqlite3_stricmp(name, queries[i]) == 0)
            return true;
    return false;
}

static int on_authorize(void *arg, int action, const char *first, const char *second, const char *schema,
                        const char *trigger)
{
    const struct tide_sqlite_conn *conn = arg;

    (void)schema;
    (void)trigger;
    if (conn->trusted)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
        return SQLITE_DENY;
    case SQLITE_PRAGMA:
        return pragma_allowed(first, second) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_FUNCTION:
        return second && sqlite3_stricmp(second, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    default:
        return SQLITE_OK;
    }
}

static void harden(struct tide_sqlite_conn *conn)
{
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_limit(conn->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(conn->db, SQLITE_LIMIT_LENGTH, (int)TIDE_SQL_MAX_BYTES);
    sqlite3_limit(conn->db, SQLITE_LIMIT_SQL_LENGTH, 1024 * 1024);
    sqlite3_limit(conn->db, SQLITE_LIMIT_VARIABLE_NUMBER, 1000);
    sqlite3_limit(conn->db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000); /* each % takes stack */
    sqlite3_extended_result_codes(conn->db, 1);
    sqlite3_busy_handler(conn->db, on_busy, conn);
    sqlite3_progress_handler(conn->db, 2000, on_progress, conn);
    sqlite3_set_authorizer(conn->db, on_authorize, conn);
}

/* The switch to WAL takes an exclusive lock that the busy handler isn't asked about, so try again here. */
static int set_wal(struct tide_sqlite_conn *conn)
{
    int rc;

    for (int count = 0;; count++) {
        rc = sqlite3_exec(conn->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if ((rc & 0xff) != SQLITE_BUSY || !on_busy(conn, count))
            return rc;
    }
}

static bool set_up(struct tide_sqlite_conn *conn, bool read_only, struct tide_err *err)
{
    int rc = set_wal(conn);

    if (rc == SQLITE_OK)
        rc = sqlite3_exec(conn->db,
                          "PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;"
                          "PRAGMA journal_size_limit = 16777216; PRAGMA cell_size_check = ON",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK && read_only)
        rc = sqlite3_exec(conn->db, "PRAGMA query_only = ON", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(conn->db, "BEGIN IMMEDIATE", -1, &conn->begin, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(conn->db, "COMMIT", -1, &conn->commit, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(conn->db, "ROLLBACK", -1, &conn->rollback, NULL);
    return rc == SQLITE_OK || tide_sqlite_conn_fail(conn, rc, NULL, err);
}

struct tide_sqlite_conn *tide_sqlite_conn_open(const char *path, bool read_only, struct tide_err *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    struct tide_sqlite_conn *conn;

    if (!read_only && !tide_file_make_private(path, err)) { /* passwords live in it */
        tide_err_prefix(err, "sqlite");
        return NULL;
    }
    conn = calloc(1, sizeof *conn);
    if (!conn) {
        tide_err_errno(err, ENOMEM, "sqlite");
        return NULL;
    }
    conn->trusted = true;
    conn->deadline_ms = tide_clock_monotonic_ms() + TIDE_SQL_TIMEOUT_MS;
    if (sqlite3_open_v2(path, &conn->db, flags, NULL) != SQLITE_OK) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "sqlite: cannot open %s: %s", path,
                     conn->db ? sqlite3_errmsg(conn->db) : "out of memory");
        tide_sqlite_conn_free(conn);
        return NULL;
    }
    harden(conn);
    if (!set_up(conn, read_only, err)) {
        tide_err_prefix(err, "%s", path);
        tide_sqlite_conn_free(conn);
        return NULL;
    }
    conn->trusted = false;
    return conn;
}

void tide_sqlite_conn_free(struct tide_sqlite_conn *conn)
{
    if (!conn)
        return;
    for (size_t i = 0; i < TIDE_SQLITE_CACHED; i++) {
        sqlite3_finalize(conn->cache[i].stmt);
        free(conn->cache[i].text);
    }
    sqlite3_finalize(conn->begin);
    sqlite3_finalize(conn->commit);
    sqlite3_finalize(conn->rollback);
    sqlite3_close_v2(conn->db);
    free(conn);
}

void tide_sqlite_conn_limit(struct tide_sqlite_conn *conn, int64_t deadline_ms, const atomic_bool *stop)
{
    conn->deadline_ms = deadline_ms;
    conn->stop = stop;
}

bool tide_sqlite_conn_in_tx(const struct tide_sqlite_conn *conn)
{
    return sqlite3_get_autocommit(conn->db) == 0;
}

static int step(struct tide_sqlite_conn *conn, sqlite3_stmt *stmt)
{
    int rc;

    /* A BEGIN prepared while trusted is prepared anew by SQLite when the schema changed. */
    conn->trusted = true;
    rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    conn->trusted = false;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

bool tide_sqlite_conn_begin(struct tide_sqlite_conn *conn, struct tide_err *err)
{
    int rc = step(conn, conn->begin);

    return rc == SQLITE_OK || tide_sqlite_conn_fail(conn, rc, NULL, err);
}

bool tide_sqlite_conn_end(struct tide_sqlite_conn *conn, bool commit, struct tide_err *err)
{
    int rc = SQLITE_OK;

    /* An error such as a full disk may have rolled back already. */
    if (!tide_sqlite_conn_in_tx(conn))
        return !commit ||
               tide_err_set(err, TIDE_ERR_CONFLICT, false, "sqlite: the transaction was rolled back");
    /* Nobody may stop half-way through the end: it is short, and its outcome has to be known. */
    tide_sqlite_conn_limit(conn, INT64_MAX, NULL);
    if (commit)
        rc = step(conn, conn->commit);
    if (rc != SQLITE_OK)
        tide_sqlite_conn_fail(conn, rc, NULL, err);
    if (tide_sqlite_conn_in_tx(conn))
        step(conn, conn->rollback);
    return rc == SQLITE_OK;
}

static bool no_space(struct tide_sqlite_conn *conn, int rc)
{
    int system = sqlite3_system_errno(conn->db);

    if ((rc & 0xff) == SQLITE_FULL)
        return true;
    return (rc & 0xff) == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT || system == EFBIG);
}

static bool is_stopped(const struct tide_sqlite_conn *conn)
{
    return conn->stop && atomic_load_explicit(conn->stop, memory_order_relaxed);
}

static bool fail_invalid(struct tide_sqlite_conn *conn, const char *text, struct tide_err *err)
{
    int offset = sqlite3_error_offset(conn->db);

    if (text && offset >= 0)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "sqlite: %s, at byte %d of: %.120s",
                            sqlite3_errmsg(conn->db), offset + 1, text);
    if (text)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "sqlite: %s, in: %.120s", sqlite3_errmsg(conn->db),
                            text);
    return tide_err_set(err, TIDE_ERR_INVALID, false, "sqlite: %s", sqlite3_errmsg(conn->db));
}

bool tide_sqlite_conn_fail(struct tide_sqlite_conn *conn, int rc, const char *text, struct tide_err *err)
{
    const char *message = sqlite3_errmsg(conn->db);

    if (no_space(conn, rc))
        return tide_err_set(err, TIDE_ERR_FULL, true, "sqlite: no space left: %s", message);
    if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_ROWID)
        return tide_err_set(err, TIDE_ERR_EXISTS, false, "sqlite: %s", message);
    switch (rc & 0xff) {
    case SQLITE_INTERRUPT:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        if (is_stopped(conn))
            return tide_err_set(err, TIDE_ERR_CANCELED, false, "sqlite: stopped");
        if ((rc & 0xff) == SQLITE_INTERRUPT)
            return tide_err_set(err, TIDE_ERR_TIMEOUT, true, "sqlite: the statement ran past its timeout");
        return tide_err_set(err, TIDE_ERR_TIMEOUT, true,
                            "sqlite: locked by another connection past the timeout");
    case SQLITE_AUTH:
        return tide_err_set(
            err, TIDE_ERR_INVALID, false,
            "sqlite: %s (a statement may not attach files, load extensions, change PRAGMAs, or "
            "begin and end transactions)",
            message);
    case SQLITE_TOOBIG:
        return tide_err_set(err, TIDE_ERR_TOO_LARGE, false, "sqlite: %s", message);
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
    case SQLITE_READONLY:
        return fail_invalid(conn, text, err);
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_SCHEMA:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "sqlite: %s", message);
    default: /* CORRUPT, NOTADB and whatever should not happen */
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "sqlite: %s (%d)", message, rc);
    }
}
