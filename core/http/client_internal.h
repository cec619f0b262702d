/*
 * What client.c (the loop's side of libcurl), fetch.c (a request's life) and fetch_setup.c (its options)
 * share.
 *
 * libcurl must not be entered from its own callbacks. So those only copy bytes and mark the request as due;
 * all foreign code (on_head, on_done, sinks, sources) runs from tide_client_drain, outside of libcurl.
 */
#ifndef TIDE_HTTP_CLIENT_INTERNAL_H
#define TIDE_HTTP_CLIENT_INTERNAL_H

#include "base/buf.h"
#include "http/client.h"
#include "http/curl.h"

#define TIDE_CLIENT_SPARE 32 /* easy handles kept for the next requests */

struct tide_http_client {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct tide_curl curl; /* loaded with multi */
    CURLM *multi;          /* NULL until the first request */
    long per_host;
    char *user_agent, *ca_file;
    CURL *spare[TIDE_CLIENT_SPARE];
    size_t spare_count;
    size_t pending, max_pending;
    struct tide_fetch *fetches; /* all in flight */
    struct tide_fetch *due, **due_end;
    bool draining, closing;
};

struct tide_fetch {
    struct tide_http_client *client;
    struct tide_fetch *prev, *next;
    struct tide_fetch *next_due;
    bool is_due;
    unsigned holds; /* foreign calls on the stack: the memory must stay */
    bool gone;      /* finished or canceled */

    CURL *easy; /* NULL once libcurl is through with it */
    CURLU *url;
    struct curl_slist *header_lines;
    char *origin; /* "http://host:port", for messages */
    char *body;   /* of the request */
    char curl_error[CURL_ERROR_SIZE];
    struct tide_err err; /* code set: failed */
    struct tide_sink *(*on_head)(void *arg, const struct tide_fetch_response *response);
    void (*on_done)(void *arg, const struct tide_fetch_response *response, const struct tide_err *err);
    void *arg;

    struct tide_fetch_response response;
    struct tide_http_header headers[TIDE_FETCH_MAX_HEADERS]; /* offsets into head until it is told */
    struct tide_buf head;                                    /* "name\0value\0" of each header */
    bool head_open;                                          /* between a status line and its empty line */
    bool head_told;
    struct tide_buf content; /* the body: collected, or what the sink gets next */
    int64_t received, max_response;

    struct tide_sink *sink;
    struct tide_buf writing; /* what the sink is taking */
    bool write_busy, receive_paused;

    struct tide_source *source;
    char *chunk;
    size_t chunk_len, chunk_pos;
    int64_t source_left; /* bytes that must still come, -1: unknown */
    bool read_busy, source_ended, send_paused;
};

/* client.c */
/* Before anything else of a request: libcurl is loaded with the first one. */
TIDE_WARN_UNUSED bool tide_client_open(struct tide_http_client *client, struct tide_err *err);
CURL *tide_client_easy(struct tide_http_client *client); /* NULL: out of memory */
void tide_client_recycle(struct tide_http_client *client, CURL *easy);
void tide_client_due(struct tide_fetch *fetch); /* its turn comes in the next drain */
void tide_client_not_due(struct tide_fetch *fetch);
void tide_client_drain(struct tide_http_client *client);

/* fetch.c */
void tide_fetch_step(struct tide_fetch *fetch);
void tide_fetch_curl_done(struct tide_fetch *fetch, CURLcode result);
void tide_fetch_fail(struct tide_fetch *fetch,
                     const struct tide_err *err); /* detaches; on_done comes in a step */
size_t tide_fetch_on_header(char *line, size_t size, size_t count, void *arg);
size_t tide_fetch_on_body(char *data, size_t size, size_t count, void *arg);
size_t tide_fetch_on_send(char *to, size_t size, size_t count, void *arg);

/* fetch_setup.c */
bool tide_fetch_setup(struct tide_fetch *fetch, const struct tide_fetch_request *request,
                      struct tide_err *err);

#endif
