/* How scripts read a request's body: collected, as a source, or part by part. */
#include <stdlib.h>
#include <string.h>

#include "bind/copy.h"
#include "bind/request.h"

struct body_op {
    struct tide_op op;
    struct tide_http_request *http;
    char *data;
    size_t len;
    struct tide_http_part part; /* its strings are copies */
    bool failed;
    struct tide_err err;
};

/* What is wrong with a body is the client's fault, as far as the script is concerned. */
static void take_body_error(struct body_op *body, const struct tide_err *err)
{
    body->failed = err != NULL;
    if (!err)
        return;
    body->err = *err;
    if (strcmp(err->code, TIDE_ERR_INVALID) == 0)
        body->err.code = "bad_request";
}

static bool body_cancel(struct tide_op *op)
{
    struct body_op *body = (struct body_op *)op;

    tide_http_body_cancel(body->http);
    return true;
}

static void body_release(struct tide_op *op)
{
    struct body_op *body = (struct body_op *)op;

    if (body->part.source) /* came when nobody waited any more */
        tide_source_close(body->part.source);
    free(body->data);
    free((char *)body->part.name);
    free((char *)body->part.filename);
    free((char *)body->part.content_type);
}

static int collect_push(lua_State *L, struct tide_op *op)
{
    struct body_op *body = (struct body_op *)op;

    if (body->failed)
        return tide_push_failure(L, &body->err);
    lua_pushlstring(L, body->data ? body->data : "", body->len);
    return 1;
}

static const struct tide_op_type collect_type = {.name = "req:text",
                                                 .size = sizeof(struct body_op),
                                                 .push = collect_push,
                                                 .cancel = body_cancel,
                                                 .release = body_release};

static void on_collected(void *arg, const char *data, size_t len, const struct tide_err *err)
{
    struct body_op *body = arg;

    take_body_error(body, err);
    if (!err && len) {
        body->data = malloc(len);
        if (body->data)
            memcpy(body->data, data, len);
        else
            body->failed = !tide_err_set(&body->err, TIDE_ERR_UNAVAILABLE, true, "not enough memory");
        body->len = len;
    }
    tide_op_finish(&body->op);
}

/* request_collect(handle, max): string, or nil and the failure */
static int request_collect(lua_State *L)
{
    struct tide_http_request *http = tide_bind_check_request(L, 1);
    size_t max = (size_t)luaL_checknumber(L, 2);
    struct body_op *body;

    if (tide_http_request_content_length(http) == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    body = tide_op_new(L, &collect_type);
    body->http = http;
    tide_http_body_collect(http, max, on_collected, body);
    return tide_op_wait(L, &body->op);
}

/* request_source(handle): the raw body */
static int request_source(lua_State *L)
{
    tide_bind_push_source(L, tide_http_body_source(tide_bind_check_request(L, 1)));
    return 1;
}

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static int part_push(lua_State *L, struct tide_op *op)
{
    struct body_op *body = (struct body_op *)op;

    if (body->failed)
        return tide_push_failure(L, &body->err);
    if (!body->part.source)
        return 0;
    lua_createtable(L, 0, 4);
    set_string(L, "name", body->part.name);
    set_string(L, "filename", body->part.filename);
    set_string(L, "content_type", body->part.content_type);
    tide_bind_push_source(L, body->part.source);
    body->part.source = NULL;
    lua_setfield(L, -2, "source");
    return 1;
}

static const struct tide_op_type part_type = {.name = "req:parts",
                                              .size = sizeof(struct body_op),
                                              .push = part_push,
                                              .cancel = body_cancel,
                                              .release = body_release};

static char *copy_or_null(const char *text)
{
    return text ? strdup(text) : NULL;
}

static void on_part(void *arg, const struct tide_http_part *part, const struct tide_err *err)
{
    struct body_op *body = arg;

    take_body_error(body, err);
    if (part) {
        body->part.name = copy_or_null(part->name);
        body->part.filename = copy_or_null(part->filename);
        body->part.content_type = copy_or_null(part->content_type);
        body->part.source = part->source;
    }
    tide_op_finish(&body->op);
}

/* request_part(handle): {name, filename, content_type, source}; nothing after the last; or nil and the
 * failure */
static int request_part(lua_State *L)
{
    struct tide_http_request *http = tide_bind_check_request(L, 1);
    struct body_op *body = tide_op_new(L, &part_type);

    body->http = http;
    tide_http_multipart_next(http, on_part, body);
    return tide_op_wait(L, &body->op);
}

void tide_bind_request_body(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"request_collect", request_collect},
        {"request_source", request_source},
        {"request_part", request_part},
        {NULL, NULL},
    };

    tide_bind_register(L, functions);
}
