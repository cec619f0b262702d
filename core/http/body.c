/*
 * A request's body: handed from libmicrohttpd's buffer straight into the reader's, which is reported full, at
 * the end, or when nothing more is there at the moment. While nobody reads the connection is suspended, so
 * that the kernel's window holds the client back.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http/connection.h"

void tide_http_body_init(struct tide_http_request *request)
{
    request->body.limit = request->server->config.limits.body_bytes;
}

void tide_http_body_release(struct tide_http_request *request)
{
    tide_http_body_source_end(request, false);
    tide_buf_release(&request->body.collected);
    tide_http_parts_release(request);
}

bool tide_http_request_limit(struct tide_http_request *request, int64_t body_bytes)
{
    request->body.limit = body_bytes;
    return request->content_length <= body_bytes;
}

void tide_http_work_later(struct tide_http_request *request)
{
    if (tide_link_empty(&request->in_work))
        tide_link_append(&request->server->work, &request->in_work);
}

bool tide_http_body_wanted(const struct tide_http_request *request)
{
    const struct tide_http_body *body = &request->body;

    return !body->failed && (body->collect_cb || body->read_cb || body->part_cb);
}

/* ---- failing ---- */

static void finish_collect(struct tide_http_request *request, const struct tide_err *err)
{
    struct tide_http_body *body = &request->body;
    struct tide_buf collected = body->collected; /* the callback may collect once more, to be refused */
    tide_http_body_cb *cb = body->collect_cb;

    body->collect_cb = NULL;
    tide_buf_init(&body->collected, collected.max);
    if (err)
        cb(body->collect_arg, NULL, 0, err);
    else
        cb(body->collect_arg, collected.data ? collected.data : "", collected.len, NULL);
    tide_buf_release(&collected);
}

void tide_http_body_fail(struct tide_http_request *request, const struct tide_err *err)
{
    struct tide_http_body *body = &request->body;

    if (!body->failed) {
        body->failed = true;
        body->err = *err;
    }
    if (body->collect_cb)
        finish_collect(request, &body->err);
    tide_http_read_done(request, -1, &body->err);
    tide_http_parts_fail(request);
}

static void fail_too_large(struct tide_http_request *request, int64_t limit)
{
    struct tide_err err;

    tide_err_set(&err, TIDE_ERR_TOO_LARGE, false, "the request's body is over its limit of %lld bytes",
                 (long long)limit);
    tide_http_body_fail(request, &err);
}

/* Remembers the failure for a reader that asks within its own call: it hears of it from the loop. */
static void fail_later(struct tide_http_request *request, int64_t limit)
{
    struct tide_http_body *body = &request->body;

    if (body->failed)
        return;
    body->failed = true;
    tide_err_set(&body->err, TIDE_ERR_TOO_LARGE, false, "the request's body is over its limit of %lld bytes",
                 (long long)limit);
}

/* ---- the whole of it ---- */

void tide_http_body_taken(struct tide_err *err)
{
    tide_err_set(err, TIDE_ERR_CONFLICT, false, "the request's body was taken already");
}

struct tide_source *tide_http_body_source(struct tide_http_request *request)
{
    struct tide_http_body *body = &request->body;
    struct tide_source *source;

    if (body->mode != BODY_NONE && !body->failed) {
        body->failed = true;
        tide_http_body_taken(&body->err);
    }
    if (request->content_length > body->limit)
        fail_later(request, body->limit);
    source = tide_http_body_source_new(request, request->content_length);
    if (source)
        body->mode = BODY_SOURCE;
    return source;
}

void tide_http_body_collect(struct tide_http_request *request, size_t max, tide_http_body_cb *cb, void *arg)
{
    struct tide_http_body *body = &request->body;
    int64_t limit = body->limit < (int64_t)max ? body->limit : (int64_t)max;

    assert(!body->collect_cb);
    if (body->mode != BODY_NONE && !body->failed) {
        body->failed = true;
        tide_http_body_taken(&body->err);
    }
    body->mode = BODY_COLLECT;
    body->collect_cb = cb;
    body->collect_arg = arg;
    body->limit = limit;
    tide_buf_init(&body->collected, (size_t)limit);
    if (request->content_length > limit)
        fail_later(request, limit);
    if (body->failed || body->ended)
        tide_http_work_later(request);
    else
        tide_http_advance(request);
}

void tide_http_body_cancel(struct tide_http_request *request)
{
    request->body.collect_cb = NULL;
    request->body.part_cb = NULL;
    tide_buf_release(&request->body.collected);
}

/* ---- what comes ---- */

static size_t take_collect(struct tide_http_request *request, const char *data, size_t len)
{
    struct tide_http_body *body = &request->body;
    struct tide_err err;

    if (!body->collect_cb)
        return 0;
    if (body->collected.len == 0 && request->content_length > 0)
        tide_buf_reserve(&body->collected, (size_t)request->content_length);
    if (tide_buf_append(&body->collected, data, len))
        return len;
    tide_err_set(&err, TIDE_ERR_UNAVAILABLE, true, "the request's body: out of memory");
    tide_http_body_fail(request, &err);
    return 0;
}

static size_t take_read(struct tide_http_request *request, const char *data, size_t len)
{
    struct tide_http_body *body = &request->body;
    size_t n = body->read_cap - body->read_len;

    if (!body->read_cb)
        return 0;
    if (n > len)
        n = len;
    memcpy(body->read_buf + body->read_len, data, n);
    body->read_len += n;
    if (body->read_len == body->read_cap)
        tide_http_read_done(request, (ssize_t)body->read_len, NULL);
    else
        tide_http_work_later(request);
    return n;
}

size_t tide_http_body_take(struct tide_http_request *request, const char *data, size_t len)
{
    struct tide_http_body *body = &request->body;
    size_t n = 0;

    if (body->failed)
        return 0;
    if (request->content_length < 0 && request->bytes_in + (int64_t)len > body->limit &&
        body->mode != BODY_NONE) {
        fail_too_large(request, body->limit);
        return 0;
    }
    switch (body->mode) {
    case BODY_NONE:
        break;
    case BODY_COLLECT:
        n = take_collect(request, data, len);
        break;
    case BODY_SOURCE:
        n = take_read(request, data, len);
        break;
    case BODY_MULTIPART:
        n = tide_http_parts_take(request, data, len);
        break;
    }
    request->bytes_in += (int64_t)n;
    return n;
}

void tide_http_body_end(struct tide_http_request *request)
{
    struct tide_http_body *body = &request->body;

    body->ended = true;
    if (body->failed)
        return;
    if (body->mode == BODY_COLLECT && body->collect_cb)
        finish_collect(request, NULL);
    else if (body->mode == BODY_SOURCE)
        tide_http_read_done(request, (ssize_t)body->read_len, NULL);
    else if (body->mode == BODY_MULTIPART)
        tide_http_parts_end(request);
}

void tide_http_body_due(struct tide_http_request *request)
{
    struct tide_http_body *body = &request->body;

    if (body->mode == BODY_COLLECT && body->collect_cb && (body->failed || body->ended))
        finish_collect(request, body->failed ? &body->err : NULL);
    else if (body->mode == BODY_MULTIPART)
        tide_http_parts_due(request);
}

void tide_http_body_work(struct tide_http_request *request)
{
    struct tide_http_body *body = &request->body;

    tide_http_body_due(request);
    if (body->read_cb && body->read_len > 0)
        tide_http_read_done(request, (ssize_t)body->read_len, NULL);
}
