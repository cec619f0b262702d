#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "http/connection.h"
#include "http/framing.h"

#define MAX_BODY (64 * 1024 * 1024) /* of a response in memory */
#define FILE_AHEAD (256 * 1024)     /* bytes of a file that wait in the kernel to be sent: two pieces */

/* ---- heads ---- */

/* These are the server's to say. */
static bool is_ours(const char *name)
{
    static const char *const ours[] = {"Content-Length", "Transfer-Encoding", "Connection",
                                       "Keep-Alive",     "X-Request-Id",      "Trailer"};
    size_t i;

    for (i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcasecmp(ours[i], name) == 0)
            return true;
    return false;
}

/* libmicrohttpd also refuses values that are empty or begin or end with a space. */
static bool add_header(struct tide_http_request *request, const char *name, const char *value)
{
    const struct tide_log *log = request->server->config.log;

    if (is_ours(name))
        return true;
    if (tide_framing_name_ok(name, strlen(name)) && tide_framing_value_ok(value, strlen(value)) &&
        (*value == '\0' || MHD_add_response_header(request->response, name, value) == MHD_YES))
        return true;
    tide_log_event(log, TIDE_LOG_ERROR, "response header refused",
                   tide_log_str("server", request->server->name), tide_log_str("request", request->id),
                   tide_log_str("header", name));
    return false;
}

static bool add_headers(struct tide_http_request *request, const struct tide_http_header *headers,
                        size_t count)
{
    bool good = true;
    size_t i;

    for (i = 0; i < count; i++)
        good = good && add_header(request, headers[i].name, headers[i].value);
    MHD_add_response_header(request->response, "X-Request-Id", request->id);
    MHD_add_response_header(request->response, "X-Content-Type-Options", "nosniff");
    if (request->handler.header.name)
        MHD_add_response_header(request->response, request->handler.header.name,
                                request->handler.header.value);
    if (request->server->draining)
        MHD_add_response_header(request->response, "Connection", "close");
    return good;
}

/* ---- bodies ---- */

static struct MHD_Response *from_bytes(struct tide_http_request *request, const void *body, size_t len)
{
    char *copy = request->short_body;

    if (len > sizeof request->short_body)
        copy = request->long_body = len <= MAX_BODY ? malloc(len) : NULL;
    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, body, len);
    request->response_body = copy;
    request->response_body_len = len;
    request->response_length = (int64_t)len;
    /* The request outlives its response, so nothing needs to be copied again. */
    return MHD_create_response_from_buffer(len, copy, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *from_file(struct tide_http_request *request, const struct tide_http_response *r)
{
    struct MHD_Response *response;

    request->response_length = r->length;
    response = MHD_create_response_from_fd_at_offset64((uint64_t)r->length, r->fd, (uint64_t)r->offset);
    if (!response)
        close(r->fd);
    else if (!request->is_head)
        tide_link_append(&request->server->files, &request->in_files);
    return response;
}

/*
 * libmicrohttpd corks a socket with the first piece of a file, and only then. What fills no segment waits for
 * the next piece, which under BBR halves what a fast link carries; so the cork is taken off. And pieces wait
 * in the file rather than in the kernel, where more than a few speed nothing up and take memory.
 */
static bool set_up(int fd)
{
    int corked = 0, off = 0, ahead = FILE_AHEAD;
    socklen_t len = sizeof corked;

    if (getsockopt(fd, IPPROTO_TCP, TCP_CORK, &corked, &len) == 0 && !corked)
        return false;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &ahead, sizeof ahead);
    return true;
}

void tide_http_files_begun(struct tide_http_server *server)
{
    struct tide_link *link, *next;

    for (link = server->files.next; link != &server->files; link = next) {
        struct tide_http_request *request = CONTAINER(link, struct tide_http_request, in_files);

        next = link->next;
        if (set_up(request->connection->fd))
            tide_link_remove(link);
    }
}

bool tide_http_response_is_stream(const struct tide_http_request *request)
{
    return request->responded && !request->response_body;
}

static struct MHD_Response *create(struct tide_http_request *request, const struct tide_http_response *r)
{
    if (r->source)
        return tide_http_reader_create(request, r->source);
    if (r->fd > 0)
        return from_file(request, r);
    return from_bytes(request, r->body ? r->body : "", r->body ? r->body_len : 0);
}

void tide_http_response_release(struct tide_http_request *request)
{
    tide_link_remove(&request->in_files);
    if (request->response)
        MHD_destroy_response(request->response);
    request->response = NULL;
    tide_http_reader_release(request);
    free(request->long_body);
    request->long_body = NULL;
}

static void drop(const struct tide_http_response *r)
{
    if (r->source)
        tide_source_close(r->source);
    if (r->fd > 0)
        close(r->fd);
}

/* Something of ours failed: 500 without details. */
static void prepare_failure(struct tide_http_request *request)
{
    static const char body[] =
        "{\"type\":\"about:blank\",\"title\":\"Internal Server Error\",\"status\":500}";
    const struct tide_http_header header = {"Content-Type", "application/problem+json"};

    tide_http_response_release(request);
    request->status = 500;
    request->response = from_bytes(request, body, sizeof body - 1);
    if (request->response)
        add_headers(request, &header, 1);
}

/* ---- sending ---- */

enum MHD_Result tide_http_response_queue(struct tide_http_request *request)
{
    struct MHD_Response *response = request->response;
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    if (request->phase == REQUEST_HEAD)
        request->connection->linger = true;
    request->phase = REQUEST_SENDING;
    request->window_ms = 0;
    result = MHD_queue_response(request->connection->mhd, (unsigned)request->status, response);
    request->response = NULL;
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result tide_http_refuse(struct tide_http_request *request, int status, const char *reason)
{
    request->phase = REQUEST_HEAD;
    tide_http_respond_problem(request, status, reason, NULL, 0);
    return tide_http_response_queue(request);
}

static enum MHD_Result copy_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    if (strcasecmp(name, "Connection") != 0)
        tide_buf_printf(cls, "%s: %s\r\n", name, value);
    return MHD_YES;
}

void tide_http_response_abort(struct tide_http_request *request)
{
    struct tide_buf headers;

    if (tide_http_response_is_stream(request) || !request->response) {
        tide_http_kill(request->connection, TIDE_ERR_CANCELED, "the client sends too much");
        return;
    }
    tide_buf_init(&headers, 64 * 1024);
    MHD_get_response_headers(request->response, copy_header, &headers);
    request->aborted = true;
    request->window_ms = uv_now(request->server->loop);
    tide_http_abort_with(request->connection, request->status, headers.data, request->response_body,
                         request->is_head ? 0 : request->response_body_len);
    tide_buf_release(&headers);
}

void tide_http_response_count(struct tide_http_request *request)
{
    bool sent = (request->phase == REQUEST_SENDING && !request->gone) || request->aborted;

    if (sent && !request->is_head && !request->reader.source)
        request->bytes_out = request->response_length;
}

/* In mid-body libmicrohttpd takes no response: what is left is thrown away, or we answer past it. */
static void end_body(struct tide_http_request *request)
{
    struct tide_err err;

    tide_err_set(&err, TIDE_ERR_CANCELED, false, "the request was answered");
    tide_http_body_fail(request, &err);
    if (request->content_length - request->bytes_in > DISCARD_MAX && !tide_http_response_is_stream(request))
        tide_http_response_abort(request);
    else
        request->discarding = true;
}

void tide_http_respond(struct tide_http_request *request, const struct tide_http_response *r)
{
    if (request->gone || request->responded) {
        drop(r);
        return;
    }
    request->responded = true;
    request->status = r->status;
    request->response = r->status >= 200 && r->status <= 599 ? create(request, r) : NULL;
    if (!request->response && r->status >= 200 && r->status <= 599)
        tide_log_event(request->server->config.log, TIDE_LOG_ERROR, "response could not be made",
                       tide_log_str("server", request->server->name), tide_log_str("request", request->id));
    if (!request->response || !add_headers(request, r->headers, r->header_count))
        prepare_failure(request);
    if (request->phase == REQUEST_BODY)
        end_body(request);
    tide_http_advance(request);
}

void tide_http_respond_problem(struct tide_http_request *request, int status, const char *detail,
                               const struct tide_http_header *headers, size_t header_count)
{
    struct tide_http_header all[17] = {{"Content-Type", "application/problem+json"}};
    struct tide_http_response r = {.status = status, .headers = all};
    const char *title = tide_http_status_title(status);
    struct tide_buf body;

    if (header_count > 16)
        header_count = 16;
    if (header_count > 0)
        memcpy(all + 1, headers, header_count * sizeof *headers);
    r.header_count = header_count + 1;
    tide_buf_init(&body, 64 * 1024);
    tide_buf_printf(&body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d", title, status);
    if (detail) {
        tide_buf_puts(&body, ",\"detail\":");
        tide_buf_json(&body, detail, strlen(detail));
    }
    tide_buf_putc(&body, '}');
    r.body = body.data;
    r.body_len = body.len;
    tide_http_respond(request, &r);
    tide_buf_release(&body);
}
