/*
 * One connection to a SQLite file, hardened for statements that scripts write: no ATTACH, no extensions, no
 * transaction control, no settings. Who uses it: sql/sqlite.c. Any thread, one at a time; everything blocks,
 * up to the deadline given (monotonic ms) or until `stop` becomes true. Owns a cache of prepared statements.
 */
#ifndef TIDE_SQL_SQLITE_CONN_H
#define TIDE_SQL_SQLITE_CONN_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "sql/driver.h"

#define TIDE_SQLITE_CACHED 64 /* prepared statements a connection keeps */

struct tide_sqlite_cached {
    sqlite3_stmt *stmt; /* NULL: a free place */
    char *text;
    uint64_t hash;
    uint64_t used; /* turn of the last use */
};

struct tide_sqlite_conn {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *rollback;
    bool trusted; /* the authorizer is off: only while this code sets the connection up */
    int64_t deadline_ms;
    const atomic_bool *stop; /* NULL: nobody stops it */
    uint64_t turn;
    struct tide_sqlite_cached cache[TIDE_SQLITE_CACHED];
};

/* read_only: a statement that would write fails. The file is made if need be, for its owner alone. */
struct tide_sqlite_conn *tide_sqlite_conn_open(const char *path, bool read_only, struct tide_err *err);
void tide_sqlite_conn_free(struct tide_sqlite_conn *conn); /* rolls an open transaction back */

/* How long the next calls may take. */
void tide_sqlite_conn_limit(struct tide_sqlite_conn *conn, int64_t deadline_ms, const atomic_bool *stop);

TIDE_WARN_UNUSED bool tide_sqlite_conn_begin(struct tide_sqlite_conn *conn, struct tide_err *err);
/* A commit that fails has rolled back. */
bool tide_sqlite_conn_end(struct tide_sqlite_conn *conn, bool commit, struct tide_err *err);
bool tide_sqlite_conn_in_tx(const struct tide_sqlite_conn *conn);

/* Fills *result on true only. */
TIDE_WARN_UNUSED bool tide_sqlite_conn_run(struct tide_sqlite_conn *conn,
                                           const struct tide_sql_statement *statement,
                                           struct tide_sql_result *result, struct tide_err *err);
/* Runs all statements of a script. On an error: the line of what is at fault, from 1. */
TIDE_WARN_UNUSED bool tide_sqlite_conn_script(struct tide_sqlite_conn *conn, const char *script, int *line,
                                              struct tide_err *err);

/* Fills *err from the connection's last result code. Returns false. `text`: the statement or NULL. */
bool tide_sqlite_conn_fail(struct tide_sqlite_conn *conn, int rc, const char *text, struct tide_err *err);

#endif
