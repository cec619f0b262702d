/*
 * Where libmicrohttpd calls in. A request without body is called twice, at once: at its head and when it is
 * complete; only from the second call on a response keeps the connection alive. With a body: at its head,
 * then for the bytes as they come, then once more. After a resume the call that found nothing to do comes
 * again.
 */
#include <string.h>

#include "http/connection.h"
#include "http/framing.h"

/* libmicrohttpd keeps a record for every parameter of the query in the connection's memory, and when that is
 * full it does not answer. The largest record of its versions: */
#define PARAMETER_BYTES 72

static bool query_fits(const struct tide_http_server *server, const char *uri)
{
    size_t left = server->config.limits.head_bytes + POOL_EXTRA - TIDE_HTTP_MAX_ANSWER_HEAD;
    size_t len = strlen(uri), parameters = 1;

    for (const char *at = strchr(uri, '?'); at; at = strchr(at + 1, '&'))
        parameters++;
    return len < left && parameters * PARAMETER_BYTES < left - len;
}

static void refuse_query(struct tide_http_connection *connection)
{
    static const char body[] = "{\"type\":\"about:blank\",\"title\":\"URI Too Long\",\"status\":414,"
                               "\"detail\":\"the query has too many parameters\"}";

    tide_http_reject_count(connection->server, REJECT_HEAD_SIZE);
    tide_http_abort_with(connection, 414, "Content-Type: application/problem+json\r\n", body,
                         sizeof body - 1);
    tide_http_kill(connection, TIDE_ERR_INVALID, "the query has too many parameters");
}

void *tide_http_request_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct tide_http_connection *connection = info ? info->socket_context : NULL;

    (void)cls;
    if (!connection)
        return NULL;
    if (connection->phase == CONNECTION_IDLE)
        connection->since_ms = uv_now(connection->server->loop);
    connection->phase = CONNECTION_HEAD;
    connection->request = tide_http_request_new(connection, uri ? uri : "");
    if (uri && !query_fits(connection->server, uri))
        refuse_query(connection);
    return connection->request;
}

static enum MHD_Result see_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                  const char *value, size_t value_len)
{
    (void)kind;
    tide_framing_header(cls, name, name_len, value ? value : "", value ? value_len : 0);
    return MHD_YES;
}

static bool head_fits(struct tide_http_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

    return !info || info->header_size <= request->server->config.limits.head_bytes;
}

static void start(struct tide_http_request *request)
{
    const struct tide_http_handler *handler = &request->handler;

    request->handler = request->server->config.handler;
    tide_http_request_name_client(request);
    request->started = true;
    request->start_ns = uv_hrtime();
    request->server->active++;
    handler->on_request(handler->arg, request);
}

/* Can what is left of the body be read and thrown away, so that the connection lives on? */
static bool worth_discarding(const struct tide_http_request *request)
{
    return !request->expect_continue && request->content_length - request->bytes_in <= DISCARD_MAX;
}

static enum MHD_Result wait_for_user(struct tide_http_request *request)
{
    tide_http_suspend(request->connection);
    return MHD_YES;
}

/* A call without bytes: see what the user wants by now. */
static enum MHD_Result turn(struct tide_http_request *request)
{
    if (!request->started)
        start(request);
    if (request->phase == REQUEST_BODY) {
        request->phase = REQUEST_FINAL;
        tide_http_body_end(request);
    }
    tide_http_body_due(request);
    if (request->gone || request->aborted)
        return MHD_NO;
    if (request->phase == REQUEST_HEAD && request->responded && worth_discarding(request))
        request->discarding = true;
    if (request->phase == REQUEST_HEAD && (request->discarding || tide_http_body_wanted(request))) {
        request->phase = REQUEST_BODY;
        return MHD_YES;
    }
    return request->responded ? tide_http_response_queue(request) : wait_for_user(request);
}

static enum MHD_Result head(struct tide_http_request *request, const char *method, const char *version)
{
    struct tide_framing framing;
    const char *fault;

    request->head_done = true;
    request->connection->phase = CONNECTION_REQUEST;
    request->method = method;
    request->is_head = strcmp(method, "HEAD") == 0;
    if (!head_fits(request)) {
        tide_http_reject_count(request->server, REJECT_HEAD_SIZE);
        return tide_http_refuse(request, 431, "the request's head is too large");
    }
    tide_framing_init(&framing);
    MHD_get_connection_values_n(request->connection->mhd, MHD_HEADER_KIND, see_header, &framing);
    fault = tide_framing_target(request->target, request->path, &request->query);
    if (!tide_framing_finish(&framing, method, version) || fault) {
        tide_http_reject_count(request->server, REJECT_FRAMING);
        return tide_http_refuse(request, framing.status ? framing.status : 400,
                                framing.status ? framing.reason : fault);
    }
    request->content_length = framing.content_length;
    request->expect_continue = framing.expect_continue;
    if (framing.has_body)
        return turn(request);
    request->phase = REQUEST_FINAL; /* the second call follows at once */
    request->body.ended = true;
    return MHD_YES;
}

static void discard(struct tide_http_request *request, size_t len)
{
    int64_t limit = tide_http_response_is_stream(request) ? request->body.limit : DISCARD_MAX;

    request->bytes_in += (int64_t)len;
    request->discarded += (int64_t)len;
    if (request->discarded > limit)
        tide_http_response_abort(request);
}

static enum MHD_Result bytes(struct tide_http_request *request, const char *data, size_t *size)
{
    size_t at = 0, n = 1;

    while (n > 0 && at < *size && !request->gone && !request->aborted) {
        n = *size - at;
        if (request->discarding)
            discard(request, n);
        else
            n = tide_http_body_take(request, data + at, n);
        at += n;
        tide_http_body_due(request);
        if (n == 0 && request->discarding)
            n = 1;
    }
    *size -= at;
    if (request->gone || request->aborted)
        return MHD_NO;
    return *size > 0 ? wait_for_user(request) : MHD_YES;
}

enum MHD_Result tide_http_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                 const char *version, const char *data, size_t *size, void **context)
{
    struct tide_http_request *request = *context;
    enum MHD_Result result;

    (void)cls;
    (void)mhd;
    (void)url;
    if (!request || request->gone || request->aborted)
        return MHD_NO;
    request->in_handler = true;
    if (!request->head_done)
        result = head(request, method, version);
    else if (*size > 0)
        result = bytes(request, data, size);
    else
        result = turn(request);
    request->in_handler = false;
    return result;
}

void tide_http_advance(struct tide_http_request *request)
{
    bool possible = request->responded;

    if (request->in_handler || request->gone || !request->connection->suspended)
        return;
    if (request->phase == REQUEST_HEAD || request->phase == REQUEST_BODY)
        possible = possible || request->discarding || tide_http_body_wanted(request);
    if (possible && request->phase != REQUEST_SENDING)
        tide_http_wake(request->connection);
}

static void finish(struct tide_http_request *request, bool completed)
{
    const struct tide_http_handler *handler = &request->handler;

    if (request->started) {
        if (!(completed && request->phase == REQUEST_SENDING) && !request->aborted)
            tide_http_request_lose(request, TIDE_ERR_CANCELED, "the client closed the connection");
        tide_http_response_count(request);
        request->server->active--;
        handler->on_end(handler->arg, request);
    }
    tide_http_request_free(request);
}

void tide_http_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct tide_http_request *request = *context;
    struct tide_http_connection *connection;

    (void)cls;
    (void)mhd;
    if (!request)
        return;
    *context = NULL;
    connection = request->connection;
    connection->request = NULL;
    connection->phase = CONNECTION_IDLE;
    connection->since_ms = uv_now(connection->server->loop);
    connection->received = 0;
    if (!request->head_done && code == MHD_REQUEST_TERMINATED_WITH_ERROR && !connection->killed)
        tide_http_reject_count(connection->server, REJECT_FRAMING); /* libmicrohttpd answered it */
    finish(request, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    if (connection->server->quiescing)
        shutdown(connection->fd, SHUT_RD);
}
