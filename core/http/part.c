/* A request's multipart body: its parts as sources, one after the other, off the bytes that body.c passes on.
 */
#include <assert.h>

#include "http/connection.h"
#include "http/multipart.h"

static void fail_invalid(struct tide_http_request *request, const char *fault)
{
    struct tide_err err;

    tide_err_set(&err, TIDE_ERR_INVALID, false, "multipart/form-data: %s", fault);
    tide_http_body_fail(request, &err);
}

/* Answers the waiting tide_http_multipart_next. */
static void answer(struct tide_http_request *request, const struct tide_http_part *part,
                   const struct tide_err *err)
{
    struct tide_http_body *body = &request->body;
    tide_http_part_cb *cb = body->part_cb;

    if (!cb)
        return;
    body->part_cb = NULL;
    cb(body->part_arg, part, err);
}

void tide_http_parts_fail(struct tide_http_request *request)
{
    answer(request, NULL, &request->body.err);
}

void tide_http_parts_due(struct tide_http_request *request)
{
    const struct tide_http_body *body = &request->body;

    if (!body->part_cb)
        return;
    if (body->failed)
        answer(request, NULL, &body->err);
    else if (body->ended && body->parts_done)
        answer(request, NULL, NULL);
}

void tide_http_parts_release(struct tide_http_request *request)
{
    if (request->body.parser)
        tide_multipart_free(request->body.parser);
    request->body.parser = NULL;
}

static void begin(struct tide_http_request *request)
{
    struct tide_http_body *body = &request->body;

    body->mode = BODY_MULTIPART;
    body->parser = tide_multipart_new(tide_http_request_header(request, "Content-Type"), &body->err);
    body->failed = !body->parser;
    if (!body->failed && request->content_length > body->limit)
        body->failed =
            !tide_err_set(&body->err, TIDE_ERR_TOO_LARGE, false,
                          "the request's body is over its limit of %lld bytes", (long long)body->limit);
    else if (!body->failed && body->ended)
        body->failed =
            !tide_err_set(&body->err, TIDE_ERR_INVALID, false, "multipart/form-data: the body is empty");
}

void tide_http_multipart_next(struct tide_http_request *request, tide_http_part_cb *cb, void *arg)
{
    struct tide_http_body *body = &request->body;

    if (body->mode == BODY_NONE && !body->failed)
        begin(request);
    assert(!body->part_cb);
    if (body->mode != BODY_MULTIPART && !body->failed) {
        body->failed = true;
        tide_http_body_taken(&body->err);
    }
    body->mode = BODY_MULTIPART;
    body->part_cb = cb;
    body->part_arg = arg;
    if (body->failed || body->ended)
        tide_http_work_later(request);
    else
        tide_http_advance(request);
}

static void start_part(struct tide_http_request *request)
{
    struct tide_http_body *body = &request->body;
    const struct tide_http_part part = {
        tide_multipart_name(body->parser), tide_multipart_filename(body->parser),
        tide_multipart_content_type(body->parser), tide_http_body_source_new(request, -1)};
    struct tide_err err;

    if (part.source) {
        body->part_open = true;
        answer(request, &part, NULL);
        return;
    }
    tide_err_set(&err, TIDE_ERR_UNAVAILABLE, true, "multipart/form-data: out of memory");
    tide_http_body_fail(request, &err);
}

/* Reports what is there of a read: content first, the end at the next read. */
static void end_part(struct tide_http_request *request)
{
    struct tide_http_body *body = &request->body;

    body->part_open = false;
    tide_http_body_source_end(request, true);
    tide_http_read_done(request, (ssize_t)body->read_len, NULL);
}

static void handle(struct tide_http_request *request, enum tide_multipart_event event)
{
    struct tide_http_body *body = &request->body;

    switch (event) {
    case TIDE_MULTIPART_MORE:
        if (body->read_cb && body->read_len > 0)
            tide_http_work_later(request);
        break;
    case TIDE_MULTIPART_PART:
        start_part(request);
        break;
    case TIDE_MULTIPART_FULL:
        tide_http_read_done(request, (ssize_t)body->read_len, NULL);
        break;
    case TIDE_MULTIPART_PART_END:
        end_part(request);
        break;
    case TIDE_MULTIPART_END:
        body->parts_done = true;
        break;
    case TIDE_MULTIPART_BAD:
        fail_invalid(request, tide_multipart_fault(body->parser));
        break;
    }
}

size_t tide_http_parts_take(struct tide_http_request *request, const char *data, size_t len)
{
    struct tide_http_body *body = &request->body;
    size_t left = len;

    if (body->parts_done)
        return len;
    while (left > 0 && !body->failed && !body->parts_done && (body->read_cb || body->part_cb)) {
        /* Without a read somebody waits for the next part: the rest of this one is skipped. */
        char *out = body->part_open && body->read_cb ? body->read_buf : NULL;

        handle(request,
               tide_multipart_parse(body->parser, &data, &left, out, body->read_cap, &body->read_len));
        if (request->aborted || request->discarding)
            break;
    }
    return len - left;
}

void tide_http_parts_end(struct tide_http_request *request)
{
    if (request->body.parts_done)
        tide_http_parts_due(request);
    else
        fail_invalid(request, "the body ends before its closing boundary");
}
