/*
 * One listening HTTP/1.1 server on a uv loop: libmicrohttpd in external epoll mode behind framing checks,
 * deadlines and limits of our own. Used by the workers (one server a bundle that has routes) and by the
 * supervisor's admin listener. Everything on the loop thread.
 *
 * Life of a request: `on_request` once its head is there and well-formed -> the user reads the body or not,
 * at leisure (the connection is suspended meanwhile) -> the user calls tide_http_respond once -> `on_end`
 * once, whatever happened. When the client goes away or a deadline passes before the response is sent,
 * `on_gone` runs first; reads and writes in flight then fail with TIDE_ERR_CANCELED or TIDE_ERR_TIMEOUT, a
 * tide_http_respond is ignored, and `on_end` follows soon, without one. A client that ends its sending side
 * while the user works counts as gone. Malformed requests are answered here (application/problem+json, RFC
 * 9457; text/html where libmicrohttpd finds them before we do) and never seen by the user. The process
 * ignores SIGPIPE from the first start on, unless it handles it.
 */
#ifndef TIDE_HTTP_SERVER_H
#define TIDE_HTTP_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/proxies.h"
#include "stream/stream.h"

struct tide_http_server;
struct tide_http_request;

struct tide_http_limits {
    size_t head_bytes;  /* request line and headers: over it 431; default 8 KiB (a connection takes this and 4
                           KiB of memory) */
    int64_t body_bytes; /* default for requests that set no limit of their own: 1 MiB; over it 413 */
    unsigned connections;             /* default 4096; more are accepted and closed */
    unsigned connections_per_address; /* default 1024 */
    int64_t head_timeout_ms; /* from the first byte (or accept) to the end of the head: default 10 s; 408 */
    int64_t idle_timeout_ms; /* keep-alive without a request: default 60 s */
    int64_t min_rate;        /* bytes/s, averaged over 10 s windows, of a body being read or a response being
                                written while the peer is what we wait for: default 1 KiB/s; below it ended */
};
void tide_http_limits_default(struct tide_http_limits *limits);

struct tide_http_header {
    const char *name, *value;
};

struct tide_http_handler {
    void (*on_request)(void *arg, struct tide_http_request *request);
    /* The client went away or was too slow. The request stays valid until on_end. May be NULL. */
    void (*on_gone)(void *arg, struct tide_http_request *request);
    /* The response went out (or never will). Frees what the user attached; the request is gone after it. */
    void (*on_end)(void *arg, struct tide_http_request *request);
    void *arg;
    struct tide_http_header header; /* on each of its answers, as long as its requests; no name: none */
    const struct tide_http_proxies *proxies; /* whose X-Forwarded-For is believed; NULL: nobody's */
};

struct tide_http_server_config {
    int listen_fd;    /* listening, non-blocking; stays the caller's */
    const char *name; /* for logs and metrics ("gateway") */
    struct tide_http_limits limits;
    struct tide_http_handler handler;
    const struct tide_log *log;
    struct tide_metrics *metrics; /* may be NULL: tidemill_http_connections{server},
                                     tidemill_http_rejected_total{server,reason} */
};

struct tide_http_server *tide_http_server_start(uv_loop_t *loop, const struct tide_http_server_config *config,
                                                struct tide_err *err);
/* Requests that start from now on are the new handler's; those in flight stay with theirs. */
void tide_http_server_hand_over(struct tide_http_server *server, const struct tide_http_handler *handler);
/* From now on answers carry Connection: close; connections are still accepted. */
void tide_http_server_drain(struct tide_http_server *server);
/* Drains, takes the connections that wait, and stops accepting. Idle keep-alive connections are closed; a
 * fresh one has another second for its first request. All are answered when none is left. */
void tide_http_server_quiesce(struct tide_http_server *server);
size_t tide_http_server_connections(const struct tide_http_server *server);
size_t
tide_http_server_active(const struct tide_http_server *server); /* requests between on_request and on_end */
/* Ends every connection (on_gone, on_end run), then calls `closed` from the loop and frees the server. */
void tide_http_server_close(struct tide_http_server *server, void (*closed)(void *arg), void *arg);

/* ---- the request's head; strings live as long as the request ---- */

void tide_http_request_set_user(struct tide_http_request *request, void *user);
void *tide_http_request_user(const struct tide_http_request *request);
const char *tide_http_request_method(const struct tide_http_request *request); /* "GET", ... */
const char *tide_http_request_path(
    const struct tide_http_request *request); /* percent-decoded once; no NUL, no "..", no encoded "/" */
const char *
tide_http_request_target(const struct tide_http_request *request); /* raw, with its query: as sent */
const char *
tide_http_request_query(const struct tide_http_request *request); /* raw, behind "?", "" without */
const char *tide_http_request_header(const struct tide_http_request *request,
                                     const char *name); /* first; NULL */
/* Calls f for every header, in order. */
void tide_http_request_headers(const struct tide_http_request *request,
                               void (*f)(void *arg, const char *name, const char *value), void *arg);
/* The client's IP, text: the peer's, unless that is a proxy (http/proxies.h). */
const char *tide_http_request_address(const struct tide_http_request *request);
const char *
tide_http_request_id(const struct tide_http_request *request); /* 24 hex digits; also sent as X-Request-Id */
int64_t tide_http_request_content_length(const struct tide_http_request *request); /* -1: chunked; 0: none */
uint64_t tide_http_request_start_ns(const struct tide_http_request *request); /* uv_hrtime() at on_request */
int64_t tide_http_request_bytes_in(const struct tide_http_request *request);  /* of the body, so far */
int64_t
tide_http_request_bytes_out(const struct tide_http_request *request); /* of the response's body, so far */
bool tide_http_request_is_gone(const struct tide_http_request *request);

/* ---- the request's body: at most one of the three; another one fails with TIDE_ERR_CONFLICT ---- */

/* Sets the limit for this request. False: Content-Length is over it already (answer 413 without reading). */
bool tide_http_request_limit(struct tide_http_request *request, int64_t body_bytes);

/* Collects the body (at most `max` bytes, else TIDE_ERR_TOO_LARGE). cb never runs inside this call. data is
 * NUL-terminated and lives until the callback returns. */
typedef void tide_http_body_cb(void *arg, const char *data, size_t len, const struct tide_err *err);
void tide_http_body_collect(struct tide_http_request *request, size_t max, tide_http_body_cb *cb, void *arg);

/* The raw body as a stream, with back-pressure to the socket. Closed by its user, also after on_end (reads
 * then fail with TIDE_ERR_CANCELED). NULL when memory is out. */
struct tide_source *tide_http_body_source(struct tide_http_request *request);

/* multipart/form-data (RFC 7578), part by part. TIDE_ERR_INVALID: not multipart, no boundary, malformed, cut
 * off before the closing boundary (also as the error of a part's source). */
struct tide_http_part {
    const char *name;         /* of the form field */
    const char *filename;     /* base name, no path, no control bytes; NULL when the part has none */
    const char *content_type; /* NULL: none */
    struct tide_source *
        source; /* what it holds; its user closes it, at any time. Asking for the next part skips the rest. */
};
/* part NULL and err NULL: no further part. Never runs inside tide_http_multipart_next. */
typedef void tide_http_part_cb(void *arg, const struct tide_http_part *part, const struct tide_err *err);
void tide_http_multipart_next(struct tide_http_request *request, tide_http_part_cb *cb, void *arg);
/* Stops waiting for collect or next: their callback will not run. */
void tide_http_body_cancel(struct tide_http_request *request);

/* ---- the response ---- */

#define TIDE_HTTP_MAX_ANSWER_HEAD (8 * 1024) /* bytes of a response's own headers that surely fit */

struct tide_http_response {
    int status;
    /* Copied; control bytes and bad names are refused: 500 and logged. The server sets Date, X-Request-Id,
     * nosniff and all that frames the message: Content-Length, Connection and their like are left out, and
     * empty values too. */
    const struct tide_http_header *headers;
    size_t header_count;
    const void *body; /* copied */
    size_t body_len;
    /* Or a stream: closed by the server when done. length >= 0: Content-Length, else chunked. HEAD closes it
     * unread. A source that fails after the head was sent cuts the connection, so that the client sees it. */
    struct tide_source *source;
    /* Or a file: `fd` (>0) is closed by the server, [offset, offset+length) is sent with sendfile. */
    int fd;
    int64_t offset, length;
};
/* Once per request. What is left of the request's body is discarded (bounded), or the connection is closed.
 */
void tide_http_respond(struct tide_http_request *request, const struct tide_http_response *response);

/* application/problem+json with type about:blank, title of the status, detail; extra headers may be given. */
void tide_http_respond_problem(struct tide_http_request *request, int status, const char *detail,
                               const struct tide_http_header *headers, size_t header_count);
const char *tide_http_status_title(int status); /* "Not Found" */

/* Opens `count` listening sockets (SO_REUSEPORT) for "host:port" or "[v6]:port" into fds, after making sure
 * that nobody holds the port: TIDE_ERR_CONFLICT names the holder's pid and command when /proc tells them.
 * Port 0 picks one; *port is what was bound. */
TIDE_WARN_UNUSED bool tide_http_listen(const char *address, int *fds, unsigned count, int *port,
                                       struct tide_err *err);

#endif
