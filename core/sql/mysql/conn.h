/*
 * One connection to a MySQL or MariaDB server: opened by a call that blocks (names, TLS and the login do, in
 * the connector), used by steps that don't. Who uses it: sql/mysql/pool.c on the loop thread,
 * sql/mysql/sync.c on any thread, one at a time. Owns a cache of prepared statements.
 *
 * A step returns what to wait for on the socket (UV_READABLE, UV_WRITABLE), and is gone on with by
 * tide_mysql_conn_go_on; 0: it is over and `ok`, `err` and the result tell how. The session is the same
 * everywhere: utf8mb4, UTC, strict, standard quotes, SERIALIZABLE.
 */
#ifndef TIDE_SQL_MYSQL_CONN_H
#define TIDE_SQL_MYSQL_CONN_H

#include "sql/mysql/row.h"
#include "sql/mysql/text.h"
#include "sql/mysql/url.h"

#define TIDE_MYSQL_CACHED 32 /* prepared statements a connection keeps */

struct tide_mysql_cached {
    MYSQL_STMT *stmt; /* NULL: a free place */
    char *text;
    uint64_t hash;
    uint64_t used; /* turn of the last use */
    enum tide_mysql_kind kind;
};

struct tide_mysql_step;

struct tide_mysql_conn {
    MYSQL *mysql;
    int fd;
    unsigned long id;     /* the server's, for KILL */
    unsigned long packet; /* bytes, the longest request that the server takes */
    bool lost;            /* only to be closed */
    /* what runs */
    const struct tide_mysql_step *step;
    int wait; /* MYSQL_WAIT_*; 0: nothing is under way */
    const struct tide_sql_statement *statement;
    struct tide_mysql_cached *at;
    struct tide_sql_result *result;
    const char *command;
    MYSQL_RES *stored;
    int rc;
    my_bool closed;
    bool ok; /* of what ran last */
    struct tide_err err;
    /* */
    struct tide_mysql_rows rows;
    uint64_t turn;
    struct tide_mysql_cached cache[TIDE_MYSQL_CACHED];
};

/* `refused`, when not NULL: set when trying again is of no use until somebody mends it. */
struct tide_mysql_conn *tide_mysql_conn_open(const struct tide_mysql_url *url, unsigned timeout_s,
                                             bool *refused, struct tide_err *err);
/* Says goodbye, or cuts off what is under way: the server is told by nobody then. NULL is ignored. */
void tide_mysql_conn_close(struct tide_mysql_conn *conn);

/* Prepares and executes. *result is filled when it is over and ok. in_tx: what would commit is refused. */
int tide_mysql_conn_run(struct tide_mysql_conn *conn, const struct tide_sql_statement *statement, bool in_tx,
                        struct tide_sql_result *result);
/* A command of ours, or a statement of a script; its rows are dropped. */
int tide_mysql_conn_command(struct tide_mysql_conn *conn, const char *command);
int tide_mysql_conn_ping(struct tide_mysql_conn *conn);
int tide_mysql_conn_go_on(struct tide_mysql_conn *conn, int events);

/* Waits for what is under way; past the deadline (monotonic ms) it is a timeout and the connection lost.
 * Blocks. Returns `ok`. */
bool tide_mysql_conn_wait(struct tide_mysql_conn *conn, int events, int64_t deadline_ms);

#endif
