/*
 * Deadlines. libmicrohttpd's own timeout counts from the last byte, so a client that drips one a second holds
 * a connection for ever. Here one timer a server looks at every connection twice a second; what the peer has
 * sent and acknowledged is asked of the kernel, only for connections that wait for it. That also finds the
 * clients that have closed: libmicrohttpd misses the end that came together with the last bytes.
 */
#include "base/guards.h"
#include "http/connection.h"
#include "http/progress.h"

#define WINDOW_MS (10 * 1000)
#define ABORT_MS 2000
#define IDLE_LOOK_MS 1000
#define LAST_CHANCE_MS 1000 /* for a first request once the server has stopped accepting */

static const char client_closed[] = "the client closed the connection";

static void end_head(struct tide_http_connection *connection)
{
    static const char body[] = "{\"type\":\"about:blank\",\"title\":\"Request Timeout\",\"status\":408,"
                               "\"detail\":\"the request's head did not arrive in time\"}";

    tide_http_reject_count(connection->server, REJECT_HEAD_TIMEOUT);
    tide_http_abort_with(connection, 408, "Content-Type: application/problem+json\r\n", body,
                         sizeof body - 1);
    tide_http_kill(connection, TIDE_ERR_TIMEOUT, "the request's head did not arrive in time");
}

static void check_head(struct tide_http_connection *connection, uint64_t waited)
{
    struct tide_http_progress progress;

    if (waited >= (uint64_t)connection->server->config.limits.head_timeout_ms)
        end_head(connection);
    else if (tide_http_progress_get(connection->fd, &progress) && progress.over)
        tide_http_kill(connection, TIDE_ERR_CANCELED, client_closed);
}

static void check_fresh(struct tide_http_connection *connection, uint64_t waited)
{
    struct tide_http_progress progress;
    bool known = tide_http_progress_get(connection->fd, &progress);

    if (connection->server->quiescing && waited >= LAST_CHANCE_MS)
        shutdown(connection->fd, SHUT_RD); /* what is in the socket is still served */
    if (known && progress.over) {
        tide_http_kill(connection, TIDE_ERR_CANCELED, client_closed);
        return;
    }
    if (waited < (uint64_t)connection->server->config.limits.head_timeout_ms)
        return;
    if (known && progress.received > 0)
        end_head(connection);
    else
        tide_http_kill(connection, TIDE_ERR_TIMEOUT, "nothing was sent");
}

/* Between requests the first byte of the next is not reported, so the kernel's count tells that a head has
 * begun. */
static void check_idle(struct tide_http_connection *connection, uint64_t now, uint64_t waited)
{
    struct tide_http_progress progress;

    if (waited >= (uint64_t)connection->server->config.limits.idle_timeout_ms) {
        tide_http_kill(connection, TIDE_ERR_TIMEOUT, "idle");
        return;
    }
    if (waited < IDLE_LOOK_MS || !tide_http_progress_get(connection->fd, &progress))
        return;
    if (progress.over) {
        tide_http_kill(connection, TIDE_ERR_CANCELED, client_closed);
        return;
    }
    if (connection->received && progress.received > connection->received) {
        connection->phase = CONNECTION_HEAD;
        connection->since_ms = now;
    }
    connection->received = progress.received;
}

/* Counts towards the minimum rate; false: the peer was too slow. */
static bool fast_enough(struct tide_http_request *request, uint64_t now, uint64_t bytes)
{
    uint64_t elapsed = now - request->window_ms;
    uint64_t moved = bytes - request->window_bytes;

    if (request->window_ms && elapsed < WINDOW_MS)
        return true;
    if (request->window_ms && moved * 1000 < elapsed * (uint64_t)request->server->config.limits.min_rate)
        return false;
    request->window_ms = now;
    request->window_bytes = bytes;
    return true;
}

static void end_body(struct tide_http_request *request)
{
    static const char body[] = "{\"type\":\"about:blank\",\"title\":\"Request Timeout\",\"status\":408,"
                               "\"detail\":\"the request's body came too slowly\"}";

    tide_http_reject_count(request->server, REJECT_BODY_RATE);
    tide_http_abort_with(request->connection, 408, "Content-Type: application/problem+json\r\n", body,
                         sizeof body - 1);
    tide_http_kill(request->connection, TIDE_ERR_TIMEOUT, "the request's body came too slowly");
}

static void check_body(struct tide_http_request *request, const struct tide_http_progress *progress,
                       uint64_t now)
{
    if (progress->over)
        tide_http_kill(request->connection, TIDE_ERR_CANCELED, client_closed);
    else if (!fast_enough(request, now, progress->received))
        end_body(request);
}

static void check_response(struct tide_http_request *request, const struct tide_http_progress *progress,
                           uint64_t now)
{
    if (fast_enough(request, now, progress->acked))
        return;
    tide_http_reject_count(request->server, REJECT_RESPONSE_RATE);
    tide_http_kill(request->connection, TIDE_ERR_TIMEOUT, "the client reads too slowly");
}

static void check_request(struct tide_http_connection *connection, uint64_t now)
{
    struct tide_http_request *request = connection->request;
    struct tide_http_progress progress;

    if (request->aborted) {
        if (now - request->window_ms >= ABORT_MS)
            shutdown(connection->fd, SHUT_RDWR);
    } else if (connection->suspended ||
               (request->phase != REQUEST_BODY && request->phase != REQUEST_SENDING)) {
        request->window_ms = 0; /* it waits for us */
    } else if (tide_http_progress_get(connection->fd, &progress)) {
        if (request->phase == REQUEST_BODY)
            check_body(request, &progress, now);
        else
            check_response(request, &progress, now);
    }
}

static void check(struct tide_http_connection *connection, uint64_t now)
{
    uint64_t waited = now - connection->since_ms;

    switch (connection->phase) {
    case CONNECTION_FRESH:
        check_fresh(connection, waited);
        break;
    case CONNECTION_IDLE:
        check_idle(connection, now, waited);
        break;
    case CONNECTION_HEAD:
        check_head(connection, waited);
        break;
    case CONNECTION_REQUEST:
        if (connection->request)
            check_request(connection, now);
        break;
    }
}

void tide_http_sweep(uv_timer_t *timer)
{
    struct tide_http_server *server = timer->data;
    uint64_t now = uv_now(server->loop);
    struct tide_link *link, *next;

    for (link = server->connections.next; tide_guards_on() && link != &server->connections; link = next) {
        struct tide_http_connection *connection =
            CONTAINER(link, struct tide_http_connection, in_connections);

        next = link->next;
        if (!connection->killed)
            check(connection, now);
    }
    tide_http_linger_sweep(server, now);
    if (server->accept_paused && !server->quiescing && !server->closing)
        tide_http_accept_start(server);
}
