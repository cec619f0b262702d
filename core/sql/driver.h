/*
 * What a database driver provides. Who uses it: sql/sql.c, which picks a driver by the URL's scheme and
 * checks what holds for all of them, and the drivers. Loop thread, as sql/sql.h. A driver's own structs begin
 * with these.
 */
#ifndef TIDE_SQL_DRIVER_H
#define TIDE_SQL_DRIVER_H

#include "sql/sql.h"

#define TIDE_SQL_MAX_ROWS 10000
#define TIDE_SQL_MAX_BYTES ((size_t)16 * 1024 * 1024) /* of a result's names and values */
#define TIDE_SQL_MAX_WAITING 1000                     /* calls that wait for a connection */
#define TIDE_SQL_TIMEOUT_MS 10000                     /* of a call that gives none */
#define TIDE_SQL_TX_MS 30000 /* a transaction without an end is rolled back after it */

struct tide_sql_driver;

struct tide_sql_db {
    const struct tide_sql_driver *driver;
    const struct tide_log *log;
    struct tide_sql_tx *txs; /* all that were not freed yet: sql/call.h */
};

struct tide_sql_statement {
    const char *text;
    const struct tide_sql_value *params;
    size_t count;
    int64_t timeout_ms; /* > 0 */
};

struct tide_sql_driver {
    const char *dialect; /* names the schema files that are meant for it */
    /* Whether the URL is right, as open sees it. Reaches and makes nothing. */
    bool (*check)(const char *url, struct tide_err *err);
    struct tide_sql_db *(*open)(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                struct tide_err *err);
    void (*close)(struct tide_sql_db *db);
    bool (*ready)(struct tide_sql_db *db, struct tide_err *err);

    struct tide_sql_call *(*run)(struct tide_sql_db *db, struct tide_sql_tx *tx,
                                 const struct tide_sql_statement *statement, tide_sql_cb *cb, void *arg,
                                 struct tide_err *err);
    void (*cancel)(struct tide_sql_call *call);
    struct tide_sql_call *(*begin)(struct tide_sql_db *db, tide_sql_begin_cb *cb, void *arg,
                                   struct tide_err *err);
    struct tide_sql_call *(*end)(struct tide_sql_tx *tx, bool commit, tide_sql_cb *cb, void *arg);

    /* These block. Between begin_sync and end_sync the others of them are part of that transaction, and no
     * other process is in one; end_sync(commit) that fails has rolled back. script_sync tells the line of
     * what is at fault, from 1. */
    bool (*run_sync)(struct tide_sql_db *db, const struct tide_sql_statement *statement,
                     struct tide_sql_result *result, struct tide_err *err);
    bool (*begin_sync)(struct tide_sql_db *db, struct tide_err *err);
    bool (*end_sync)(struct tide_sql_db *db, bool commit, struct tide_err *err);
    bool (*script_sync)(struct tide_sql_db *db, const char *script, int *line, struct tide_err *err);
};

extern const struct tide_sql_driver tide_sql_sqlite;

#endif
