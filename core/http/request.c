#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "http/connection.h"

#define MAX_SPARES 256

/* 4 bytes of seconds, then 8 bytes that start at random and count: unique, and cheaper than a system call. */
static void make_id(struct tide_http_server *server, char out[TIDE_ID_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t low = server->id_base + server->id_count++;
    uint32_t high = (uint32_t)(tide_clock_now_ms() / 1000);
    int i;

    for (i = 0; i < 8; i++)
        out[i] = digits[(high >> (28 - 4 * i)) & 15];
    for (i = 0; i < 16; i++)
        out[8 + i] = digits[(low >> (60 - 4 * i)) & 15];
    out[TIDE_ID_LEN] = '\0';
}

static struct tide_http_request *take_spare(struct tide_http_server *server)
{
    struct tide_http_request *request = server->spare;

    if (!request)
        return malloc(sizeof *request);
    server->spare = request->next_spare;
    server->spares--;
    return request;
}

static bool keep_target(struct tide_http_request *request, const char *target)
{
    size_t len = strlen(target) + 1;
    char *text = request->text;

    if (2 * len + 1 > sizeof request->text) {
        text = request->long_text = malloc(2 * len + 1);
        if (!text)
            return false;
    }
    request->target = memcpy(text, target, len);
    request->path = text + len;
    request->path[0] = '\0';
    return true;
}

struct tide_http_request *tide_http_request_new(struct tide_http_connection *connection, const char *target)
{
    struct tide_http_server *server = connection->server;
    struct tide_http_request *request = take_spare(server);

    if (!request)
        return NULL;
    memset(request, 0, offsetof(struct tide_http_request, text));
    request->server = server;
    request->connection = connection;
    request->query = "";
    tide_link_init(&request->in_work);
    tide_link_init(&request->in_files);
    if (keep_target(request, target)) {
        make_id(server, request->id);
        tide_http_body_init(request);
        return request;
    }
    free(request);
    return NULL;
}

void tide_http_request_free(struct tide_http_request *request)
{
    struct tide_http_server *server = request->server;

    tide_link_remove(&request->in_work);
    tide_http_body_release(request);
    tide_http_response_release(request);
    free(request->long_text);
    if (server->spares == MAX_SPARES) {
        free(request);
        return;
    }
    request->next_spare = server->spare;
    server->spare = request;
    server->spares++;
}

void tide_http_request_lose(struct tide_http_request *request, const char *code, const char *why)
{
    const struct tide_http_handler *handler = &request->handler;
    struct tide_err err;

    if (request->gone)
        return;
    request->gone = true;
    tide_err_set(&err, code, false, "%s", why);
    if (request->started && handler->on_gone)
        handler->on_gone(handler->arg, request);
    tide_http_body_fail(request, &err);
}

/* ---- what the user may ask ---- */

void tide_http_request_set_user(struct tide_http_request *request, void *user)
{
    request->user = user;
}

void *tide_http_request_user(const struct tide_http_request *request)
{
    return request->user;
}

const char *tide_http_request_method(const struct tide_http_request *request)
{
    return request->method;
}

const char *tide_http_request_path(const struct tide_http_request *request)
{
    return request->path;
}

const char *tide_http_request_target(const struct tide_http_request *request)
{
    return request->target;
}

const char *tide_http_request_query(const struct tide_http_request *request)
{
    return request->query;
}

const char *tide_http_request_header(const struct tide_http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection->mhd, MHD_HEADER_KIND, name);
}

struct each {
    void (*f)(void *arg, const char *name, const char *value);
    void *arg;
};

static enum MHD_Result each_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    const struct each *each = cls;

    (void)kind;
    each->f(each->arg, name, value ? value : "");
    return MHD_YES;
}

void tide_http_request_headers(const struct tide_http_request *request,
                               void (*f)(void *arg, const char *name, const char *value), void *arg)
{
    struct each each = {f, arg};

    MHD_get_connection_values(request->connection->mhd, MHD_HEADER_KIND, each_header, &each);
}

static void add_forwarded(void *arg, const char *name, const char *value)
{
    struct tide_buf *forwarded = arg;

    if (strcasecmp(name, "X-Forwarded-For") == 0)
        tide_buf_printf(forwarded, "%s%s", forwarded->len ? "," : "", value);
}

void tide_http_request_name_client(struct tide_http_request *request)
{
    struct tide_buf forwarded;

    if (!request->handler.proxies || !tide_http_request_header(request, "X-Forwarded-For"))
        return;
    tide_buf_init(&forwarded, request->server->config.limits.head_bytes);
    tide_http_request_headers(request, add_forwarded, &forwarded);
    tide_http_client_of(request->handler.proxies, request->connection->address,
                        forwarded.data ? forwarded.data : "", request->client);
    tide_buf_release(&forwarded);
}

const char *tide_http_request_address(const struct tide_http_request *request)
{
    return *request->client ? request->client : request->connection->address;
}

const char *tide_http_request_id(const struct tide_http_request *request)
{
    return request->id;
}

int64_t tide_http_request_content_length(const struct tide_http_request *request)
{
    return request->content_length;
}

uint64_t tide_http_request_start_ns(const struct tide_http_request *request)
{
    return request->start_ns;
}

int64_t tide_http_request_bytes_in(const struct tide_http_request *request)
{
    return request->bytes_in;
}

int64_t tide_http_request_bytes_out(const struct tide_http_request *request)
{
    return request->bytes_out;
}

bool tide_http_request_is_gone(const struct tide_http_request *request)
{
    return request->gone;
}
