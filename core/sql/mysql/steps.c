/* What runs on a connection, step by step: each one is begun, and gone on with when the socket is ready. */
#include <assert.h>
#include <errmsg.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "sql/mysql/conn.h"
#include "sql/mysql/fail.h"

struct tide_mysql_step {
    int (*start)(struct tide_mysql_conn *conn);
    int (*go_on)(struct tide_mysql_conn *conn, int wait);
    const struct tide_mysql_step *(*done)(struct tide_mysql_conn *conn); /* the next one, or NULL */
};

static const struct tide_mysql_step *finish(struct tide_mysql_conn *conn, bool ok)
{
    conn->ok = ok;
    return NULL;
}

static const struct tide_mysql_step *fail(struct tide_mysql_conn *conn, unsigned number, const char *message,
                                          const char *text)
{
    struct tide_mysql_failure failure = {number ? number : CR_UNKNOWN_ERROR,
                                         number ? message : "the server broke off"};

    conn->lost = conn->lost || tide_mysql_is_lost(failure.number);
    return finish(conn, tide_mysql_fail(&failure, text, &conn->err));
}

static const struct tide_mysql_step *fail_stmt(struct tide_mysql_conn *conn)
{
    return fail(conn, mysql_stmt_errno(conn->at->stmt), mysql_stmt_error(conn->at->stmt),
                conn->statement->text);
}

static uint64_t hash_text(const char *text)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a */

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

/* Closing: the place of a statement that was used longest ago is needed. */

static const struct tide_mysql_step prepare_step, execute_step, fetch_step;

static int start_close(struct tide_mysql_conn *conn)
{
    return mysql_stmt_close_start(&conn->closed, conn->at->stmt);
}

static int go_on_close(struct tide_mysql_conn *conn, int wait)
{
    return mysql_stmt_close_cont(&conn->closed, conn->at->stmt, wait);
}

static void forget(struct tide_mysql_cached *place)
{
    free(place->text);
    *place = (struct tide_mysql_cached){0};
}

static const struct tide_mysql_step *done_close(struct tide_mysql_conn *conn)
{
    forget(conn->at);
    return conn->closed ? fail(conn, mysql_errno(conn->mysql), mysql_error(conn->mysql), NULL)
                        : &prepare_step;
}

static const struct tide_mysql_step close_step = {start_close, go_on_close, done_close};

/* Preparing. */

static int start_prepare(struct tide_mysql_conn *conn)
{
    const char *at = conn->statement->text, *begin = at;
    size_t len = 0;

    *conn->at = (struct tide_mysql_cached){.stmt = mysql_stmt_init(conn->mysql),
                                           .text = strdup(conn->statement->text),
                                           .hash = hash_text(conn->statement->text),
                                           .kind = tide_mysql_kind_of(conn->statement->text)};
    conn->rc = !conn->at->stmt || !conn->at->text;
    if (conn->rc)
        return 0;
    (void)tide_mysql_next_statement(&at, &begin, &len); /* without a semicolon and comments behind it */
    return mysql_stmt_prepare_start(&conn->rc, conn->at->stmt, begin, len);
}

static int go_on_prepare(struct tide_mysql_conn *conn, int wait)
{
    return mysql_stmt_prepare_cont(&conn->rc, conn->at->stmt, wait);
}

static const struct tide_mysql_step *done_prepare(struct tide_mysql_conn *conn)
{
    if (conn->rc == 0)
        return &execute_step;
    if (!conn->at->stmt || !conn->at->text)
        finish(conn, tide_err_errno(&conn->err, ENOMEM, "mysql"));
    else
        fail_stmt(conn);
    if (conn->at->stmt)
        mysql_stmt_close(conn->at->stmt); /* it was not prepared: the server isn't told */
    forget(conn->at);
    return NULL;
}

static const struct tide_mysql_step prepare_step = {start_prepare, go_on_prepare, done_prepare};

/* Executing. */

static bool fits(struct tide_mysql_conn *conn, struct tide_err *err)
{
    size_t bytes = 1024;

    for (size_t i = 0; i < conn->statement->count; i++)
        bytes += conn->statement->params[i].len + 16;
    if (bytes <= conn->packet && bytes <= TIDE_SQL_MAX_BYTES + 1024)
        return true;
    return tide_err_set(err, TIDE_ERR_TOO_LARGE, false,
                        "mysql: parameters of %zu bytes; the server takes %lu "
                        "(max_allowed_packet), and %zu MiB are the most",
                        bytes - 1024, conn->packet, TIDE_SQL_MAX_BYTES >> 20);
}

static int start_execute(struct tide_mysql_conn *conn)
{
    conn->at->used = ++conn->turn;
    conn->ok = fits(conn, &conn->err) &&
               tide_mysql_rows_bind(&conn->rows, conn->at->stmt, conn->statement, &conn->err);
    return conn->ok ? mysql_stmt_execute_start(&conn->rc, conn->at->stmt) : 0;
}

static int go_on_execute(struct tide_mysql_conn *conn, int wait)
{
    return mysql_stmt_execute_cont(&conn->rc, conn->at->stmt, wait);
}

static const struct tide_mysql_step *done_execute(struct tide_mysql_conn *conn)
{
    MYSQL_STMT *stmt = conn->at->stmt;

    if (!conn->ok)
        return NULL;
    if (conn->rc)
        return fail_stmt(conn);
    if (mysql_stmt_field_count(stmt) > 0) {
        if (tide_mysql_rows_begin(&conn->rows, stmt, conn->result, &conn->err))
            return &fetch_step;
        conn->lost = true; /* its rows are still to come */
        return finish(conn, false);
    }
    conn->result->affected = (int64_t)mysql_stmt_affected_rows(stmt);
    conn->result->last_id = (int64_t)mysql_stmt_insert_id(stmt);
    return finish(conn, true);
}

static const struct tide_mysql_step execute_step = {start_execute, go_on_execute, done_execute};

/* Fetching, row by row. */

static int start_fetch(struct tide_mysql_conn *conn)
{
    return mysql_stmt_fetch_start(&conn->rc, conn->at->stmt);
}

static int go_on_fetch(struct tide_mysql_conn *conn, int wait)
{
    return mysql_stmt_fetch_cont(&conn->rc, conn->at->stmt, wait);
}

static const struct tide_mysql_step *done_fetch(struct tide_mysql_conn *conn)
{
    if (conn->rc == 1)
        return fail(conn, mysql_errno(conn->mysql), mysql_error(conn->mysql), NULL);
    if (conn->rc != MYSQL_NO_DATA) {
        if (tide_mysql_rows_take(&conn->rows, &conn->err))
            return &fetch_step;
        conn->lost = true;
        return finish(conn, false);
    }
    if (conn->at->kind != TIDE_MYSQL_READS) /* ... RETURNING */
        conn->result->affected = (int64_t)conn->result->rows;
    return finish(conn, tide_mysql_rows_check(&conn->rows, &conn->err));
}

static const struct tide_mysql_step fetch_step = {start_fetch, go_on_fetch, done_fetch};

/* Commands, by the text protocol. */

static const struct tide_mysql_step store_step;

static int start_command(struct tide_mysql_conn *conn)
{
    return mysql_real_query_start(&conn->rc, conn->mysql, conn->command, strlen(conn->command));
}

static int go_on_command(struct tide_mysql_conn *conn, int wait)
{
    return mysql_real_query_cont(&conn->rc, conn->mysql, wait);
}

static const struct tide_mysql_step *done_command(struct tide_mysql_conn *conn)
{
    if (conn->rc)
        return fail(conn, mysql_errno(conn->mysql), mysql_error(conn->mysql), NULL);
    return mysql_field_count(conn->mysql) ? &store_step : finish(conn, true);
}

static const struct tide_mysql_step command_step = {start_command, go_on_command, done_command};

static int start_store(struct tide_mysql_conn *conn)
{
    return mysql_store_result_start(&conn->stored, conn->mysql);
}

static int go_on_store(struct tide_mysql_conn *conn, int wait)
{
    return mysql_store_result_cont(&conn->stored, conn->mysql, wait);
}

static const struct tide_mysql_step *done_store(struct tide_mysql_conn *conn)
{
    if (!conn->stored)
        return fail(conn, mysql_errno(conn->mysql), mysql_error(conn->mysql), NULL);
    mysql_free_result(conn->stored);
    return finish(conn, true);
}

static const struct tide_mysql_step store_step = {start_store, go_on_store, done_store};

/* Pinging. */

static int start_ping(struct tide_mysql_conn *conn)
{
    return mysql_ping_start(&conn->rc, conn->mysql);
}

static int go_on_ping(struct tide_mysql_conn *conn, int wait)
{
    return mysql_ping_cont(&conn->rc, conn->mysql, wait);
}

static const struct tide_mysql_step *done_ping(struct tide_mysql_conn *conn)
{
    return conn->rc ? fail(conn, mysql_errno(conn->mysql), mysql_error(conn->mysql), NULL)
                    : finish(conn, true);
}

static const struct tide_mysql_step ping_step = {start_ping, go_on_ping, done_ping};

/* ---- going through them ---- */

static int events_of(int wait)
{
    return (wait & MYSQL_WAIT_READ ? UV_READABLE : 0) | (wait & MYSQL_WAIT_WRITE ? UV_WRITABLE : 0);
}

static int over(struct tide_mysql_conn *conn)
{
    tide_mysql_rows_end(&conn->rows);
    if (!conn->ok && conn->result)
        tide_sql_result_release(conn->result);
    conn->result = NULL;
    conn->statement = NULL;
    return 0;
}

static int go(struct tide_mysql_conn *conn)
{
    while (conn->wait == 0) {
        conn->step = conn->step->done(conn);
        if (!conn->step)
            return over(conn);
        conn->wait = conn->step->start(conn);
    }
    return events_of(conn->wait);
}

static int start(struct tide_mysql_conn *conn, const struct tide_mysql_step *step)
{
    assert(!conn->step && !conn->lost);
    conn->step = step;
    conn->wait = step->start(conn);
    return go(conn);
}

int tide_mysql_conn_go_on(struct tide_mysql_conn *conn, int events)
{
    conn->wait = conn->step->go_on(conn, (events & UV_READABLE ? MYSQL_WAIT_READ : 0) |
                                             (events & UV_WRITABLE ? MYSQL_WAIT_WRITE : 0));
    return go(conn);
}

int tide_mysql_conn_command(struct tide_mysql_conn *conn, const char *command)
{
    conn->command = command;
    return start(conn, &command_step);
}

int tide_mysql_conn_ping(struct tide_mysql_conn *conn)
{
    return start(conn, &ping_step);
}

/* ---- running a statement ---- */

static struct tide_mysql_cached *find(struct tide_mysql_conn *conn, const char *text)
{
    uint64_t hash = hash_text(text);

    for (size_t i = 0; i < TIDE_MYSQL_CACHED; i++) {
        struct tide_mysql_cached *at = &conn->cache[i];

        if (at->stmt && at->hash == hash && strcmp(at->text, text) == 0)
            return at;
    }
    return NULL;
}

/* A free place, or that of the statement used longest ago. */
static struct tide_mysql_cached *find_place(struct tide_mysql_conn *conn)
{
    struct tide_mysql_cached *place = &conn->cache[0];

    for (size_t i = 0; i < TIDE_MYSQL_CACHED && place->stmt; i++)
        if (!conn->cache[i].stmt || conn->cache[i].used < place->used)
            place = &conn->cache[i];
    return place;
}

/* What can be told without the server. */
static bool check(const char *text, enum tide_mysql_kind kind, bool in_tx, struct tide_err *err)
{
    const char *begin, *rest = text;
    size_t len;

    if (!tide_mysql_next_statement(&rest, &begin, &len))
        return tide_err_set(err, TIDE_ERR_INVALID, false, "mysql: the statement is empty");
    if (tide_mysql_next_statement(&rest, &begin, &len))
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "mysql: one statement a call, this follows the first: %.120s", begin);
    if (kind == TIDE_MYSQL_DENIED)
        return tide_err_set(
            err, TIDE_ERR_INVALID, false,
            "mysql: a statement may not begin and end transactions, lock tables, call procedures "
            "or change the connection, which is shared: %.120s",
            text);
    if (kind == TIDE_MYSQL_OTHER && in_tx)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "mysql: this statement would commit the transaction that it is in: %.120s", text);
    return true;
}

int tide_mysql_conn_run(struct tide_mysql_conn *conn, const struct tide_sql_statement *statement, bool in_tx,
                        struct tide_sql_result *result)
{
    struct tide_mysql_cached *known = find(conn, statement->text);
    enum tide_mysql_kind kind = known ? known->kind : tide_mysql_kind_of(statement->text);

    *result = (struct tide_sql_result){0};
    conn->ok = (known && kind != TIDE_MYSQL_OTHER) || check(statement->text, kind, in_tx, &conn->err);
    if (!conn->ok)
        return 0;
    conn->statement = statement;
    conn->result = result;
    conn->at = known ? known : find_place(conn);
    return start(conn, known ? &execute_step : conn->at->stmt ? &close_step : &prepare_step);
}
