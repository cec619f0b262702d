/* One request of the HTTP client, from start to on_done. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http/client_internal.h"
#include "http/framing.h"

#define SINK_BUFFER (128 * 1024) /* received and not yet handed to the sink: more pauses the connection */
#define SOURCE_CHUNK (64 * 1024)

/* ---- memory ---- */

static void fetch_free(struct tide_fetch *fetch)
{
    const struct tide_curl *curl = &fetch->client->curl;

    curl->slist_free_all(fetch->header_lines);
    curl->url_cleanup(fetch->url);
    free(fetch->origin);
    free(fetch->body);
    free(fetch->chunk);
    tide_buf_release(&fetch->head);
    tide_buf_release(&fetch->content);
    tide_buf_release(&fetch->writing);
    free(fetch);
}

static void hold(struct tide_fetch *fetch)
{
    fetch->holds++;
}

/* False when the fetch ended meanwhile; it may be freed then. */
static bool let_go(struct tide_fetch *fetch)
{
    bool gone = fetch->gone;

    if (--fetch->holds == 0 && gone)
        fetch_free(fetch);
    return !gone;
}

/* Takes the request away from libcurl; a connection in use is closed. */
static void detach(struct tide_fetch *fetch)
{
    if (!fetch->easy)
        return;
    fetch->client->curl.multi_remove_handle(fetch->client->multi, fetch->easy);
    tide_client_recycle(fetch->client, fetch->easy);
    fetch->easy = NULL;
}

static void unlink_fetch(struct tide_fetch *fetch)
{
    struct tide_http_client *client = fetch->client;

    tide_client_not_due(fetch);
    if (fetch->prev)
        fetch->prev->next = fetch->next;
    else
        client->fetches = fetch->next;
    if (fetch->next)
        fetch->next->prev = fetch->prev;
    client->pending--;
    fetch->gone = true;
}

static void close_source(struct tide_fetch *fetch)
{
    struct tide_source *source = fetch->source;

    fetch->source = NULL;
    if (source)
        tide_source_close(source);
}

static void close_sink(struct tide_fetch *fetch)
{
    struct tide_sink *sink = fetch->sink;

    fetch->sink = NULL;
    if (sink)
        tide_sink_close(sink);
}

/* ---- the response's head ---- */

static bool fail_inside(struct tide_fetch *fetch, const char *code, const char *what)
{
    if (!fetch->err.code)
        tide_err_set(&fetch->err, code, false, "%s: %s", fetch->origin, what);
    return false;
}

static void begin_head(struct tide_fetch *fetch, const char *line, size_t len)
{
    const char *space = memchr(line, ' ', len);

    tide_buf_reset(&fetch->head);
    fetch->response.header_count = 0;
    fetch->response.status = space ? (int)strtol(space + 1, NULL, 10) : 0; /* libcurl checked it */
    fetch->head_open = true;
}

static bool add_header(struct tide_fetch *fetch, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len), *value, *end = line + len;
    size_t i, name_len = colon ? (size_t)(colon - line) : 0, at = fetch->head.len;

    if (!colon || !tide_framing_name_ok(line, name_len))
        return true; /* a folded line or rubbish: not for us to interpret */
    for (value = colon + 1; value < end && (*value == ' ' || *value == '\t');)
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (!tide_framing_value_ok(value, (size_t)(end - value)))
        return true;
    if (fetch->response.header_count == TIDE_FETCH_MAX_HEADERS ||
        !tide_buf_append(&fetch->head, line, name_len) || !tide_buf_putc(&fetch->head, '\0') ||
        !tide_buf_append(&fetch->head, value, (size_t)(end - value)) || !tide_buf_putc(&fetch->head, '\0'))
        return fail_inside(fetch, TIDE_ERR_TOO_LARGE, "too many response headers");
    for (i = at; i < at + name_len; i++)
        if (fetch->head.data[i] >= 'A' && fetch->head.data[i] <= 'Z')
            fetch->head.data[i] |= 0x20;
    fetch->response.header_count++;
    return true;
}

size_t tide_fetch_on_header(char *line, size_t size, size_t count, void *arg)
{
    struct tide_fetch *fetch = arg;
    size_t len = size * count, text_len = len;

    while (text_len && (line[text_len - 1] == '\n' || line[text_len - 1] == '\r'))
        text_len--;
    if (text_len == 0)
        fetch->head_open = false; /* what comes after the body is a trailer and ignored */
    else if (text_len > 5 && memcmp(line, "HTTP/", 5) == 0)
        begin_head(fetch, line, text_len);
    else if (fetch->head_open && !add_header(fetch, line, text_len))
        return 0;
    return len;
}

const char *tide_fetch_header(const struct tide_fetch_response *response, const char *name)
{
    size_t i;

    for (i = 0; i < response->header_count; i++)
        if (strcmp(response->headers[i].name, name) == 0)
            return response->headers[i].value;
    return NULL;
}

/* The head is complete: its buffer moves no more. */
static void settle_head(struct tide_fetch *fetch)
{
    const char *p = fetch->head.data;
    size_t i;

    for (i = 0; i < fetch->response.header_count; i++) {
        fetch->headers[i].name = p;
        p += strlen(p) + 1;
        fetch->headers[i].value = p;
        p += strlen(p) + 1;
    }
    fetch->response.headers = fetch->headers;
    fetch->response.body = "";
    fetch->head_told = true;
}

/* False when the callback canceled the request. */
static bool tell_head(struct tide_fetch *fetch)
{
    struct tide_sink *sink;

    settle_head(fetch);
    if (!fetch->on_head)
        return true;
    hold(fetch);
    sink = fetch->on_head(fetch->arg, &fetch->response);
    if (fetch->gone) {
        if (sink)
            tide_sink_close(sink);
    } else {
        fetch->sink = sink;
        if (sink)
            fetch->content.max = SINK_BUFFER;
    }
    return let_go(fetch);
}

/* ---- the response's body ---- */

/* Is it over the limit, by what came or by what was announced? */
static bool too_large(struct tide_fetch *fetch, size_t more)
{
    curl_off_t announced = -1;

    if (fetch->max_response < 0)
        return false;
    if (fetch->received == 0)
        fetch->client->curl.easy_getinfo(fetch->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
    return announced > fetch->max_response || fetch->received + (int64_t)more > fetch->max_response;
}

size_t tide_fetch_on_body(char *data, size_t size, size_t count, void *arg)
{
    struct tide_fetch *fetch = arg;
    size_t len = size * count;

    if (too_large(fetch, len)) {
        fail_inside(fetch, TIDE_ERR_TOO_LARGE, "the response is over its size limit");
        return 0;
    }
    if ((fetch->on_head && !fetch->head_told) || (fetch->sink && fetch->content.len + len > SINK_BUFFER)) {
        fetch->receive_paused = true;
        tide_client_due(fetch);
        return CURL_WRITEFUNC_PAUSE;
    }
    if (!tide_buf_append(&fetch->content, data, len)) { /* without a limit the buffer still has one */
        fail_inside(fetch, TIDE_ERR_TOO_LARGE, "the response does not fit into memory");
        return 0;
    }
    fetch->received += (int64_t)len;
    if (fetch->sink)
        tide_client_due(fetch);
    return len;
}

static void on_written(void *arg, const struct tide_err *err)
{
    struct tide_fetch *fetch = arg;

    fetch->write_busy = false;
    if (err)
        tide_fetch_fail(fetch, err);
    tide_client_due(fetch);
    tide_client_drain(fetch->client);
}

/* Gives the sink what has come in. False when the request ended meanwhile. */
static bool write_out(struct tide_fetch *fetch)
{
    struct tide_buf full = fetch->content;

    if (!fetch->sink || fetch->write_busy || full.len == 0)
        return true;
    fetch->content = fetch->writing;
    fetch->writing = full;
    fetch->content.max = SINK_BUFFER;
    tide_buf_reset(&fetch->content);
    fetch->write_busy = true;
    hold(fetch);
    tide_sink_write(fetch->sink, fetch->writing.data, fetch->writing.len, on_written, fetch);
    return let_go(fetch);
}

/* Tells libcurl which directions go on. It may call back for bytes that it kept. */
static void apply_pause(struct tide_fetch *fetch)
{
    int bits = (fetch->receive_paused ? CURLPAUSE_RECV : 0) | (fetch->send_paused ? CURLPAUSE_SEND : 0);
    CURLcode code = fetch->client->curl.easy_pause(fetch->easy, bits);

    if (code != CURLE_OK)
        tide_fetch_curl_done(fetch, code);
}

static void receive_on(struct tide_fetch *fetch)
{
    if (!fetch->easy || !fetch->receive_paused || !fetch->head_told ||
        (fetch->sink && fetch->content.len > 0))
        return;
    fetch->receive_paused = false;
    apply_pause(fetch);
}

/* ---- the request's body, from a source ---- */

size_t tide_fetch_on_send(char *to, size_t size, size_t count, void *arg)
{
    struct tide_fetch *fetch = arg;
    size_t len = fetch->chunk_len - fetch->chunk_pos;

    if (len == 0 && fetch->source_ended)
        return 0;
    if (len == 0) {
        fetch->send_paused = true;
        tide_client_due(fetch);
        return CURL_READFUNC_PAUSE;
    }
    if (len > size * count)
        len = size * count;
    memcpy(to, fetch->chunk + fetch->chunk_pos, len);
    fetch->chunk_pos += len;
    return len;
}

static void on_read(void *arg, ssize_t n, const struct tide_err *err)
{
    struct tide_fetch *fetch = arg;
    struct tide_err wrong;

    fetch->read_busy = false;
    fetch->chunk_pos = 0;
    fetch->chunk_len = n > 0 ? (size_t)n : 0;
    fetch->source_ended = n == 0;
    if (n >= 0 && fetch->source_left >= 0) {
        if (n == 0 ? fetch->source_left != 0 : n > fetch->source_left) {
            tide_err_set(&wrong, TIDE_ERR_INTERNAL, false, "the body is not as long as was announced");
            err = &wrong;
        }
        fetch->source_left -= n;
    }
    if (err)
        tide_fetch_fail(fetch, err);
    tide_client_due(fetch);
    tide_client_drain(fetch->client);
}

/* Gets more from the source, or lets libcurl send what was got. False when the request ended meanwhile. */
static bool send_on(struct tide_fetch *fetch)
{
    if (!fetch->easy || !fetch->send_paused || fetch->read_busy)
        return true;
    if (fetch->source_ended || fetch->chunk_pos < fetch->chunk_len) {
        fetch->send_paused = false;
        apply_pause(fetch);
        return true;
    }
    fetch->read_busy = true;
    hold(fetch);
    tide_source_read(fetch->source, fetch->chunk, SOURCE_CHUNK, on_read, fetch);
    return let_go(fetch);
}

/* ---- the end ---- */

static void set_curl_error(struct tide_fetch *fetch, CURLcode code)
{
    const char *text = fetch->curl_error[0] ? fetch->curl_error : fetch->client->curl.easy_strerror(code);

    if (code == CURLE_UNSUPPORTED_PROTOCOL && fetch->response.status == 0)
        code = CURLE_WEIRD_SERVER_REPLY; /* what answered speaks no HTTP/1; else it is a redirect to who knows
                                            what */
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        tide_err_set(&fetch->err, TIDE_ERR_TIMEOUT, true, "%s: %s", fetch->origin, text);
        break;
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        tide_err_set(&fetch->err, TIDE_ERR_INVALID, false, "%s: %s", fetch->origin, text);
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        tide_err_set(&fetch->err, TIDE_ERR_UNAVAILABLE, false, "%s: %s", fetch->origin, text);
        break;
    default: /* refused, reset, no such host, cut off, not HTTP */
        tide_err_set(&fetch->err, TIDE_ERR_UNAVAILABLE, true, "%s: %s", fetch->origin, text);
    }
}

void tide_fetch_curl_done(struct tide_fetch *fetch, CURLcode result)
{
    if (result != CURLE_OK && !fetch->err.code)
        set_curl_error(fetch, result);
    detach(fetch);
    tide_client_due(fetch);
}

void tide_fetch_fail(struct tide_fetch *fetch, const struct tide_err *err)
{
    if (!fetch->err.code)
        fetch->err = *err;
    detach(fetch);
    tide_client_due(fetch);
}

static void finish(struct tide_fetch *fetch)
{
    bool failed = fetch->err.code != NULL;

    hold(fetch);
    unlink_fetch(fetch);
    close_source(fetch);
    if (failed) {
        close_sink(fetch);
    } else if (!fetch->sink) {
        fetch->response.body = fetch->content.len ? fetch->content.data : "";
        fetch->response.body_len = fetch->content.len;
    }
    fetch->response.sink = fetch->sink;
    fetch->on_done(fetch->arg, failed ? NULL : &fetch->response, failed ? &fetch->err : NULL);
    let_go(fetch);
}

/* Does whatever can be done now. Runs outside of libcurl. */
void tide_fetch_step(struct tide_fetch *fetch)
{
    bool failed = fetch->err.code != NULL;

    if (!failed && !fetch->head_told && (!fetch->easy || fetch->receive_paused) && !tell_head(fetch))
        return;
    if (!failed && (!write_out(fetch) || !send_on(fetch)))
        return;
    receive_on(fetch);
    if (!fetch->easy &&
        (fetch->err.code || (!fetch->write_busy && (!fetch->sink || fetch->content.len == 0))))
        finish(fetch);
}

void tide_fetch_cancel(struct tide_fetch *fetch)
{
    assert(!fetch->gone);
    hold(fetch);
    detach(fetch);
    unlink_fetch(fetch);
    close_source(fetch);
    close_sink(fetch);
    let_go(fetch);
}

/* ---- the start ---- */

static struct tide_fetch *fetch_new(struct tide_http_client *client, const struct tide_fetch_request *request)
{
    struct tide_fetch *fetch = calloc(1, sizeof *fetch);

    if (!fetch)
        return NULL;
    fetch->client = client;
    fetch->on_head = request->on_head;
    fetch->on_done = request->on_done;
    fetch->arg = request->arg;
    fetch->max_response = request->max_response ? request->max_response : TIDE_FETCH_MAX_RESPONSE;
    fetch->source_left = request->source ? request->source->length : -1;
    tide_buf_init(&fetch->head, TIDE_FETCH_MAX_HEAD);
    tide_buf_init(&fetch->content,
                  fetch->max_response < 0 ? TIDE_FETCH_MAX_RESPONSE : (size_t)fetch->max_response);
    tide_buf_init(&fetch->writing, SINK_BUFFER);
    if (request->source && !(fetch->chunk = malloc(SOURCE_CHUNK))) {
        fetch_free(fetch);
        return NULL;
    }
    return fetch;
}

static bool start(struct tide_fetch *fetch, const struct tide_fetch_request *request, struct tide_err *err)
{
    CURLMcode code;

    if (!tide_fetch_setup(fetch, request, err))
        return false;
    code = fetch->client->curl.multi_add_handle(fetch->client->multi, fetch->easy);
    if (code == CURLM_OK)
        return true;
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "libcurl: %s",
                        fetch->client->curl.multi_strerror(code));
}

struct tide_fetch *tide_fetch_start(struct tide_http_client *client, const struct tide_fetch_request *request,
                                    struct tide_err *err)
{
    struct tide_fetch *fetch = NULL;

    if (!tide_client_open(client, err))
        return NULL;
    if (client->closing || client->pending >= client->max_pending)
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "%zu HTTP requests are in flight already",
                     client->pending);
    else if (!(fetch = fetch_new(client, request)))
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "HTTP request: out of memory");
    if (!fetch)
        return NULL;
    if (!start(fetch, request, err)) {
        if (fetch->easy)
            tide_client_recycle(client, fetch->easy);
        fetch_free(fetch);
        return NULL;
    }
    fetch->source = request->source;
    fetch->next = client->fetches;
    if (fetch->next)
        fetch->next->prev = fetch;
    client->fetches = fetch;
    client->pending++;
    return fetch;
}
