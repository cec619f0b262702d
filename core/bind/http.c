/* The HTTP client (http/client.h). */
#include <stdlib.h>
#include <string.h>

#include "bind/request.h"

struct fetch_op {
    struct tide_op op;
    struct tide_fetch *fetch;
    int status;
    struct tide_buf head; /* name NUL value NUL ... */
    char *body;
    size_t body_len;
    bool failed;
    struct tide_err err;
};

static void push_headers(lua_State *L, const struct tide_buf *head)
{
    const char *at = head->data, *end = head->data ? head->data + head->len : NULL;

    lua_newtable(L);
    while (at < end) {
        const char *name = at, *value = name + strlen(name) + 1;

        at = value + strlen(value) + 1;
        lua_getfield(L, -1, name);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_pushstring(L, value);
        } else {
            lua_pushfstring(L, ", %s", value);
            lua_concat(L, 2);
        }
        lua_setfield(L, -2, name);
    }
}

static int fetch_push(lua_State *L, struct tide_op *op)
{
    struct fetch_op *self = (struct fetch_op *)op;

    if (self->failed)
        return tide_push_failure(L, &self->err);
    lua_pushinteger(L, self->status);
    push_headers(L, &self->head);
    lua_pushlstring(L, self->body ? self->body : "", self->body_len);
    return 3;
}

static bool fetch_cancel(struct tide_op *op)
{
    tide_fetch_cancel(((struct fetch_op *)op)->fetch);
    return true;
}

static void fetch_release(struct tide_op *op)
{
    struct fetch_op *self = (struct fetch_op *)op;

    tide_buf_release(&self->head);
    free(self->body);
}

static const struct tide_op_type fetch_type = {.name = "tide.http",
                                               .size = sizeof(struct fetch_op),
                                               .push = fetch_push,
                                               .cancel = fetch_cancel,
                                               .release = fetch_release};

static void keep(struct fetch_op *self, const struct tide_fetch_response *response)
{
    size_t i;

    self->status = response->status;
    for (i = 0; i < response->header_count; i++) {
        tide_buf_append(&self->head, response->headers[i].name, strlen(response->headers[i].name) + 1);
        tide_buf_append(&self->head, response->headers[i].value, strlen(response->headers[i].value) + 1);
    }
    self->body = malloc(response->body_len + 1);
    if (!self->body) {
        self->failed = !tide_err_set(&self->err, TIDE_ERR_UNAVAILABLE, true, "not enough memory");
        return;
    }
    memcpy(self->body, response->body ? response->body : "", response->body_len);
    self->body_len = response->body_len;
}

static void on_done(void *arg, const struct tide_fetch_response *response, const struct tide_err *err)
{
    struct fetch_op *self = arg;

    self->failed = err != NULL;
    if (err)
        self->err = *err;
    else
        keep(self, response);
    tide_op_finish(&self->op);
}

/* fetch(method, url, headers|nil, body|nil, timeout_ms, max_body, redirects): status, headers, body; or nil
 * and the failure */
static int fetch(lua_State *L)
{
    struct tide_http_client *client = tide_bind_services(L)->http;
    struct tide_http_header headers[TIDE_BIND_MAX_HEADERS];
    struct tide_fetch_request request = {.method = luaL_checkstring(L, 1),
                                         .url = luaL_checkstring(L, 2),
                                         .headers = headers,
                                         .timeout_ms = (int64_t)luaL_checknumber(L, 5),
                                         .max_response = (int64_t)luaL_checknumber(L, 6),
                                         .max_redirects = (unsigned)luaL_optinteger(L, 7, 0),
                                         .on_done = on_done};
    struct fetch_op *self;
    struct tide_err err;

    tide_bind_need(L, client, "http", "tide.http");
    request.body = luaL_optlstring(L, 4, NULL, &request.body_len);
    request.header_count = tide_bind_check_headers(L, 3, headers);
    if (!tide_bind_no_zero(L, 1, 2, &err))
        return tide_push_failure(L, &err);
    self = tide_op_new(L, &fetch_type);
    tide_buf_init(&self->head, TIDE_FETCH_MAX_HEAD * 2);
    request.arg = self;
    self->fetch = tide_fetch_start(client, &request, &err);
    if (self->fetch)
        return tide_op_wait(L, &self->op);
    tide_op_drop(&self->op);
    return tide_push_failure(L, &err);
}

void tide_bind_http(lua_State *L)
{
    static const luaL_Reg functions[] = {{"fetch", fetch}, {NULL, NULL}};

    tide_bind_register(L, functions);
}
