#include "sql/mysql/conn.h"

#include <assert.h>
#include <errmsg.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/clock.h"
#include "sql/mysql/fail.h"

#define MAX_ROW (TIDE_SQL_MAX_BYTES + ((size_t)1 << 20)) /* bytes of a packet that is read */

/* ---- opening (blocks) ---- */

/* One language for all: "x" is a name, 'x' a text without escapes, || joins, and what doesn't fit is refused.
 * A transaction sees no row that another one changes meanwhile. */
static const char *const session[] = {
    "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1, "
    "innodb_lock_wait_timeout = 5",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
};

static void set_options(MYSQL *mysql, const struct tide_mysql_url *url, unsigned timeout_s)
{
    static const my_bool on = 1;
    unsigned no_files = 0, protocol = url->socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    size_t packet = MAX_ROW;

    mysql_options(mysql, MYSQL_OPT_NONBLOCK, NULL);
    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &timeout_s);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &timeout_s);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &timeout_s);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &no_files);
    mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    /* None of those that hand the password over as it is. */
    mysql_options(mysql, MARIADB_OPT_RESTRICTED_AUTH,
                  "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519");
    if (!url->verify)
        return;
    mysql_options(mysql, MYSQL_OPT_SSL_CA, url->ssl_ca);
    mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &on);
    mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on);
}

static bool fail_open(MYSQL *mysql, const struct tide_mysql_url *url, bool *refused, struct tide_err *err)
{
    unsigned number = mysql_errno(mysql);
    bool no_use = tide_mysql_is_refused(number);

    if (refused)
        *refused = no_use;
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "mysql: %s: %.180s (%u)%s", url->shown,
                        mysql_error(mysql), number, no_use ? "; look at the setting sql" : "");
}

/* The longest request that the server takes; what is longer makes it hang up. */
static bool ask_packet(struct tide_mysql_conn *conn)
{
    MYSQL_RES *result;
    MYSQL_ROW row;

    if (mysql_query(conn->mysql, "SELECT @@max_allowed_packet") != 0)
        return false;
    result = mysql_store_result(conn->mysql);
    row = result ? mysql_fetch_row(result) : NULL;
    conn->packet = row && row[0] ? strtoul(row[0], NULL, 10) : 0;
    mysql_free_result(result);
    return conn->packet > 0;
}

static bool set_session(struct tide_mysql_conn *conn)
{
    for (size_t i = 0; i < sizeof session / sizeof *session; i++)
        if (mysql_query(conn->mysql, session[i]) != 0)
            return false;
    return ask_packet(conn);
}

static bool log_in(struct tide_mysql_conn *conn, const struct tide_mysql_url *url, unsigned timeout_s)
{
    set_options(conn->mysql, url, timeout_s);
    if (!mysql_real_connect(conn->mysql, url->host, url->user, url->password, url->database, url->port,
                            url->socket, CLIENT_FOUND_ROWS | CLIENT_REMEMBER_OPTIONS))
        return false;
    if (!set_session(conn))
        return false;
    conn->id = mysql_thread_id(conn->mysql);
    conn->fd = (int)mysql_get_socket(conn->mysql);
    /* The connector asks not to wait with each read and write, but under TLS, where the socket's mode
     * decides. */
    return fcntl(conn->fd, F_SETFL, fcntl(conn->fd, F_GETFL) | O_NONBLOCK) == 0;
}

struct tide_mysql_conn *tide_mysql_conn_open(const struct tide_mysql_url *url, unsigned timeout_s,
                                             bool *refused, struct tide_err *err)
{
    struct tide_mysql_conn *conn = calloc(1, sizeof *conn);

    if (!conn || !(conn->mysql = mysql_init(NULL))) {
        free(conn);
        tide_err_errno(err, ENOMEM, "mysql");
        return NULL;
    }
    if (log_in(conn, url, timeout_s))
        return conn;
    fail_open(conn->mysql, url, refused, err);
    tide_mysql_conn_close(conn);
    return NULL;
}

/* The connector frees a statement only with its connection or by a word to the server; it has no connection
 * any more here. */
static void free_statements(struct tide_mysql_conn *conn)
{
    for (size_t i = 0; i < TIDE_MYSQL_CACHED; i++) {
        if (conn->cache[i].stmt)
            mysql_stmt_close(conn->cache[i].stmt);
        free(conn->cache[i].text);
    }
}

static void cut_off(struct tide_mysql_conn *conn)
{
    shutdown(conn->fd, SHUT_RDWR); /* what waits for the socket ends, and frees what it holds */
    conn->lost = true;
    while (conn->step)
        tide_mysql_conn_go_on(conn, UV_READABLE | UV_WRITABLE);
}

void tide_mysql_conn_close(struct tide_mysql_conn *conn)
{
    if (!conn)
        return;
    if (conn->step)
        cut_off(conn);
    tide_mysql_rows_release(&conn->rows);
    mysql_close(conn->mysql);
    free_statements(conn);
    free(conn);
}

/* ---- steps ---- */

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

/* ---- waiting for it ---- */

static int wait_for(int fd, int events, int64_t deadline_ms)
{
    struct pollfd poll_fd = {
        .fd = fd,
        .events = (short)((events & UV_READABLE ? POLLIN : 0) | (events & UV_WRITABLE ? POLLOUT : 0))};
    int64_t left = deadline_ms - tide_clock_monotonic_ms();
    int n = left > 0 ? poll(&poll_fd, 1, left > 60000 ? 60000 : (int)left) : 0;

    if (n <= 0)
        return left > 0 ? 0 : -1;
    return (poll_fd.revents & (POLLIN | POLLHUP | POLLERR) ? UV_READABLE : 0) |
           (poll_fd.revents & (POLLOUT | POLLERR) ? UV_WRITABLE : 0);
}

bool tide_mysql_conn_wait(struct tide_mysql_conn *conn, int events, int64_t deadline_ms)
{
    while (events) {
        int seen = wait_for(conn->fd, events, deadline_ms);

        if (seen < 0) {
            cut_off(conn);
            return conn->ok ||
                   tide_err_set(&conn->err, TIDE_ERR_TIMEOUT, true, "mysql: no answer within the timeout");
        }
        if (seen > 0)
            events = tide_mysql_conn_go_on(conn, seen);
    }
    return conn->ok;
}
