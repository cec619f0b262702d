/*
 * Lingering close. When we end a connection while its client is still sending, close(2) makes the kernel send
 * a reset, and that can take our answer away from the client before it has read it. So a duplicate of the
 * socket stays open (libmicrohttpd has ended its sending side) and is drained for a moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/connection.h"

#define MAX_SOCKETS 256
#define LINGER_MS 2000
#define DRAIN_BYTES (4 * 1024 * 1024) /* a sweep */

struct tide_http_lingering {
    struct tide_http_server *server;
    size_t count;
    struct {
        int fd;
        uint64_t until_ms;
    } sockets[MAX_SOCKETS];
};

struct tide_http_lingering *tide_http_lingering_new(struct tide_http_server *server)
{
    struct tide_http_lingering *lingering = calloc(1, sizeof *lingering);

    if (lingering)
        lingering->server = server;
    return lingering;
}

void tide_http_linger(struct tide_http_lingering *lingering, int fd)
{
    if (lingering->count == MAX_SOCKETS)
        return;
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return;
    shutdown(fd, SHUT_WR);
    lingering->sockets[lingering->count].fd = fd;
    lingering->sockets[lingering->count++].until_ms = uv_now(lingering->server->loop) + LINGER_MS;
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

void tide_http_lingering_sweep(struct tide_http_lingering *lingering, uint64_t now_ms)
{
    size_t i, kept = 0;

    for (i = 0; i < lingering->count; i++) {
        if (drain(lingering->sockets[i].fd) && now_ms < lingering->sockets[i].until_ms)
            lingering->sockets[kept++] = lingering->sockets[i];
        else
            close(lingering->sockets[i].fd);
    }
    lingering->count = kept;
}

void tide_http_lingering_free(struct tide_http_lingering *lingering)
{
    size_t i;

    for (i = 0; i < lingering->count; i++)
        close(lingering->sockets[i].fd);
    free(lingering);
}
