/*
 * What the files of the MySQL driver share. A call waits in order for a free connection; a transaction keeps
 * its connection until it ends. Connections are opened by jobs on a pool of threads, one when a call finds
 * none free, up to the URL's limit; all else is on the loop thread.
 */
#ifndef TIDE_SQL_MYSQL_DB_H
#define TIDE_SQL_MYSQL_DB_H

#include "loop/pool.h"
#include "sql/call.h"
#include "sql/mysql/conn.h"

struct tide_mysql_db;

struct tide_mysql_call {
    struct tide_sql_call base;
    const char *command;          /* NULL: the statement is prepared */
    unsigned tries;               /* that have failed already */
    struct tide_mysql_slot *slot; /* while running */
};

struct tide_mysql_tx {
    struct tide_sql_tx base;
    struct tide_mysql_slot *slot; /* NULL: not begun, lost or over */
    struct tide_mysql_call end;
};

/* A place for a connection. */
struct tide_mysql_slot {
    struct tide_mysql_db *db;
    struct tide_job job; /* opens it */
    bool opening;
    struct tide_mysql_conn *opened; /* by the job, or: */
    bool refused;
    struct tide_err err;
    struct tide_mysql_conn *conn;
    uv_poll_t *poll;
    int polled; /* events */
    int64_t used_ms;
    bool pinging;                    /* before what is in `running` */
    struct tide_mysql_call *running; /* NULL: free */
    struct tide_mysql_tx *tx;
    struct tide_mysql_call rollback; /* of a transaction that was lost with its connection still good */
};

struct tide_mysql_db {
    struct tide_sql_db base;
    struct tide_mysql_url url;
    uv_loop_t *loop;
    uv_timer_t *timer;
    struct tide_pool *pool;
    struct tide_mysql_slot *slots;     /* url.connections */
    struct tide_sql_call_list waiting; /* for a connection */
    struct tide_sql_call_list in_tx;   /* for that of their transaction */
    struct tide_sql_call_list late;    /* outcome known, callback due at the next turn of the loop */
    bool asking;                       /* in a call of a caller's, in which no callback may run */
    bool closing;
    /* since a connection could not be opened */
    int64_t failed_ms, retry_ms; /* 0: the last one could */
    int64_t backoff_ms;
    bool refused; /* for a reason that somebody has to mend */
    struct tide_err failure;
    /* for what blocks */
    struct tide_mysql_conn *sync;
    bool sync_in_tx;
};

/* A server was reached: tells, once a process, when whoever is on the way to it can read along. Any thread.
 */
void tide_mysql_warn(struct tide_mysql_db *db);

/* ---- pool.c: who runs next ---- */

/* Starts what can be started, and tells outcomes, but not while `asking`. */
void tide_mysql_pump(struct tide_mysql_db *db);
/* The outcome is known. */
void tide_mysql_settle(struct tide_mysql_call *call, bool ok, const struct tide_err *err);
void tide_mysql_pool_close(struct tide_mysql_db *db);

/* ---- slot.c: what happens on a connection ---- */

/* Its connection is free, or its transaction's next call is given to it. */
void tide_mysql_slot_start(struct tide_mysql_slot *slot, struct tide_mysql_call *call);
void tide_mysql_slot_open(struct tide_mysql_slot *slot);
/* Closes the connection. */
void tide_mysql_slot_drop(struct tide_mysql_slot *slot);
/* The time of what runs there is up: its connection is closed, and the server told to end it. */
void tide_mysql_slot_expire(struct tide_mysql_slot *slot);
/* Has the server end what runs on a connection of that id, next of all that waits. */
void tide_mysql_kill(struct tide_mysql_db *db, unsigned long id);
/* Rolls the slot's transaction back. */
void tide_mysql_slot_lose(struct tide_mysql_slot *slot, const struct tide_err *err);

/* ---- sync.c: what blocks, on a connection of its own ---- */

bool tide_mysql_ready(struct tide_sql_db *db, struct tide_err *err);
bool tide_mysql_run_sync(struct tide_sql_db *db, const struct tide_sql_statement *statement,
                         struct tide_sql_result *result, struct tide_err *err);
bool tide_mysql_begin_sync(struct tide_sql_db *db, struct tide_err *err);
bool tide_mysql_end_sync(struct tide_sql_db *db, bool commit, struct tide_err *err);
bool tide_mysql_script_sync(struct tide_sql_db *db, const char *script, int *line, struct tide_err *err);

#endif
