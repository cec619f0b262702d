/*
 * What the files of the SQLite driver share. A call goes to the lane its statement needs and waits in order
 * for it; a transaction keeps the writing lane until it ends. Loop thread, but for the work of a lane
 * (sqlite_lane.c).
 */
#ifndef TIDE_SQL_SQLITE_DB_H
#define TIDE_SQL_SQLITE_DB_H

#include "loop/pool.h"
#include "sql/call.h"
#include "sql/sqlite_conn.h"

#define READERS 3
#define LANES (READERS + 1)
#define WRITER 0

struct db;

struct call {
    struct tide_sql_call base;
    struct tide_job job;
    struct lane *lane; /* while running */
    atomic_bool stop;
};

struct tx {
    struct tide_sql_tx base;
    struct call end;
    struct call give_up; /* the rollback after 30 s */
};

struct lane {
    struct db *db;
    struct tide_sqlite_conn *conn; /* NULL until its first job */
    struct call *running;
};

struct db {
    struct tide_sql_db base;
    uv_timer_t *timer;
    struct tide_pool *pool;
    char *path;
    struct lane lanes[LANES];
    struct tide_sqlite_conn *sync;           /* for what blocks; made at open */
    struct tide_sql_call_list writes, reads; /* waiting */
    struct tide_sql_call_list late;          /* outcome known, callback due at the next turn of the loop */
    struct tide_sql_tx *tx;                  /* holds the writing lane */
    bool closing;
};

/* ---- sqlite_lane.c: who runs next ---- */

/* Starts what can be started. */
void tide_sqlite_pump(struct db *db);
/* Runs the timer while there is something whose time may run out, and at once when a callback is due. */
void tide_sqlite_arm(struct db *db);

#endif
