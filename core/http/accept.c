/* Accepting connections: libmicrohttpd would stop accepting at its limit; here what is too much is closed. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/connection.h"

#define MAX_ACCEPTS 64   /* in a row */
#define MAX_WAITING 4096 /* what a listening socket holds */
#define BUCKETS 1024

/* ---- connections per address ---- */

struct address {
    struct address *next;
    unsigned char ip[16]; /* IPv4 mapped into IPv6 */
    unsigned count;
};

struct tide_http_addresses {
    struct address *bucket[BUCKETS];
};

struct tide_http_addresses *tide_http_addresses_new(void)
{
    return calloc(1, sizeof(struct tide_http_addresses));
}

void tide_http_addresses_free(struct tide_http_addresses *addresses)
{
    struct address *address;
    size_t i;

    for (i = 0; i < BUCKETS; i++)
        while ((address = addresses->bucket[i])) {
            addresses->bucket[i] = address->next;
            free(address);
        }
    free(addresses);
}

static void peer_ip(const struct sockaddr_storage *peer, unsigned char ip[16])
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (peer->ss_family == AF_INET6) {
        memcpy(ip, &((const struct sockaddr_in6 *)peer)->sin6_addr, 16);
        return;
    }
    memcpy(ip, mapped, sizeof mapped);
    memcpy(ip + 12, &((const struct sockaddr_in *)peer)->sin_addr, 4);
}

static struct address **find_address(struct tide_http_addresses *addresses, const unsigned char ip[16])
{
    struct address **slot;
    unsigned hash = 2166136261U;
    int i;

    for (i = 0; i < 16; i++)
        hash = (hash ^ ip[i]) * 16777619U;
    slot = &addresses->bucket[hash % BUCKETS];
    while (*slot && memcmp((*slot)->ip, ip, 16) != 0)
        slot = &(*slot)->next;
    return slot;
}

static bool count_address(struct tide_http_addresses *addresses, const struct sockaddr_storage *peer,
                          unsigned limit)
{
    unsigned char ip[16];
    struct address **slot;

    peer_ip(peer, ip);
    slot = find_address(addresses, ip);
    if (!*slot) {
        *slot = calloc(1, sizeof **slot);
        if (!*slot)
            return false;
        memcpy((*slot)->ip, ip, sizeof ip);
    }
    if ((*slot)->count >= limit)
        return false;
    (*slot)->count++;
    return true;
}

static void uncount_address(struct tide_http_addresses *addresses, const struct sockaddr_storage *peer)
{
    unsigned char ip[16];
    struct address **slot, *gone;

    peer_ip(peer, ip);
    slot = find_address(addresses, ip);
    if (!*slot || --(*slot)->count > 0)
        return;
    gone = *slot;
    *slot = gone->next;
    free(gone);
}

/* ---- connections ---- */

static void print_address(struct tide_http_connection *connection)
{
    unsigned char ip[16];

    peer_ip(&connection->peer, ip);
    if (IN6_IS_ADDR_V4MAPPED((struct in6_addr *)(void *)ip))
        inet_ntop(AF_INET, ip + 12, connection->address, sizeof connection->address);
    else
        inet_ntop(AF_INET6, ip, connection->address, sizeof connection->address);
}

static void free_connection(struct tide_http_connection *connection)
{
    struct tide_http_server *server = connection->server;

    uncount_address(server->addresses, &connection->peer);
    server->connection_count--;
    if (server->connections_metric)
        tide_metric_set(server->connections_metric, (double)server->connection_count);
    free(connection);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct tide_http_connection *connection = handle->data;
    struct tide_http_server *server = connection->server;

    free_connection(connection);
    tide_http_handle_closed(server);
}

static int socket_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info ? info->connect_fd : -1;
}

/* libmicrohttpd 0.9 calls within MHD_add_connection, 1.0 in its next run. */
static void open_connection(struct tide_http_server *server, struct MHD_Connection *mhd, void **context)
{
    struct tide_link *link = server->accepted.prev;
    int fd = socket_of(mhd);

    while (link != &server->accepted) {
        struct tide_http_connection *connection =
            CONTAINER(link, struct tide_http_connection, in_connections);

        link = link->prev;
        if (connection->fd != fd)
            continue;
        *context = connection;
        connection->mhd = mhd;
        tide_link_remove(&connection->in_connections);
        tide_link_append(&server->connections, &connection->in_connections);
        return;
    }
}

static void close_connection(struct tide_http_server *server, struct tide_http_connection *connection)
{
    if (connection->linger && !server->closing)
        tide_http_linger(server, connection->fd);
    tide_link_remove(&connection->in_connections);
    tide_link_remove(&connection->in_unwatched);
    if (!connection->watch_open)
        free_connection(connection);
    else
        uv_close((uv_handle_t *)&connection->watch, on_watch_closed);
}

void tide_http_connection_notify(void *cls, struct MHD_Connection *mhd, void **context,
                                 enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        open_connection(cls, mhd, context);
    else if (*context)
        close_connection(cls, *context);
}

static struct tide_http_connection *new_connection(struct tide_http_server *server, int fd,
                                                   const struct sockaddr_storage *peer)
{
    struct tide_http_connection *connection;

    if (server->connection_count >= server->config.limits.connections) {
        tide_http_reject_count(server, REJECT_CONNECTIONS);
        return NULL;
    }
    if (!count_address(server->addresses, peer, server->config.limits.connections_per_address)) {
        tide_http_reject_count(server, REJECT_ADDRESS);
        return NULL;
    }
    connection = calloc(1, sizeof *connection);
    if (!connection) {
        uncount_address(server->addresses, peer);
        return NULL;
    }
    connection->server = server;
    connection->fd = fd;
    connection->peer = *peer;
    connection->since_ms = uv_now(server->loop);
    tide_link_init(&connection->in_connections);
    tide_link_init(&connection->in_unwatched);
    print_address(connection);
    server->connection_count++;
    if (server->connections_metric)
        tide_metric_set(server->connections_metric, (double)server->connection_count);
    return connection;
}

static void add_connection(struct tide_http_server *server, int fd, const struct sockaddr_storage *peer,
                           socklen_t peer_len)
{
    struct tide_http_connection *connection = new_connection(server, fd, peer);

    if (!connection) {
        close(fd);
        return;
    }
    tide_link_append(&server->accepted, &connection->in_connections);
    if (MHD_add_connection(server->daemon, fd, (const struct sockaddr *)peer, peer_len) == MHD_YES) {
        server->need_run = server->need_run || !connection->mhd;
    } else if (!connection->mhd) { /* the socket is closed already */
        tide_link_remove(&connection->in_connections);
        free_connection(connection);
    }
}

static void pause_accepting(struct tide_http_server *server, int failure)
{
    server->accept_paused = true; /* the sweep tries again */
    uv_poll_stop(&server->listen_poll);
    if (server->pause_told)
        return;
    server->pause_told = true;
    tide_log_event(server->config.log, TIDE_LOG_WARN, "accepting connections paused",
                   tide_log_str("server", server->name), tide_log_str("reason", strerror(failure)));
}

/* False: none is left, or none can be taken now. */
static bool accept_some(struct tide_http_server *server)
{
    struct sockaddr_storage peer;
    int i, fd;

    for (i = 0; i < MAX_ACCEPTS; i++) {
        socklen_t len = sizeof peer;

        fd = accept4(server->config.listen_fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            server->pause_told = false;
            add_connection(server, fd, &peer, len);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(server, errno);
        }
        if (fd < 0 && errno != ECONNABORTED && errno != EINTR)
            return false;
    }
    return true;
}

static void on_listen(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    accept_some(poll->data);
}

void tide_http_accept_waiting(struct tide_http_server *server)
{
    for (int i = 0; i < MAX_WAITING / MAX_ACCEPTS && accept_some(server); i++)
        ;
    tide_http_accept_stop(server); /* out of descriptors, it would try again */
}

void tide_http_accept_drop(struct tide_http_server *server)
{
    while (!tide_link_empty(&server->accepted)) {
        struct tide_http_connection *connection =
            CONTAINER(server->accepted.next, struct tide_http_connection, in_connections);

        tide_link_remove(&connection->in_connections);
        free_connection(connection);
    }
}

void tide_http_accept_start(struct tide_http_server *server)
{
    server->accept_paused = false;
    uv_poll_start(&server->listen_poll, UV_READABLE, on_listen);
}

void tide_http_accept_stop(struct tide_http_server *server)
{
    server->accept_paused = false;
    uv_poll_stop(&server->listen_poll);
}
