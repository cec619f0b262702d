/*
 * A response out of a source: libmicrohttpd asks for bytes, the source has them or not yet; then the
 * connection is suspended. While one buffer goes out the other is filled.
 */
#include <stdlib.h>
#include <string.h>

#include "http/connection.h"

#define BLOCK (128 * 1024) /* what libmicrohttpd sends at a time */

static void start_read(struct tide_http_request *request);

static void on_lent(void *arg, const void *data, ssize_t n, const struct tide_err *err)
{
    struct tide_http_request *request = arg;
    struct tide_http_reader *reader = &request->reader;

    reader->reading = false;
    reader->data[!reader->current] = data;
    if (n > 0)
        reader->len[!reader->current] = (size_t)n;
    else
        reader->ended = true;
    reader->failed = n < 0;
    if (reader->failed)
        tide_log_event(request->server->config.log, TIDE_LOG_WARN, "response cut short",
                       tide_log_str("server", request->server->name), tide_log_str("request", request->id),
                       tide_log_str("code", err->code), tide_log_str("reason", err->message));
    if (request->phase == REQUEST_SENDING && !request->gone)
        tide_http_wake(request->connection);
}

static void on_read(void *arg, ssize_t n, const struct tide_err *err)
{
    struct tide_http_reader *reader = &((struct tide_http_request *)arg)->reader;

    on_lent(arg, reader->buf[!reader->current], n, err);
}

/* Fills the buffer that is not being sent. What a source lends is sent before it lends more. */
static void start_read(struct tide_http_request *request)
{
    struct tide_http_reader *reader = &request->reader;
    bool lends = tide_source_lends(reader->source);

    if (reader->reading || reader->ended || reader->len[!reader->current] > 0 ||
        (lends && reader->at < reader->len[reader->current]))
        return;
    reader->reading = true;
    if (lends)
        tide_source_lend(reader->source, on_lent, request);
    else
        tide_source_read(reader->source, reader->buf[!reader->current], TIDE_STREAM_CHUNK, on_read, request);
}

/* Bytes of the current buffer that are left, after turning to the next one when there are none. */
static size_t available(struct tide_http_reader *reader)
{
    if (reader->at < reader->len[reader->current])
        return reader->len[reader->current] - reader->at;
    if (reader->len[!reader->current] == 0)
        return 0;
    reader->len[reader->current] = 0;
    reader->current = !reader->current;
    reader->at = 0;
    return reader->len[reader->current];
}

static ssize_t give(void *cls, uint64_t at, char *buf, size_t max)
{
    struct tide_http_request *request = cls;
    struct tide_http_reader *reader = &request->reader;
    size_t n;

    (void)at;
    if (request->gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (available(reader) == 0)
        start_read(request);
    n = available(reader);
    if (n == 0 && reader->ended)
        return reader->failed || request->bytes_out < request->response_length
                   ? MHD_CONTENT_READER_END_WITH_ERROR
                   : MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0) {
        tide_http_suspend(request->connection);
        return 0;
    }
    start_read(request);
    n = n < max ? n : max;
    memcpy(buf, reader->data[reader->current] + reader->at, n);
    reader->at += n;
    request->bytes_out += (int64_t)n;
    return (ssize_t)n;
}

struct MHD_Response *tide_http_reader_create(struct tide_http_request *request, struct tide_source *source)
{
    struct tide_http_reader *reader = &request->reader;
    int64_t length = source->length;

    reader->source = source;
    request->response_length = length;
    if (!request->is_head && !tide_source_lends(source)) {
        reader->buf[0] = malloc(TIDE_STREAM_CHUNK);
        reader->buf[1] = malloc(TIDE_STREAM_CHUNK);
        if (!reader->buf[0] || !reader->buf[1])
            return NULL;
    }
    return MHD_create_response_from_callback(length >= 0 ? (uint64_t)length : MHD_SIZE_UNKNOWN,
                                             request->is_head ? 1 : BLOCK, give, request, NULL);
}

void tide_http_reader_release(struct tide_http_request *request)
{
    struct tide_http_reader *reader = &request->reader;

    if (reader->source)
        tide_source_close(reader->source);
    free(reader->buf[0]);
    free(reader->buf[1]);
    memset(reader, 0, sizeof *reader);
}
