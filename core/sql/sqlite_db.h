/*
 * What the files of the SQLite driver share. A call goes to the lane its statement needs and waits in order
 * for it; a transaction keeps the writing lane until it ends. Loop thread, but for the work of a lane
 * (sqlite_lane.c).
 */
#ifndef TIDE_SQL_SQLITE_DB_H
#define TIDE_SQL_SQLITE_DB_H

#include "loop/pool.h"
#include "sql/sqlite_conn.h"

#define READERS 3
#define LANES (READERS + 1)
#define WRITER 0

enum kind { RUN, BEGIN, END };

struct db;
struct tx;

struct call {
    struct tide_sql_call base;
    struct tide_job job;
    struct call *next;
    enum kind kind;
    struct lane *lane; /* while running */
    struct tx *tx;     /* NULL: on its own */
    struct tide_sql_statement statement;
    int64_t deadline_ms;
    bool commit;   /* END */
    bool detached; /* canceled: the callback must not run */
    bool done;     /* its outcome is known, only the callback is due */
    atomic_bool stop;
    tide_sql_cb *cb;
    tide_sql_begin_cb *begin_cb;
    void *arg;
    bool ok;
    struct tide_sql_result result;
    struct tide_err err;
};

struct call_list {
    struct call *first, *last;
    size_t count;
};

struct tx {
    struct tide_sql_tx base;
    struct tx *next;
    int64_t deadline_ms;
    bool lost;   /* rolled back before its end: `why` tells */
    bool ending; /* tide_sql_end was called */
    struct tide_err why;
    struct call end;     /* made here, so that an end can't fail */
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
    struct tide_sqlite_conn *sync;  /* for what blocks; made at open */
    struct call_list writes, reads; /* waiting */
    struct call_list late;          /* outcome known, callback due at the next turn of the loop */
    struct tx *tx;                  /* holds the writing lane */
    struct tx *txs;                 /* all that were not freed yet */
    bool closing;
};

/* ---- sqlite_call.c: calls, their lists, what becomes of them ---- */

void tide_sqlite_list_push(struct call_list *list, struct call *call);
/* Nothing happens when it isn't in the list. */
void tide_sqlite_list_remove(struct call_list *list, struct call *call);

/* For a call that is part of something else; tide_sqlite_call_new makes one with copies of what `from` holds.
 */
void tide_sqlite_call_init(struct call *call, struct db *db, enum kind kind, int64_t timeout_ms);
struct call *tide_sqlite_call_new(struct db *db, const struct tide_sql_statement *from, struct tide_err *err);
/* The database is closing: the call has failed. */
void tide_sqlite_call_refuse(struct call *call);
/* Tells the caller, unless the call was canceled, and frees it. */
void tide_sqlite_call_finish(struct call *call);
void tide_sqlite_tx_free(struct tx *tx);
struct tide_sql_call *tide_sqlite_tx_end(struct tide_sql_tx *base, bool commit, tide_sql_cb *cb, void *arg);

/* ---- sqlite_lane.c: who runs next ---- */

/* Starts what can be started. */
void tide_sqlite_pump(struct db *db);
/* Runs the timer while there is something whose time may run out, and at once when a callback is due. */
void tide_sqlite_arm(struct db *db);

#endif
