/* Checks a request and says it in libcurl's options. libcurl sends headers and methods as they are given, so
 * everything that could smuggle a second request is refused here. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/client_internal.h"
#include "http/framing.h"

#define CONNECT_TIMEOUT_MS 5000
#define TIMEOUT_MS 30000
#define MAX_TIMEOUT_MS (24 * 3600 * 1000)
#define IDLE_SECONDS                                                                                         \
    50L /* below the servers' usual 60 s, so that a reused connection is rarely a dead one                   \
         */
#define MAX_HEADER 16384

static bool out_of_memory(struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "HTTP request: out of memory");
}

static bool invalid(struct tide_err *err, const char *what)
{
    return tide_err_set(err, TIDE_ERR_INVALID, false, "HTTP request: %s", what);
}

static bool is(const struct tide_fetch_request *request, const char *method)
{
    return strcmp(request->method, method) == 0;
}

static bool check(const struct tide_fetch_request *request, struct tide_err *err)
{
    bool has_body = request->body_len > 0 || request->source;
    size_t method_len = strlen(request->method);

    if (method_len > 20 || !tide_framing_name_ok(request->method, method_len) || is(request, "CONNECT") ||
        is(request, "TRACE"))
        return invalid(err, "this method is not allowed");
    if (has_body && (is(request, "GET") || is(request, "HEAD")))
        return invalid(err, "GET and HEAD have no body");
    if (request->body_len > 0 && request->source)
        return invalid(err, "either a body or a source");
    if (request->max_redirects > TIDE_FETCH_MAX_REDIRECTS)
        return invalid(err, "too many redirects to follow");
    if (request->max_redirects > 0 &&
        (request->source || (!is(request, "GET") && !is(request, "HEAD") && !is(request, "POST"))))
        return invalid(err, "redirects are followed for GET, HEAD and POST without a stream only");
    if (request->header_count > TIDE_FETCH_MAX_HEADERS)
        return invalid(err, "too many headers");
    return true;
}

/* ---- URL ---- */

/* "http://host:port", for messages: path and query may hold secrets. */
static char *origin_of(const struct tide_curl *curl, CURLU *url)
{
    CURLU *copy = curl->url_dup(url);
    char *text = NULL, *origin = NULL;
    size_t len;

    if (copy && curl->url_set(copy, CURLUPART_PATH, "/", 0) == CURLUE_OK &&
        curl->url_set(copy, CURLUPART_QUERY, NULL, 0) == CURLUE_OK &&
        curl->url_set(copy, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK &&
        curl->url_get(copy, CURLUPART_URL, &text, 0) == CURLUE_OK) {
        len = strlen(text);
        origin = strndup(text, len && text[len - 1] == '/' ? len - 1 : len);
    }
    curl->free(text);
    curl->url_cleanup(copy);
    return origin;
}

static bool set_up_url(struct tide_fetch *fetch, const char *text, struct tide_err *err)
{
    const struct tide_curl *curl = &fetch->client->curl;
    CURLUcode code;

    if (strlen(text) > TIDE_FETCH_MAX_URL)
        return invalid(err, "the URL is too long");
    if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
        return invalid(err, "the URL does not begin with http:// or https://");
    if (strchr(text, '/')[2] == '/') /* libcurl would take the path's first segment for the host */
        return invalid(err, "the URL has no host");
    fetch->url = curl->url();
    if (!fetch->url)
        return out_of_memory(err);
    code = curl->url_set(fetch->url, CURLUPART_URL, text, CURLU_DISALLOW_USER);
    if (code == CURLUE_USER_NOT_ALLOWED)
        return invalid(err, "a user or password in the URL: send an Authorization header");
    if (code == CURLUE_OUT_OF_MEMORY)
        return out_of_memory(err);
    if (code != CURLUE_OK)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "HTTP request: URL: %s", curl->url_strerror(code));
    fetch->origin = origin_of(curl, fetch->url);
    return fetch->origin || out_of_memory(err);
}

/* ---- headers ---- */

/* What frames the message or belongs to one connection is not the caller's. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {"content-length", "transfer-encoding", "connection",
                                        "keep-alive",     "proxy-connection",  "te",
                                        "trailer",        "upgrade",           "expect"};
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool add_line(struct tide_fetch *fetch, const char *line, struct tide_err *err)
{
    const struct tide_curl *curl = &fetch->client->curl;
    struct curl_slist *list = curl->slist_append(fetch->header_lines, line);

    if (!list)
        return out_of_memory(err);
    fetch->header_lines = list;
    return true;
}

static bool add_header(struct tide_fetch *fetch, const struct tide_http_header *header, struct tide_err *err)
{
    struct tide_buf line;
    bool ok;

    if (!tide_framing_name_ok(header->name, strlen(header->name)))
        return invalid(err, "a header's name is no token");
    if (is_ours(header->name))
        return tide_err_set(err, TIDE_ERR_INVALID, false, "HTTP request: header '%s' is set by the client",
                            header->name);
    if (!tide_framing_value_ok(header->value, strlen(header->value)))
        return tide_err_set(err, TIDE_ERR_INVALID, false, "HTTP request: header '%.64s' has control bytes",
                            header->name);
    tide_buf_init(&line, MAX_HEADER);
    ok = header->value[strspn(header->value, " \t")] == '\0'
             ? tide_buf_printf(&line, "%s;", header->name) /* libcurl's way to send an empty value */
             : tide_buf_printf(&line, "%s: %s", header->name, header->value);
    ok = ok ? add_line(fetch, line.data, err) : invalid(err, "a header is too long");
    tide_buf_release(&line);
    return ok;
}

static bool set_up_headers(struct tide_fetch *fetch, const struct tide_fetch_request *request,
                           struct tide_err *err)
{
    bool has_type = false;
    size_t i;

    for (i = 0; i < request->header_count; i++) {
        if (!add_header(fetch, &request->headers[i], err))
            return false;
        has_type = has_type || strcasecmp(request->headers[i].name, "content-type") == 0;
    }
    /* libcurl would make up a type, and wait a second for "100 Continue" before a body that is in memory
     * anyway. */
    if (!has_type && !add_line(fetch, "Content-Type:", err))
        return false;
    return request->source || add_line(fetch, "Expect:", err);
}

/* ---- options ---- */

static long timeout(int64_t ms, long fallback)
{
    return ms <= 0 ? fallback : ms > MAX_TIMEOUT_MS ? MAX_TIMEOUT_MS : (long)ms;
}

/* Options that are the same for every request. They fail only without memory. */
static bool set_common(struct tide_fetch *fetch, bool https)
{
    const struct tide_curl *curl = &fetch->client->curl;
    struct tide_http_client *client = fetch->client;
    CURL *easy = fetch->easy;
    const char *protocols = https ? "https" : "http,https"; /* no redirect leaves encryption */
    int bad = 0;

    bad |= curl->easy_setopt(easy, CURLOPT_PRIVATE, fetch);
    bad |= curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->curl_error);
    bad |= curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    bad |= curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* never wait for a resolver thread */
    bad |= curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= curl->easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    bad |= curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    bad |= curl->easy_setopt(easy, CURLOPT_PROXY, "");
    bad |= curl->easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_SECONDS);
    bad |= curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    bad |= curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    bad |= curl->easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent);
    if (client->ca_file)
        bad |= curl->easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
    bad |= curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, tide_fetch_on_header);
    bad |= curl->easy_setopt(easy, CURLOPT_HEADERDATA, fetch);
    bad |= curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, tide_fetch_on_body);
    bad |= curl->easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    return bad == 0;
}

static bool set_stream(struct tide_fetch *fetch, const struct tide_fetch_request *request)
{
    const struct tide_curl *curl = &fetch->client->curl;
    CURL *easy = fetch->easy;
    int bad = 0;

    bad |= curl->easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    bad |= curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    bad |= curl->easy_setopt(easy, CURLOPT_READFUNCTION, tide_fetch_on_send);
    bad |= curl->easy_setopt(easy, CURLOPT_READDATA, fetch);
    bad |= curl->easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->source->length);
    bad |= curl->easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 64L * 1024);
    /* A stream cannot be sent again when a kept connection turns out to be dead. */
    bad |= curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    return bad == 0;
}

static bool set_bytes(struct tide_fetch *fetch, const struct tide_fetch_request *request)
{
    const struct tide_curl *curl = &fetch->client->curl;
    CURL *easy = fetch->easy;
    int bad = 0;

    fetch->body = malloc(request->body_len + 1);
    if (!fetch->body)
        return false;
    if (request->body_len)
        memcpy(fetch->body, request->body, request->body_len);
    bad |= curl->easy_setopt(easy, CURLOPT_POST, 1L);
    bad |= curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
    bad |= curl->easy_setopt(easy, CURLOPT_POSTFIELDS, fetch->body);
    if (!is(request, "POST"))
        bad |= curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    return bad == 0;
}

static bool set_method(struct tide_fetch *fetch, const struct tide_fetch_request *request)
{
    const struct tide_curl *curl = &fetch->client->curl;
    if (is(request, "GET"))
        return curl->easy_setopt(fetch->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    if (is(request, "HEAD"))
        return curl->easy_setopt(fetch->easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    if (request->source)
        return set_stream(fetch, request);
    if (request->body_len > 0 || is(request, "POST") || is(request, "PUT") || is(request, "PATCH"))
        return set_bytes(fetch, request);
    return curl->easy_setopt(fetch->easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
}

static bool set_request(struct tide_fetch *fetch, const struct tide_fetch_request *request)
{
    const struct tide_curl *curl = &fetch->client->curl;
    CURL *easy = fetch->easy;
    int bad = 0;

    bad |= curl->easy_setopt(easy, CURLOPT_CURLU, fetch->url);
    bad |= curl->easy_setopt(easy, CURLOPT_HTTPHEADER, fetch->header_lines);
    bad |= curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                             timeout(request->connect_timeout_ms, CONNECT_TIMEOUT_MS));
    bad |= curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout(request->timeout_ms, TIMEOUT_MS));
    if (request->max_redirects > 0) {
        bad |= curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
        bad |= curl->easy_setopt(easy, CURLOPT_MAXREDIRS, (long)request->max_redirects);
    }
    return bad == 0;
}

bool tide_fetch_setup(struct tide_fetch *fetch, const struct tide_fetch_request *request,
                      struct tide_err *err)
{
    bool https = strncasecmp(request->url, "https:", 6) == 0;

    if (!check(request, err) || !set_up_url(fetch, request->url, err) || !set_up_headers(fetch, request, err))
        return false;
    fetch->easy = tide_client_easy(fetch->client);
    if (fetch->easy && set_common(fetch, https) && set_method(fetch, request) && set_request(fetch, request))
        return true;
    return out_of_memory(err);
}
