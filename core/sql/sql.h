/*
 * A relational database, prepared statements only. Everything on the loop thread; drivers keep what blocks on
 * a pool of their own. A driver is chosen by the URL's scheme:
 *
 *   sqlite:FILE    SQLite in WAL mode (sql/sqlite.c)
 *   mysql://...    MySQL or MariaDB (sql/mysql/url.h tells what the URL may say)
 *
 * A database is shared by worker processes; a busy one is waited for within the call's timeout. A server may
 * go away at any time: a statement that only reads (SELECT, VALUES, SHOW, DESCRIBE, EXPLAIN), outside a
 * transaction, is run again once, on a new connection; so is one that the server has rolled back by itself.
 * Everything else fails as unavailable: it may have been done. A call waits for 2 s for a server that can't
 * be reached.
 */
#ifndef TIDE_SQL_SQL_H
#define TIDE_SQL_SQL_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/log.h"

struct tide_sql_db;
struct tide_sql_tx; /* a transaction; holds a connection until commit or rollback */

struct tide_sql_value {
    enum { TIDE_SQL_NULL, TIDE_SQL_INT, TIDE_SQL_NUMBER, TIDE_SQL_TEXT } type; /* TEXT: bytes, UTF-8 or not */
    int64_t integer;
    double number;
    char *text; /* owned; NUL-terminated */
    size_t len;
};

struct tide_sql_result {
    size_t columns, rows;
    char **names;                  /* columns */
    struct tide_sql_value *values; /* rows * columns, row by row */
    int64_t affected;              /* rows that INSERT, UPDATE, DELETE met */
    int64_t last_id;               /* of the row inserted; of several: the last (MySQL: the first) */
};

/* Whether the URL is right: what tide_sql_open would say of it. Reaches and makes nothing. Any thread. */
TIDE_WARN_UNUSED bool tide_sql_check(const char *url, struct tide_err *err);
/* Fails for a URL that is wrong, and a file that can't be used; a server may be away: see tide_sql_ready. */
struct tide_sql_db *tide_sql_open(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                  struct tide_err *err);
void tide_sql_close(
    struct tide_sql_db *db); /* blocks until its pool is idle; open transactions are rolled back */
/* Whether it answers. Blocks for 100 ms (SQLite) or a few seconds; any thread, one at a time, not beside the
 * calls that block. */
bool tide_sql_ready(struct tide_sql_db *db, struct tide_err *err);

/* err NULL: `result` is valid during the callback (move values out or copy). Codes: exists (a unique key),
 * invalid (the statement), limit (more than 10000 rows or 16 MiB), too_large (a parameter), conflict (with
 * another transaction; retryable), timeout, unavailable, full. */
typedef void tide_sql_cb(void *arg, struct tide_sql_result *result, const struct tide_err *err);
struct tide_sql_call; /* only to cancel; gone once its callback ran */

/* Runs one statement with `?` parameters (copied). tx NULL: on its own, committed when it returns.
 * The callback never runs inside the call. Timeout 0: 10 s. */
struct tide_sql_call *tide_sql_run(struct tide_sql_db *db, struct tide_sql_tx *tx, const char *statement,
                                   const struct tide_sql_value *params, size_t count, int64_t timeout_ms,
                                   tide_sql_cb *cb, void *arg, struct tide_err *err);
void tide_sql_call_cancel(
    struct tide_sql_call *call); /* the callback will not run; interrupts the statement */

/* Begins a write transaction in which nothing that was read changes: SQLite has one at a time (IMMEDIATE),
 * MySQL many (SERIALIZABLE), of which one may fail as a retryable conflict. tx is rolled back after 30 s
 * without an end. When it was rolled back early, its statements and its commit fail as conflict. */
typedef void tide_sql_begin_cb(void *arg, struct tide_sql_tx *tx, const struct tide_err *err);
struct tide_sql_call *tide_sql_begin(struct tide_sql_db *db, tide_sql_begin_cb *cb, void *arg,
                                     struct tide_err *err);
/* Ends and frees tx. cb NULL allowed for rollback. */
struct tide_sql_call *tide_sql_end(struct tide_sql_tx *tx, bool commit, tide_sql_cb *cb, void *arg,
                                   struct tide_err *err);

/* Runs a script of statements split by the driver, in one transaction (in MySQL a CREATE or the like
 * commits); blocks. The error begins with the line. */
TIDE_WARN_UNUSED bool tide_sql_script(struct tide_sql_db *db, const char *script, struct tide_err *err);
/* As tide_sql_run but blocks: command line and start only. result is the caller's (tide_sql_result_release).
 */
TIDE_WARN_UNUSED bool tide_sql_run_sync(struct tide_sql_db *db, const char *statement,
                                        const struct tide_sql_value *params, size_t count,
                                        struct tide_sql_result *result, struct tide_err *err);
void tide_sql_result_release(struct tide_sql_result *result);

const char *tide_sql_dialect(const struct tide_sql_db *db); /* "sqlite" or "mysql" */

/* Every .sql file of `dir` is named as a schema file; TIDE_ERR_INVALID names one that is not. Blocks. */
TIDE_WARN_UNUSED bool tide_sql_check_schema(const char *dir, struct tide_err *err);
/*
 * Applies the schema files DIR/NNN_name.DIALECT.sql (or NNN_name.sql) that `component` has not had yet, in
 * order, and notes them in the table tide_schema(component, version, name, applied_at, hash). One process at
 * a time applies a file, in a transaction; in MySQL, where a CREATE commits, one that fails stays half
 * applied and is run again, so that its statements say IF NOT EXISTS. The error begins with FILE:LINE.
 * Blocks.
 */
TIDE_WARN_UNUSED bool tide_sql_migrate(struct tide_sql_db *db, const char *component, const char *dir,
                                       struct tide_err *err);
/* What tide_sql_migrate would apply, and what is not what it was when it was applied, which it leaves alone.
 */
enum tide_sql_schema { TIDE_SQL_SCHEMA_PENDING, TIDE_SQL_SCHEMA_CHANGED };
typedef void tide_sql_review_cb(void *arg, const char *component, enum tide_sql_schema state,
                                const char *path);
/* Calls found for each such file, in order, and changes nothing. Blocks. */
TIDE_WARN_UNUSED bool tide_sql_review(struct tide_sql_db *db, const char *component, const char *dir,
                                      tide_sql_review_cb *found, void *arg, struct tide_err *err);
/* As tide_sql_migrate does. */
void tide_sql_log_changed(const struct tide_log *log, const char *component, const char *path);

#endif
