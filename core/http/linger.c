/*
 * Lingering close. When we end a connection while its client is still sending, close(2) makes the kernel send
 * a reset, and that can take our answer away from the client before it has read it. So a duplicate of the
 * socket stays open (its sending side is ended) and what comes is thrown away, for a moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/connection.h"

#define MAX_SOCKETS 256
#define LINGER_MS 2000
#define DRAIN_BYTES (4 * 1024 * 1024) /* before others have their turn */

struct tide_http_lingering {
    struct tide_link link;
    struct tide_http_server *server;
    uv_poll_t poll;
    int fd;
    uint64_t until_ms;
};

static void on_closed(uv_handle_t *handle)
{
    struct tide_http_lingering *lingering = handle->data;
    struct tide_http_server *server = lingering->server;

    free(lingering);
    tide_http_handle_closed(server);
}

static void end(struct tide_http_lingering *lingering)
{
    tide_link_remove(&lingering->link);
    lingering->server->lingering_count--;
    uv_poll_stop(&lingering->poll);
    close(lingering->fd);
    uv_close((uv_handle_t *)&lingering->poll, on_closed);
}

/* False: the peer has closed, or failed. */
static bool drain(int fd)
{
    static const size_t step = 256 * 1024;
    size_t drained = 0;
    ssize_t n = 1;

    while (n > 0 && drained < DRAIN_BYTES) {
        n = recv(fd, NULL, step, MSG_TRUNC | MSG_DONTWAIT); /* throws away without copying */
        if (n > 0)
            drained += (size_t)n;
    }
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct tide_http_lingering *lingering = poll->data;

    (void)events;
    if (status != 0 || !drain(lingering->fd))
        end(lingering);
}

void tide_http_linger(struct tide_http_server *server, int fd)
{
    struct tide_http_lingering *lingering;

    if (server->lingering_count >= MAX_SOCKETS || (fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
        return;
    shutdown(fd, SHUT_WR);
    lingering = calloc(1, sizeof *lingering);
    if (!lingering || uv_poll_init(server->loop, &lingering->poll, fd) != 0) {
        free(lingering);
        close(fd);
        return;
    }
    server->handles++;
    server->lingering_count++;
    lingering->server = server;
    lingering->fd = fd;
    lingering->until_ms = uv_now(server->loop) + LINGER_MS;
    lingering->poll.data = lingering;
    tide_link_append(&server->lingering, &lingering->link);
    uv_poll_start(&lingering->poll, UV_READABLE, on_readable);
}

void tide_http_linger_sweep(struct tide_http_server *server, uint64_t now_ms)
{
    struct tide_link *link = server->lingering.next, *next;

    for (; link != &server->lingering; link = next) {
        struct tide_http_lingering *lingering = CONTAINER(link, struct tide_http_lingering, link);

        next = link->next;
        if (now_ms >= lingering->until_ms)
            end(lingering);
    }
}
