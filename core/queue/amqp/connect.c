#include "queue/amqp/connect.h"

#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define FRAME_MAX 131072
#define CHANNEL_MAX 2047

static const struct timeval patience = {.tv_sec = TIDE_AMQP_WAIT_S};

/* ---- errors ---- */

bool tide_amqp_status(int status, const char *what, struct tide_err *err)
{
    return tide_err_set(err, status == AMQP_STATUS_TIMEOUT ? TIDE_ERR_TIMEOUT : TIDE_ERR_UNAVAILABLE, true,
                        "%s: %s", what, amqp_error_string2(status));
}

/* Whatever the broker refuses, rights, a queue or its arguments: that is no fault of a message, which waits
 * until it is mended. */
static bool refused(int code, amqp_bytes_t text, struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "the broker says %d %.*s", code, (int)text.len,
                        (const char *)text.bytes);
}

bool tide_amqp_closed(const amqp_method_t *method, struct tide_err *err)
{
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close = method->decoded;

        return refused(close->reply_code, close->reply_text, err);
    }
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close = method->decoded;

        return refused(close->reply_code, close->reply_text, err);
    }
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "the broker sent an unexpected %s",
                        amqp_method_name(method->id));
}

static bool reply_error(const amqp_rpc_reply_t *reply, struct tide_err *err)
{
    if (reply->reply_type == AMQP_RESPONSE_SERVER_EXCEPTION)
        return tide_amqp_closed(&reply->reply, err);
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "%s", amqp_error_string2(reply->library_error));
}

/* ---- calls ---- */

/* After an exception its number can be used again, as a new channel. */
static bool reopen(amqp_connection_state_t conn, amqp_channel_t channel, struct tide_err *err)
{
    amqp_channel_close_ok_t ok = {0};
    int status = amqp_send_method(conn, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);

    if (status != AMQP_STATUS_OK)
        return tide_amqp_status(status, "channel.close-ok", err);
    return tide_amqp_open_channel(conn, channel, err);
}

enum tide_amqp_outcome tide_amqp_outcome_code(amqp_connection_state_t conn, amqp_channel_t channel,
                                              const char *what, int *code, struct tide_err *err)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(conn);
    struct tide_err opening;

    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return TIDE_AMQP_DONE;
    reply_error(&reply, err);
    tide_err_prefix(err, "%s", what);
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
        return TIDE_AMQP_BROKEN;
    if (code)
        *code = ((amqp_channel_close_t *)reply.reply.decoded)->reply_code;
    return reopen(conn, channel, &opening) ? TIDE_AMQP_REFUSED : TIDE_AMQP_BROKEN;
}

enum tide_amqp_outcome tide_amqp_outcome(amqp_connection_state_t conn, amqp_channel_t channel,
                                         const char *what, struct tide_err *err)
{
    return tide_amqp_outcome_code(conn, channel, what, NULL, err);
}

bool tide_amqp_open_channel(amqp_connection_state_t conn, amqp_channel_t channel, struct tide_err *err)
{
    amqp_rpc_reply_t reply;

    amqp_channel_open(conn, channel);
    reply = amqp_get_rpc_reply(conn);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return true;
    reply_error(&reply, err);
    return tide_err_prefix(err, "channel.open");
}

/* ---- connecting ---- */

static bool set_up_tls(amqp_socket_t *socket, const struct tide_amqp_url *url, struct tide_err *err)
{
    int status = amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);

    amqp_ssl_socket_set_verify_peer(socket, url->verify);
    amqp_ssl_socket_set_verify_hostname(socket, url->verify);
    if (status == AMQP_STATUS_OK && url->verify) {
        status = amqp_ssl_socket_set_cacert(socket, url->cacert);
        if (status != AMQP_STATUS_OK)
            return tide_amqp_status(status, url->cacert, err);
    }
    if (status == AMQP_STATUS_OK && url->cert)
        status = amqp_ssl_socket_set_key(socket, url->cert, url->key);
    return status == AMQP_STATUS_OK || tide_amqp_status(status, url->cert ? url->cert : "TLS", err);
}

static bool open_socket(amqp_connection_state_t conn, const struct tide_amqp_url *url, struct tide_err *err)
{
    amqp_socket_t *socket = url->tls ? amqp_ssl_socket_new(conn) : amqp_tcp_socket_new(conn);
    int status;

    if (!socket)
        return tide_amqp_status(AMQP_STATUS_NO_MEMORY, "socket", err);
    if (url->tls && !set_up_tls(socket, url, err))
        return false;
    errno = 0;
    status = amqp_socket_open_noblock(socket, url->host, url->port, &patience);
    if (status == AMQP_STATUS_SOCKET_ERROR && errno)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "can't connect: %s", strerror(errno));
    return status == AMQP_STATUS_OK || tide_amqp_status(status, "can't connect", err);
}

static amqp_table_entry_t text_entry(const char *name, const char *value)
{
    return (amqp_table_entry_t){amqp_cstring_bytes(name),
                                {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static amqp_table_entry_t flag_entry(const char *name)
{
    return (amqp_table_entry_t){amqp_cstring_bytes(name),
                                {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

static bool log_in(amqp_connection_state_t conn, const struct tide_amqp_url *url, const char *name,
                   struct tide_err *err)
{
    amqp_table_entry_t able[] = {flag_entry("connection.blocked"), flag_entry("consumer_cancel_notify"),
                                 flag_entry("publisher_confirms")};
    amqp_table_entry_t entries[] = {
        text_entry("product", "tidemill"),
        text_entry("version", TIDE_VERSION),
        text_entry("connection_name", name),
        {amqp_cstring_bytes("capabilities"),
         {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {sizeof able / sizeof *able, able}}}};
    amqp_table_t properties = {sizeof entries / sizeof *entries, entries};
    amqp_rpc_reply_t reply =
        amqp_login_with_properties(conn, url->vhost, CHANNEL_MAX, FRAME_MAX, url->heartbeat_s, &properties,
                                   AMQP_SASL_METHOD_PLAIN, url->user, url->password);

    return reply.reply_type == AMQP_RESPONSE_NORMAL || reply_error(&reply, err);
}

amqp_connection_state_t tide_amqp_connect(const struct tide_amqp_url *url, const char *role,
                                          struct tide_err *err)
{
    amqp_connection_state_t conn = amqp_new_connection();
    char host[65] = "", name[256];

    if (!conn) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: not enough memory");
        return NULL;
    }
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "%s %d@%s %s", url->name, (int)getpid(), host, role);
    amqp_set_handshake_timeout(conn, &patience);
    amqp_set_rpc_timeout(conn, &patience);
    if (open_socket(conn, url, err) && log_in(conn, url, name, err))
        return conn;
    tide_err_prefix(err, "queue: %s", url->shown);
    amqp_destroy_connection(conn);
    return NULL;
}

void tide_amqp_disconnect(amqp_connection_state_t conn)
{
    if (conn)
        amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
    if (conn)
        amqp_destroy_connection(conn);
}
