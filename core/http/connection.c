#include "http/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"

/* A request that is answered within this time is never watched: most are, and each watch costs two system
 * calls. */
#define WATCH_AFTER_MS 30
#define WATCH_EVERY_MS 40

/* ---- noticing that the peer went away while libmicrohttpd does not look ---- */

/* The peer sends no more: can what has arrived still complete the body? */
static bool is_cut_off(const struct tide_http_connection *connection)
{
    const struct tide_http_request *request = connection->request;
    size_t buffered = connection->server->config.limits.head_bytes + POOL_EXTRA;
    int waiting = 0;

    return request && !request->body.ended && request->content_length > 0 &&
           ioctl(connection->fd, FIONREAD, &waiting) == 0 &&
           request->bytes_in + waiting + (int64_t)buffered < request->content_length;
}

static void on_watch(uv_poll_t *watch, int status, int events)
{
    struct tide_http_connection *connection = watch->data;
    char byte;
    ssize_t n;

    (void)status;
    (void)events;
    uv_poll_stop(watch);
    connection->watching = false;
    n = recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    /* With bytes still to read it may only have ended its sending side: they are read first. */
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || (n > 0 && is_cut_off(connection)))
        tide_http_kill(connection, TIDE_ERR_CANCELED, "the client closed the connection");
}

static void watch(struct tide_http_connection *connection)
{
    struct tide_http_server *server = connection->server;

    if (!connection->watch_open) {
        if (uv_poll_init(server->loop, &connection->watch, connection->fd) != 0)
            return;
        connection->watch.data = connection;
        connection->watch_open = true;
        server->handles++;
    }
    connection->watching = uv_poll_start(&connection->watch, UV_DISCONNECT, on_watch) == 0;
}

void tide_http_watch_due(uv_timer_t *timer)
{
    struct tide_http_server *server = timer->data;
    uint64_t now = uv_now(server->loop);

    while (!tide_link_empty(&server->unwatched)) {
        struct tide_http_connection *connection =
            CONTAINER(server->unwatched.next, struct tide_http_connection, in_unwatched);

        if (now - connection->suspended_ms < WATCH_AFTER_MS)
            return;
        tide_link_remove(&connection->in_unwatched);
        watch(connection);
    }
    uv_timer_stop(timer);
}

/* ---- suspending ---- */

void tide_http_suspend(struct tide_http_connection *connection)
{
    struct tide_http_server *server = connection->server;

    if (connection->suspended)
        return;
    connection->suspended = true;
    connection->suspended_ms = uv_now(server->loop);
    MHD_suspend_connection(connection->mhd);
    tide_link_append(&server->unwatched, &connection->in_unwatched);
    if (!uv_is_active((uv_handle_t *)&server->watch_timer))
        uv_timer_start(&server->watch_timer, tide_http_watch_due, WATCH_EVERY_MS, WATCH_EVERY_MS);
}

void tide_http_wake(struct tide_http_connection *connection)
{
    if (!connection->suspended)
        return;
    connection->suspended = false;
    tide_link_remove(&connection->in_unwatched);
    if (connection->watching)
        uv_poll_stop(&connection->watch);
    connection->watching = false;
    MHD_resume_connection(connection->mhd);
    connection->server->need_run = true;
}

/* ---- ending ---- */

void tide_http_kill(struct tide_http_connection *connection, const char *code, const char *why)
{
    if (connection->killed)
        return;
    connection->killed = true;
    if (connection->request)
        tide_http_request_lose(connection->request, code, why);
    shutdown(connection->fd, SHUT_RDWR);
    tide_http_wake(connection);
}

/* As much as the socket takes now: nobody waits here for a slow reader. */
static void send_now(int fd, const void *data, size_t len)
{
    const char *from = data;
    ssize_t n = 0;

    for (; len > 0 && n >= 0; from += n, len -= (size_t)n) {
        n = send(fd, from, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            n = 0;
    }
}

void tide_http_abort_with(struct tide_http_connection *connection, int status, const char *headers,
                          const void *body, size_t body_len)
{
    struct tide_buf text;
    char date[40];
    time_t now = (time_t)(tide_clock_now_ms() / 1000);
    struct tm tm;

    tide_buf_init(&text, 1024 * 1024);
    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    tide_buf_printf(&text, "HTTP/1.1 %d %s\r\nDate: %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
                    status, tide_http_status_title(status), date, headers, body_len);
    if (tide_buf_append(&text, body, body_len))
        send_now(connection->fd, text.data, text.len);
    tide_buf_release(&text);
    connection->linger = true;
    shutdown(connection->fd, SHUT_WR);
    tide_http_wake(connection);
}
