#include "http/client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http/client_internal.h"

#define IDLE_CONNECTIONS 64L

/* libcurl's interest in one socket. */
struct watch {
    uv_poll_t poll;
    struct tide_http_client *client;
    curl_socket_t fd;
};

/* ---- requests that have something to do outside of libcurl ---- */

void tide_client_due(struct tide_fetch *fetch)
{
    if (fetch->is_due)
        return;
    fetch->is_due = true;
    fetch->next_due = NULL;
    *fetch->client->due_end = fetch;
    fetch->client->due_end = &fetch->next_due;
}

void tide_client_not_due(struct tide_fetch *fetch)
{
    struct tide_http_client *client = fetch->client;
    struct tide_fetch **link = &client->due;

    if (!fetch->is_due)
        return;
    while (*link != fetch)
        link = &(*link)->next_due;
    *link = fetch->next_due;
    if (!*link)
        client->due_end = link;
    fetch->is_due = false;
}

void tide_client_drain(struct tide_http_client *client)
{
    struct tide_fetch *fetch;

    if (client->draining)
        return;
    client->draining = true;
    while ((fetch = client->due)) {
        tide_client_not_due(fetch);
        tide_fetch_step(fetch);
    }
    client->draining = false;
}

/* ---- libcurl and the loop ---- */

static void collect_done(struct tide_http_client *client)
{
    CURLMsg *message;
    CURLcode result;
    char *fetch;
    int left;

    while ((message = client->curl.multi_info_read(client->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        result = message->data.result; /* the message goes with the handle */
        if (client->curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch) == CURLE_OK)
            tide_fetch_curl_done((struct tide_fetch *)(void *)fetch, result);
    }
}

static void act(struct tide_http_client *client, curl_socket_t fd, int events)
{
    int running;

    client->curl.multi_socket_action(client->multi, fd, events, &running);
    collect_done(client);
    tide_client_drain(client);
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct tide_http_client *client = arg;

    (void)multi;
    if (timeout_ms < 0 || client->closing)
        uv_timer_stop(&client->timer);
    else
        uv_timer_start(&client->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;

    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    act(watch->client, watch->fd, flags);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static struct watch *watch_new(struct tide_http_client *client, curl_socket_t fd)
{
    struct watch *watch = calloc(1, sizeof *watch);

    if (!watch || uv_poll_init_socket(client->loop, &watch->poll, fd) != 0) {
        free(watch);
        return NULL;
    }
    watch->client = client;
    watch->fd = fd;
    watch->poll.data = watch;
    client->curl.multi_assign(client->multi, fd, watch);
    return watch;
}

/* A failure here must not be told to libcurl, which would then give up all requests: this one runs into its
 * timeout. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct tide_http_client *client = arg;
    struct watch *watch = socket_arg;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch)
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        client->curl.multi_assign(client->multi, fd, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    if (!watch)
        watch = watch_new(arg, fd);
    if (watch)
        uv_poll_start(&watch->poll, events, on_poll);
    return 0;
}

/* ---- libcurl itself, from the first request on ---- */

static bool set_up_multi(struct tide_http_client *client)
{
    CURLM *multi = client->multi = client->curl.multi_init();

    return multi && client->curl.multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
           client->curl.multi_setopt(multi, CURLMOPT_SOCKETDATA, client) == CURLM_OK &&
           client->curl.multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
           client->curl.multi_setopt(multi, CURLMOPT_TIMERDATA, client) == CURLM_OK &&
           client->curl.multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, client->per_host) == CURLM_OK &&
           client->curl.multi_setopt(multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS) == CURLM_OK;
}

bool tide_client_open(struct tide_http_client *client, struct tide_err *err)
{
    if (client->multi)
        return true;
    if (!tide_curl_load(&client->curl, err))
        return false;
    if (set_up_multi(client))
        return true;
    client->curl.multi_cleanup(client->multi);
    client->multi = NULL;
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "HTTP client: out of memory");
}

/* Handles are made once and used for many requests. */
CURL *tide_client_easy(struct tide_http_client *client)
{
    return client->spare_count ? client->spare[--client->spare_count] : client->curl.easy_init();
}

void tide_client_recycle(struct tide_http_client *client, CURL *easy)
{
    if (client->spare_count == TIDE_CLIENT_SPARE || client->closing) {
        client->curl.easy_cleanup(easy);
        return;
    }
    client->curl.easy_reset(easy);
    client->spare[client->spare_count++] = easy;
}

/* ---- the client ---- */

static void release(struct tide_http_client *client)
{
    free(client->user_agent);
    free(client->ca_file);
    free(client);
}

struct tide_http_client *tide_http_client_new(uv_loop_t *loop, const struct tide_http_client_config *config,
                                              struct tide_err *err)
{
    static const struct tide_http_client_config defaults;
    struct tide_http_client *client = calloc(1, sizeof *client);

    config = config ? config : &defaults;
    if (client) {
        client->loop = loop;
        client->max_pending = config->requests ? config->requests : 1024;
        client->per_host = config->connections_per_host ? (long)config->connections_per_host : 64;
        client->due_end = &client->due;
        client->user_agent = strdup(config->user_agent ? config->user_agent : "tidemill/" TIDE_VERSION);
        client->ca_file = config->ca_file ? strdup(config->ca_file) : NULL;
    }
    if (client && client->user_agent && (client->ca_file || !config->ca_file)) {
        uv_timer_init(loop, &client->timer);
        client->timer.data = client;
        return client;
    }
    if (client)
        release(client);
    tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "HTTP client: out of memory");
    return NULL;
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void tide_http_client_free(struct tide_http_client *client)
{
    struct tide_err err;

    if (!client)
        return;
    assert(!client->draining);
    client->closing = true;
    tide_err_set(&err, TIDE_ERR_CANCELED, false, "the HTTP client is closing");
    while (client->fetches) {
        tide_fetch_fail(client->fetches, &err);
        tide_client_drain(client);
    }
    while (client->spare_count)
        client->curl.easy_cleanup(client->spare[--client->spare_count]);
    if (client->multi)
        client->curl.multi_cleanup(client->multi);
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}

size_t tide_http_client_pending(const struct tide_http_client *client)
{
    return client->pending;
}
