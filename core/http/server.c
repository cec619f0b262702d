#include "http/server.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/connection.h"

#define SWEEP_MS 500
#define MAX_ROUNDS 16 /* of MHD_run before the loop sees to others */

void tide_http_limits_default(struct tide_http_limits *limits)
{
    *limits = (struct tide_http_limits){
        .head_bytes = 8 * 1024,
        .body_bytes = 1024 * 1024,
        .connections = 4096,
        .connections_per_address = 1024,
        .head_timeout_ms = 10 * 1000,
        .idle_timeout_ms = 60 * 1000,
        .min_rate = 1024,
    };
}

void tide_http_reject_count(struct tide_http_server *server, enum tide_http_rejection reason)
{
    if (server->rejected[reason])
        tide_metric_add(server->rejected[reason], 1);
}

/* ---- libmicrohttpd on the loop ---- */

static bool has_more(struct tide_http_server *server)
{
    MHD_UNSIGNED_LONG_LONG timeout;

    return server->need_run || (MHD_get_timeout(server->daemon, &timeout) == MHD_YES && timeout == 0);
}

static void do_work(struct tide_http_server *server)
{
    struct tide_link list;

    if (tide_link_empty(&server->work))
        return;
    list = server->work; /* what comes in meanwhile waits for the next round */
    list.prev->next = list.next->prev = &list;
    tide_link_init(&server->work);
    while (!tide_link_empty(&list)) {
        struct tide_http_request *request = CONTAINER(list.next, struct tide_http_request, in_work);

        tide_link_remove(&request->in_work);
        tide_http_body_work(request);
    }
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* being active makes the loop poll without blocking */
}

void tide_http_run(struct tide_http_server *server)
{
    int rounds = 0;

    if (server->running || server->closing)
        return;
    server->running = true;
    do {
        server->need_run = false;
        MHD_run(server->daemon);
        tide_http_files_begun(server);
    } while (++rounds < MAX_ROUNDS && has_more(server));
    server->running = false;
    do_work(server);
    if (!tide_link_empty(&server->work) || has_more(server))
        uv_idle_start(&server->idle, on_idle);
    else
        uv_idle_stop(&server->idle);
}

static void on_epoll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    tide_http_run(poll->data);
}

static void close_all(struct tide_http_server *server);

static void on_prepare(uv_prepare_t *prepare)
{
    struct tide_http_server *server = prepare->data;

    if (server->closing)
        close_all(server);
    else if (server->need_run || !tide_link_empty(&server->work) ||
             uv_is_active((uv_handle_t *)&server->idle))
        tide_http_run(server);
}

/* ---- start ---- */

static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

static struct MHD_Daemon *start_daemon(struct tide_http_server *server)
{
    const struct tide_http_limits *limits = &server->config.limits;
    /* 1.0 refuses what is malformed by its levels; in 0.9 they hardly change anything but the answer to a
     * missing Host, which is ours. */
    int strictness = MHD_get_version()[0] == '0' ? 0 : 1;

    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, tide_http_access,
        server, MHD_OPTION_CONNECTION_LIMIT, limits->connections + 16, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        limits->head_bytes + POOL_EXTRA, MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_SIGPIPE_HANDLED_BY_APP,
        1, MHD_OPTION_STRICT_FOR_CLIENT, strictness, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, tide_http_request_line, server, MHD_OPTION_NOTIFY_COMPLETED,
        tide_http_completed, server, MHD_OPTION_NOTIFY_CONNECTION, tide_http_connection_notify, server,
        MHD_OPTION_END);
}

static void init_metrics(struct tide_http_server *server)
{
    static const char *const reasons[REJECT_COUNT] = {
        [REJECT_FRAMING] = "framing",
        [REJECT_HEAD_SIZE] = "head_size",
        [REJECT_HEAD_TIMEOUT] = "head_timeout",
        [REJECT_BODY_RATE] = "body_rate",
        [REJECT_RESPONSE_RATE] = "response_rate",
        [REJECT_CONNECTIONS] = "connections",
        [REJECT_ADDRESS] = "connections_per_address",
    };
    struct tide_metrics *metrics = server->config.metrics;
    struct tide_buf labels;
    int i;

    if (!metrics)
        return;
    tide_buf_init(&labels, 512);
    tide_metrics_label(&labels, "server", server->name);
    server->connections_metric = tide_metrics_get(metrics, TIDE_METRIC_GAUGE, "tidemill_http_connections",
                                                  labels.data, "Open HTTP connections.");
    for (i = 0; i < REJECT_COUNT; i++) {
        tide_buf_reset(&labels);
        tide_metrics_label(&labels, "server", server->name);
        tide_metrics_label(&labels, "reason", reasons[i]);
        server->rejected[i] =
            tide_metrics_get(metrics, TIDE_METRIC_COUNTER, "tidemill_http_rejected_total", labels.data,
                             "Requests and connections that the server ended by itself.");
    }
    tide_buf_release(&labels);
}

/* sendfile has no MSG_NOSIGNAL: a client that goes away in mid-download would end the process. */
static void ignore_sigpipe(void)
{
    struct sigaction action;

    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

static bool init_handles(struct tide_http_server *server, struct tide_err *err)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int failure;

    if (!info)
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "libmicrohttpd was built without epoll");
    failure = uv_poll_init(server->loop, &server->epoll_poll, info->epoll_fd);
    if (failure)
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "polling libmicrohttpd: %s", uv_strerror(failure));
    server->handles++;
    failure = uv_poll_init(server->loop, &server->listen_poll, server->config.listen_fd);
    if (failure) {
        uv_close((uv_handle_t *)&server->epoll_poll, NULL);
        return tide_err_set(err, TIDE_ERR_INVALID, false, "the listening socket: %s", uv_strerror(failure));
    }
    uv_prepare_init(server->loop, &server->prepare);
    uv_idle_init(server->loop, &server->idle);
    uv_timer_init(server->loop, &server->sweep);
    uv_timer_init(server->loop, &server->watch_timer);
    server->handles += 5;
    server->epoll_poll.data = server->listen_poll.data = server->prepare.data = server->sweep.data =
        server->watch_timer.data = server;
    return true;
}

static void free_server(struct tide_http_server *server)
{
    struct tide_http_request *request;

    while ((request = server->spare)) {
        server->spare = request->next_spare;
        free(request);
    }
    if (server->addresses)
        tide_http_accept_drop(server);
    if (server->addresses)
        tide_http_addresses_free(server->addresses);
    free(server);
}

static struct tide_http_server *new_server(uv_loop_t *loop, const struct tide_http_server_config *config)
{
    struct tide_http_server *server = calloc(1, sizeof *server);

    if (!server)
        return NULL;
    server->config = *config;
    server->loop = loop;
    snprintf(server->name, sizeof server->name, "%s", config->name ? config->name : "http");
    tide_link_init(&server->connections);
    tide_link_init(&server->accepted);
    tide_link_init(&server->lingering);
    tide_link_init(&server->unwatched);
    tide_link_init(&server->work);
    tide_link_init(&server->files);
    randombytes_buf(&server->id_base, sizeof server->id_base);
    server->addresses = tide_http_addresses_new();
    server->daemon = server->addresses ? start_daemon(server) : NULL;
    if (server->daemon)
        return server;
    free_server(server);
    return NULL;
}

struct tide_http_server *tide_http_server_start(uv_loop_t *loop, const struct tide_http_server_config *config,
                                                struct tide_err *err)
{
    struct tide_http_server *server = new_server(loop, config);

    if (!server) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "HTTP server '%s': libmicrohttpd does not start",
                     config->name);
        return NULL;
    }
    if (!init_handles(server, err)) {
        MHD_stop_daemon(server->daemon);
        free_server(server);
        return NULL;
    }
    ignore_sigpipe();
    init_metrics(server);
    uv_poll_start(&server->epoll_poll, UV_READABLE, on_epoll);
    uv_prepare_start(&server->prepare, on_prepare);
    uv_timer_start(&server->sweep, tide_http_sweep, SWEEP_MS, SWEEP_MS);
    uv_unref((uv_handle_t *)&server->prepare);
    uv_unref((uv_handle_t *)&server->sweep);
    tide_http_accept_start(server);
    return server;
}

void tide_http_server_hand_over(struct tide_http_server *server, const struct tide_http_handler *handler)
{
    server->config.handler = *handler;
}

size_t tide_http_server_active(const struct tide_http_server *server)
{
    return server->active;
}

/* ---- end ---- */

size_t tide_http_server_connections(const struct tide_http_server *server)
{
    return server->connection_count;
}

void tide_http_server_drain(struct tide_http_server *server)
{
    server->draining = true;
}

void tide_http_server_quiesce(struct tide_http_server *server)
{
    struct tide_link *link;

    if (server->quiescing)
        return;
    server->draining = server->quiescing = true;
    tide_http_accept_waiting(server);
    /* Ends the reading side only: a request that is already in the socket is still served, with
     * Connection: close. */
    for (link = server->connections.next; link != &server->connections; link = link->next) {
        struct tide_http_connection *connection =
            CONTAINER(link, struct tide_http_connection, in_connections);

        if (connection->phase == CONNECTION_IDLE)
            shutdown(connection->fd, SHUT_RD);
    }
}

void tide_http_handle_closed(struct tide_http_server *server)
{
    void (*closed)(void *arg) = server->closed;
    void *arg = server->closed_arg;

    if (--server->handles > 0)
        return;
    free_server(server);
    if (closed)
        closed(arg);
}

static void on_handle_closed(uv_handle_t *handle)
{
    tide_http_handle_closed(handle->data);
}

static void close_all(struct tide_http_server *server)
{
    uv_handle_t *const handles[] = {(uv_handle_t *)&server->epoll_poll, (uv_handle_t *)&server->listen_poll,
                                    (uv_handle_t *)&server->prepare,    (uv_handle_t *)&server->idle,
                                    (uv_handle_t *)&server->sweep,      (uv_handle_t *)&server->watch_timer};
    struct tide_link *link, *next;
    size_t i;

    for (link = server->connections.next; link != &server->connections; link = next) {
        next = link->next;
        tide_http_kill(CONTAINER(link, struct tide_http_connection, in_connections), TIDE_ERR_CANCELED,
                       "the server closes");
    }
    tide_http_linger_sweep(server, UINT64_MAX);
    for (i = 0; i < sizeof handles / sizeof *handles; i++) {
        handles[i]->data = server;
        uv_close(handles[i], on_handle_closed);
    }
    MHD_stop_daemon(server->daemon); /* ends every connection and its request; none is suspended any more */
}

void tide_http_server_close(struct tide_http_server *server, void (*closed)(void *arg), void *arg)
{
    if (server->closing)
        return;
    server->closing = true;
    server->closed = closed;
    server->closed_arg = arg;
    tide_http_accept_stop(server);
    /* Perhaps we are inside libmicrohttpd: the rest is done by on_prepare. */
    uv_idle_start(&server->idle, on_idle);
}
