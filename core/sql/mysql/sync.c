/* What blocks: schema files, the command line, and whether the server answers. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sql/mysql/db.h"

#define READY_S 1
#define OPEN_S 5
#define LOCK_MS 70000    /* a schema file that another process applies takes no longer */
#define SCRIPT_MS 600000 /* a schema change over a large table may take its time */

static bool open_sync(struct tide_mysql_db *db, unsigned timeout_s, struct tide_err *err)
{
    if (db->sync && !db->sync->lost)
        return true;
    tide_mysql_conn_close(db->sync);
    db->sync = tide_mysql_conn_open(&db->url, timeout_s, NULL, err);
    if (db->sync)
        tide_mysql_warn(db);
    return db->sync != NULL;
}

/* Waits for what was started. */
static bool await(struct tide_mysql_db *db, int events, int64_t timeout_ms, struct tide_err *err)
{
    if (tide_mysql_conn_wait(db->sync, events, tide_clock_monotonic_ms() + timeout_ms))
        return true;
    *err = db->sync->err;
    return false;
}

static bool command(struct tide_mysql_db *db, const char *text, int64_t timeout_ms, struct tide_err *err)
{
    return await(db, tide_mysql_conn_command(db->sync, text), timeout_ms, err);
}

bool tide_mysql_run_sync(struct tide_sql_db *base, const struct tide_sql_statement *statement,
                         struct tide_sql_result *result, struct tide_err *err)
{
    struct tide_mysql_db *db = (struct tide_mysql_db *)base;

    /* Once more when the server has closed the connection since the last call. */
    for (int i = 0;; i++) {
        if (!open_sync(db, OPEN_S, err))
            return false;
        if (await(db, tide_mysql_conn_run(db->sync, statement, false, result), statement->timeout_ms, err))
            return true;
        if (i > 0 || !db->sync->lost || db->sync_in_tx ||
            tide_mysql_kind_of(statement->text) != TIDE_MYSQL_READS)
            return false;
    }
}

bool tide_mysql_ready(struct tide_sql_db *base, struct tide_err *err)
{
    struct tide_mysql_db *db = (struct tide_mysql_db *)base;

    for (int i = 0; i < 2; i++) {
        if (!open_sync(db, READY_S, err))
            return false;
        if (await(db, tide_mysql_conn_ping(db->sync), READY_S * 1000, err))
            return true;
    }
    return false;
}

/* ---- transactions, one process at a time ---- */

/* DDL commits by itself, so a lock keeps others out. */
static bool lock(struct tide_mysql_db *db, struct tide_err *err)
{
    struct tide_sql_statement ask = {.text = "SELECT GET_LOCK(CONCAT('tidemill.', MD5(DATABASE())), 60)",
                                     .timeout_ms = LOCK_MS};
    struct tide_sql_result result;
    bool got;

    if (!await(db, tide_mysql_conn_run(db->sync, &ask, false, &result), LOCK_MS, err))
        return false;
    got = result.rows == 1 && result.values[0].integer == 1;
    tide_sql_result_release(&result);
    return got || tide_err_set(err, TIDE_ERR_TIMEOUT, true,
                               "mysql: another process has been changing the schema of "
                               "%s for a minute",
                               db->url.shown);
}

bool tide_mysql_begin_sync(struct tide_sql_db *base, struct tide_err *err)
{
    struct tide_mysql_db *db = (struct tide_mysql_db *)base;

    if (!open_sync(db, OPEN_S, err) || !lock(db, err))
        return false;
    db->sync_in_tx = command(db, "START TRANSACTION", TIDE_SQL_TIMEOUT_MS, err);
    return db->sync_in_tx;
}

bool tide_mysql_end_sync(struct tide_sql_db *base, bool commit, struct tide_err *err)
{
    struct tide_mysql_db *db = (struct tide_mysql_db *)base;
    struct tide_err own;
    bool ok;

    db->sync_in_tx = false;
    if (db->sync->lost)
        return !commit ||
               tide_err_set(err, TIDE_ERR_UNAVAILABLE, true,
                            "mysql: the connection was lost in a transaction, which was rolled back");
    ok = command(db, commit ? "COMMIT" : "ROLLBACK", TIDE_SQL_TIMEOUT_MS, err ? err : &own);
    if (!db->sync->lost)
        (void)command(db, "SELECT RELEASE_LOCK(CONCAT('tidemill.', MD5(DATABASE())))", TIDE_SQL_TIMEOUT_MS,
                      &own);
    return ok;
}

static int line_of(const char *script, const char *at)
{
    int line = 1;

    for (; script < at; script++)
        line += *script == '\n';
    return line;
}

static bool run_statement(struct tide_mysql_db *db, const char *text, size_t len, struct tide_err *err)
{
    char *copy = strndup(text, len);
    bool ok;

    if (!copy)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "mysql: out of memory");
    if (tide_mysql_kind_of(copy) == TIDE_MYSQL_DENIED)
        ok = tide_err_set(err, TIDE_ERR_INVALID, false, "mysql: not in a schema file: %.60s", copy);
    else
        ok = command(db, copy, SCRIPT_MS, err);
    free(copy);
    return ok;
}

bool tide_mysql_script_sync(struct tide_sql_db *base, const char *script, int *line, struct tide_err *err)
{
    struct tide_mysql_db *db = (struct tide_mysql_db *)base;
    const char *at = script, *begin;
    size_t len;

    while (tide_mysql_next_statement(&at, &begin, &len))
        if (!run_statement(db, begin, len, err)) {
            *line = line_of(script, begin);
            return false;
        }
    return true;
}
