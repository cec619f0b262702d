/* What blocks: a connection is opened and closed, and what is under way on it is waited for. */
#include "sql/mysql/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/clock.h"
#include "sql/mysql/fail.h"

#define MAX_ROW (TIDE_SQL_MAX_BYTES + ((size_t)1 << 20)) /* bytes of a packet that is read */

/* ---- opening ---- */

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
    const my_bool on = 1, verify = url->verify;
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
    mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (!verify)
        return;
    /* Without an authority that is named, Connector/C 3.4 takes any certificate of a server on this machine
     * or of one that knows the password. */
    mysql_options(mysql, MYSQL_OPT_SSL_CA, url->ssl_ca);
    if (!url->ssl_ca)
        mysql_options(mysql, MYSQL_OPT_SSL_CAPATH, X509_get_default_cert_dir());
    mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &on);
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
    ERR_clear_error(); /* what is left in it, OpenSSL would tell of the thread's next connection */
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
