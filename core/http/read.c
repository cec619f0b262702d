/*
 * Reads of a request's body or part: the source that the user holds, and the one read in flight. The source
 * is a piece of memory of its own, as its user may let go of it long after the request.
 */
#include <assert.h>
#include <stdlib.h>

#include "http/connection.h"

static void start_read(struct tide_http_request *request, void *buf, size_t cap, tide_read_cb *cb, void *arg)
{
    struct tide_http_body *body = &request->body;

    assert(!body->read_cb && cap > 0);
    body->read_buf = buf;
    body->read_cap = cap;
    body->read_len = 0;
    body->read_cb = cb;
    body->read_arg = arg;
    tide_http_advance(request);
}

static void read_source(struct tide_source *source, void *buf, size_t cap, tide_read_cb *cb, void *arg)
{
    struct tide_http_body_source *self = CONTAINER(source, struct tide_http_body_source, source);
    struct tide_http_request *request = self->request;
    struct tide_err err;

    if (self->ended || (request && request->body.ended && !request->body.failed)) {
        cb(arg, 0, NULL);
    } else if (!request) {
        tide_err_set(&err, TIDE_ERR_CANCELED, false, "the request is over, or its next part was asked for");
        cb(arg, -1, &err);
    } else if (request->body.failed) {
        cb(arg, -1, &request->body.err);
    } else {
        start_read(request, buf, cap, cb, arg);
    }
}

static void close_source(struct tide_source *source)
{
    struct tide_http_body_source *self = CONTAINER(source, struct tide_http_body_source, source);

    if (self->request) {
        self->request->body.read_cb = NULL;
        self->request->body.read_len = 0;
        self->request->body.source = NULL;
    }
    free(self);
}

struct tide_source *tide_http_body_source_new(struct tide_http_request *request, int64_t length)
{
    static const struct tide_source_ops ops = {.read = read_source, .close = close_source};
    struct tide_http_body_source *self = calloc(1, sizeof *self);

    if (!self)
        return NULL;
    tide_http_body_source_end(request, false);
    self->source.ops = &ops;
    self->source.length = length;
    self->request = request;
    request->body.source = self;
    return &self->source;
}

void tide_http_body_source_end(struct tide_http_request *request, bool ended)
{
    struct tide_http_body_source *self = request->body.source;

    if (!self)
        return;
    self->request = NULL;
    self->ended = ended;
    request->body.source = NULL;
}

void tide_http_read_done(struct tide_http_request *request, ssize_t n, const struct tide_err *err)
{
    struct tide_http_body *body = &request->body;
    tide_read_cb *cb = body->read_cb;

    if (!cb)
        return;
    body->read_cb = NULL;
    cb(body->read_arg, n, err);
}
