/*
 * The HTTP client of a worker: libcurl's multi interface driven by the worker's uv loop, so that a thousand
 * requests wait without a thread. Used by the bindings (tide.http, tide.upstream). HTTP/1.1 with keep-alive;
 * http and https only, certificates verified, proxies of the environment and .netrc ignored.
 * Everything on the loop thread; names are resolved on libcurl's own threads.
 *
 * Life of a request: tide_fetch_start -> on_head once (when given), before the first byte of the body is
 * handed on
 * -> on_done once. Neither is called inside tide_fetch_start, nor after tide_fetch_cancel.
 *
 * Errors: invalid (URL, method, header, redirects), timeout, unavailable (refused, reset, no such host,
 * certificate, not HTTP), too_large (response), canceled (the client is freed), or that of source or sink. A
 * status of 400 and above is no error.
 */
#ifndef TIDE_HTTP_CLIENT_H
#define TIDE_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "http/server.h" /* struct tide_http_header */
#include "stream/stream.h"

struct tide_http_client;
struct tide_fetch; /* a request in flight */

#define TIDE_FETCH_MAX_RESPONSE (4 * 1024 * 1024) /* bytes */
#define TIDE_FETCH_MAX_HEAD (64 * 1024)           /* bytes of response headers */
#define TIDE_FETCH_MAX_URL 8192
#define TIDE_FETCH_MAX_HEADERS 128 /* each way */
#define TIDE_FETCH_MAX_REDIRECTS 5

struct tide_http_client_config {
    unsigned requests;             /* in flight at most, more are refused as unavailable; 0: 1024 */
    unsigned connections_per_host; /* more requests wait their turn; 0: 64 */
    const char *user_agent;        /* NULL: "tidemill/VERSION" */
    const char *ca_file;           /* PEM; NULL: the system's */
};

/* config may be NULL; its strings are copied. */
struct tide_http_client *tide_http_client_new(uv_loop_t *loop, const struct tide_http_client_config *config,
                                              struct tide_err *err);
/* Ends every request with on_done(TIDE_ERR_CANCELED) and frees the client; not from inside a request's
 * callback. The loop must then run once more to close its handles. */
void tide_http_client_free(struct tide_http_client *client);

size_t tide_http_client_pending(const struct tide_http_client *client); /* requests in flight */

/* Lives as long as the callback that it is given to. */
struct tide_fetch_response {
    int status;
    const struct tide_http_header *headers; /* in order; names in lower case */
    size_t header_count;
    const char *body; /* collected, NUL-terminated; "" in on_head and when it went to a sink */
    size_t body_len;
    struct tide_sink *sink; /* what on_head returned, in a successful on_done */
};

/* The first value of a header (name in lower case), or NULL. */
const char *tide_fetch_header(const struct tide_fetch_response *response, const char *name);

struct tide_fetch_request {
    const char *method; /* "GET", "POST", ...; not CONNECT or TRACE */
    const char *url;    /* absolute, without user and password */
    /* CR, LF, NUL, bad names, and what belongs to the connection (Content-Length, Connection, ...) are
     * refused. */
    const struct tide_http_header *headers;
    size_t header_count;
    const void *body; /* not with GET and HEAD */
    size_t body_len;
    struct tide_source *source; /* instead of body; read as the server takes it. Not with redirects */
    int64_t connect_timeout_ms; /* 0: 5 s */
    int64_t timeout_ms;         /* for everything; 0: 30 s */
    int64_t max_response; /* bytes of body; 0: TIDE_FETCH_MAX_RESPONSE; -1: no limit, only with a sink */
    unsigned
        max_redirects; /* to follow; 0: none, at most TIDE_FETCH_MAX_REDIRECTS; GET, HEAD and POST only */

    /* The final response's head is there. Returns where its body goes, or NULL to collect it. May be NULL. */
    struct tide_sink *(*on_head)(void *arg, const struct tide_fetch_response *response);
    /* The end: err NULL and the response, or err and response NULL. */
    void (*on_done)(void *arg, const struct tide_fetch_response *response, const struct tide_err *err);
    void *arg;
};

/*
 * Starts a request. Everything but source is copied. NULL with err: nothing happened and the source stays the
 * caller's. Else the source is the request's, which closes it at its end; a sink that on_head returned goes
 * back to its giver (to commit and close) in a successful on_done, and is closed already after a failure or a
 * cancel.
 */
struct tide_fetch *tide_fetch_start(struct tide_http_client *client, const struct tide_fetch_request *request,
                                    struct tide_err *err);

/* Drops the request, its connection, its source and its sink. Also from inside on_head and a sink or source.
 */
void tide_fetch_cancel(struct tide_fetch *fetch);

#endif
