#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <netdb.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/client.h"
#include "tiny_server.h"

/* Takes the place of the C library's: "slow.test" is looked up for 3 s. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    if (node && strcmp(node, "slow.test") == 0) {
        usleep(3000000);
        return EAI_NONAME;
    }
    if (node && strcmp(node, "none.test") == 0)
        return EAI_NONAME;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, found);
}

struct world {
    uv_loop_t loop;
    struct tiny_server server;
    struct tide_http_client *client;
    uv_timer_t tick; /* so that no turn of the loop waits for ever, when all is done already */
};

/* What became of a request. */
struct outcome {
    struct world *world;
    struct tide_fetch *fetch;
    int heads, dones, status;
    struct tide_err err;
    struct tide_buf body;
    char type[64], two[64], late[64];
    size_t header_count;
    struct tide_sink *sink, *sink_back; /* given, returned */
    bool cancel_in_head;
};

static void on_done(void *arg, const struct tide_fetch_response *response, const struct tide_err *err)
{
    struct outcome *o = arg;
    const char *value;

    o->dones++;
    if (err) {
        assert_null(response);
        assert_true(err->message[0] != '\0');
        o->err = *err;
        return;
    }
    o->status = response->status;
    o->header_count = response->header_count;
    o->sink_back = response->sink;
    tide_buf_append(&o->body, response->body, response->body_len);
    if ((value = tide_fetch_header(response, "content-type")))
        snprintf(o->type, sizeof o->type, "%s", value);
    if ((value = tide_fetch_header(response, "x-two")))
        snprintf(o->two, sizeof o->two, "%s", value);
    if ((value = tide_fetch_header(response, "x-late")) || (value = tide_fetch_header(response, "x-early")))
        snprintf(o->late, sizeof o->late, "%s", value);
}

static struct tide_sink *on_head(void *arg, const struct tide_fetch_response *response)
{
    struct outcome *o = arg;

    o->heads++;
    o->status = response->status;
    if (o->cancel_in_head)
        tide_fetch_cancel(o->fetch);
    return o->sink;
}

static const char *url_of(struct world *world, const char *path)
{
    static char url[16384];

    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", world->server.port, path);
    return url;
}

static struct tide_fetch_request request_for(struct world *world, const char *path)
{
    return (struct tide_fetch_request){.method = "GET", .url = url_of(world, path)};
}

static void begin(struct world *world, struct tide_fetch_request request, struct outcome *o)
{
    struct tide_err err = {0};

    o->world = world;
    tide_buf_init(&o->body, 64 << 20);
    request.on_done = on_done;
    request.arg = o;
    o->fetch = tide_fetch_start(world->client, &request, &err);
    if (!o->fetch)
        fail_msg("%s", err.message);
    assert_int_equal(o->dones, 0);
}

static void run_until(struct world *world, const int *done)
{
    int64_t deadline = tide_clock_monotonic_ms() + 10000;

    while (!*done && tide_clock_monotonic_ms() < deadline)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_true(*done);
}

/* Runs one request to its end. The outcome's body is released by drop. */
static struct outcome fetch(struct world *world, struct tide_fetch_request request)
{
    struct outcome o = {0};

    begin(world, request, &o);
    run_until(world, &o.dones);
    assert_int_equal(o.dones, 1);
    return o;
}

static void drop(struct outcome *o)
{
    tide_buf_release(&o->body);
}

static void run_for(struct world *world, int64_t ms)
{
    int64_t end = tide_clock_monotonic_ms() + ms;

    while (tide_clock_monotonic_ms() < end) {
        uv_run(&world->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct tide_err err;

    uv_loop_init(&world->loop);
    uv_timer_init(&world->loop, &world->tick);
    uv_timer_start(&world->tick, on_tick, 5, 5);
    tiny_start(&world->server, &world->loop);
    world->client = tide_http_client_new(&world->loop, NULL, &err);
    *state = world;
    return world->client ? 0 : -1;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    int rc;

    tide_http_client_free(world->client);
    tiny_stop(&world->server);
    uv_close((uv_handle_t *)&world->tick, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    rc = uv_loop_close(&world->loop); /* fails on a handle left open */
    free(world);
    return rc;
}

static void gets(void **state)
{
    struct world *world = *state;
    struct outcome o = fetch(world, request_for(world, "/hello"));

    assert_null(o.err.code);
    assert_int_equal(o.status, 200);
    assert_string_equal(o.body.data, "hello");
    assert_string_equal(o.type, "text/plain");
    assert_string_equal(o.two, "spaces");
    assert_int_equal(o.header_count, 3);
    assert_non_null(strstr(world->server.last, "GET /hello HTTP/1.1\r\n"));
    assert_non_null(strstr(world->server.last, "User-Agent: tidemill/"));
    assert_null(strstr(world->server.last, "Content-Type"));
    assert_int_equal(tide_http_client_pending(world->client), 0);
    drop(&o);
}

static void a_status_is_no_error(void **state)
{
    struct outcome o = fetch(*state, request_for(*state, "/nothing"));

    assert_null(o.err.code);
    assert_int_equal(o.status, 404);
    assert_string_equal(o.body.data, "no");
    drop(&o);
    o = fetch(*state, request_for(*state, "/none"));
    assert_int_equal(o.status, 204);
    assert_int_equal(o.body.len, 0);
    drop(&o);
}

static void posts_bytes_and_headers(void **state)
{
    static const struct tide_http_header headers[] = {
        {"Authorization", "Bearer x.y.z"}, {"X-Empty", ""}, {"Content-Type", "application/json"}};
    struct tide_fetch_request request = request_for(*state, "/echo");
    struct outcome o;

    request.method = "POST";
    request.headers = headers;
    request.header_count = 3;
    request.body = "{\"a\":\"\0\"}";
    request.body_len = 9;
    o = fetch(*state, request);
    assert_int_equal(o.status, 200);
    assert_non_null(strstr(o.body.data, "POST /echo HTTP/1.1\r\n"));
    assert_non_null(strstr(o.body.data, "Authorization: Bearer x.y.z\r\n"));
    assert_non_null(strstr(o.body.data, "X-Empty:"));
    assert_non_null(strstr(o.body.data, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(o.body.data, "Content-Length: 9\r\n"));
    assert_memory_equal(o.body.data + o.body.len - 9, "{\"a\":\"\0\"}", 9);
    drop(&o);
}

static void speaks_other_methods(void **state)
{
    static const struct {
        const char *method, *body, *line;
        bool length;
    } cases[] = {
        {"DELETE", NULL, "DELETE /echo", false}, {"PUT", NULL, "PUT /echo", true},
        {"PUT", "x", "PUT /echo", true},         {"POST", NULL, "POST /echo", true},
        {"PATCH", "x", "PATCH /echo", true},     {"OPTIONS", NULL, "OPTIONS /echo", false},
        {"DELETE", "x", "DELETE /echo", true},
    };
    struct tide_fetch_request request = request_for(*state, "/echo");
    struct outcome o;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        request.method = cases[i].method;
        request.body = cases[i].body;
        request.body_len = cases[i].body ? 1 : 0;
        o = fetch(*state, request);
        assert_null(o.err.code);
        assert_memory_equal(o.body.data, cases[i].line, strlen(cases[i].line));
        assert_int_equal(strstr(o.body.data, "Content-Length: ") != NULL, cases[i].length);
        assert_null(strstr(o.body.data, "Expect"));
        assert_null(strstr(o.body.data, "urlencoded"));
        drop(&o);
    }
    request = request_for(*state, "/big/1000");
    request.method = "HEAD";
    request.max_response = 10;
    o = fetch(*state, request);
    assert_null(o.err.code);
    assert_int_equal(o.status, 200);
    assert_int_equal(o.body.len, 0);
    drop(&o);
}

static void keeps_connections(void **state)
{
    struct world *world = *state;
    int i;

    for (i = 0; i < 20; i++) {
        struct outcome o = fetch(world, request_for(world, "/hello"));

        assert_int_equal(o.status, 200);
        drop(&o);
    }
    assert_int_equal(world->server.requests, 20);
    assert_int_equal(world->server.connections, 1);
}

static void a_dead_kept_connection_is_replaced(void **state)
{
    struct world *world = *state;
    struct outcome o = fetch(world, request_for(world, "/doom"));

    drop(&o);
    run_for(world, 20);
    o = fetch(world, request_for(world, "/hello"));
    assert_null(o.err.code);
    assert_int_equal(world->server.connections, 2);
    drop(&o);
}

static void many_at_once(void **state)
{
    struct world *world = *state;
    static struct outcome all[200];
    int i;

    memset(all, 0, sizeof all);
    for (i = 0; i < 200; i++)
        begin(world, request_for(world, i % 2 ? "/hello" : "/echo"), &all[i]);
    assert_int_equal(tide_http_client_pending(world->client), 200);
    for (i = 0; i < 200; i++) {
        run_until(world, &all[i].dones);
        assert_int_equal(all[i].status, 200);
        drop(&all[i]);
    }
    assert_in_range(world->server.connections, 2, 64);
}

static void refuses_more_than_its_share(void **state)
{
    struct world *world = *state;
    struct tide_http_client_config config = {.requests = 2};
    struct tide_err err;
    struct tide_http_client *small = tide_http_client_new(&world->loop, &config, &err), *old = world->client;
    struct tide_fetch_request request = request_for(world, "/hello");
    struct outcome a = {0}, b = {0};

    world->client = small;
    begin(world, request, &a);
    begin(world, request, &b);
    assert_null(tide_fetch_start(small, &request, &err));
    assert_string_equal(err.code, TIDE_ERR_UNAVAILABLE);
    assert_true(err.retryable);
    run_until(world, &a.dones);
    run_until(world, &b.dones);
    drop(&a);
    drop(&b);
    tide_http_client_free(small);
    world->client = old;
}

static void expect_failure(struct world *world, struct tide_fetch_request request, const char *code,
                           bool retryable)
{
    struct outcome o = fetch(world, request);

    if (!o.err.code || strcmp(o.err.code, code) != 0 || o.err.retryable != retryable)
        fail_msg("%s: %s, %s", request.url, o.err.code ? o.err.code : "no error", o.err.message);
    assert_int_equal(tide_http_client_pending(world->client), 0);
    drop(&o);
}

static void failures_have_codes(void **state)
{
    struct world *world = *state;
    struct tide_fetch_request request = request_for(world, "/x");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char url[64];

    /* A port that is bound and does not listen refuses. */
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    request.url = url;
    expect_failure(world, request, TIDE_ERR_UNAVAILABLE, true);
    close(fd);
    request.url = "http://none.test/";
    expect_failure(world, request, TIDE_ERR_UNAVAILABLE, true);
    expect_failure(world, request_for(world, "/reset"), TIDE_ERR_UNAVAILABLE, true);
    expect_failure(world, request_for(world, "/cut"), TIDE_ERR_UNAVAILABLE, true);
    expect_failure(world, request_for(world, "/garbage"), TIDE_ERR_UNAVAILABLE, true);
    expect_failure(world, request_for(world, "/headers/200"), TIDE_ERR_TOO_LARGE, false);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/hello", world->server.port);
    request.url = url;
    request.timeout_ms = 500; /* not TLS */
    request.connect_timeout_ms = 500;
    expect_failure(world, request, TIDE_ERR_TIMEOUT, true);
}

static void messages_keep_secrets(void **state)
{
    struct outcome o = fetch(*state, request_for(*state, "/cut?token=secret"));

    assert_null(strstr(o.err.message, "secret"));
    drop(&o);
    o = fetch(*state, request_for(*state, "/cut"));
    assert_non_null(strstr(o.err.message, "http://127.0.0.1:"));
    drop(&o);
}

static void waits_no_longer_than_told(void **state)
{
    static const char *const paths[] = {"/never", "/stall"};
    struct tide_fetch_request request;
    size_t i;

    for (i = 0; i < 2; i++) {
        int64_t start = tide_clock_monotonic_ms();

        request = request_for(*state, paths[i]);
        request.timeout_ms = 200;
        expect_failure(*state, request, TIDE_ERR_TIMEOUT, true);
        assert_in_range(tide_clock_monotonic_ms() - start, 190, 1500);
    }
}

/* Looking up a name may take for ever; neither a timeout nor a cancel may wait for that. */
static void a_slow_lookup_does_not_stop_the_loop(void **state)
{
    struct world *world = *state;
    int64_t start = tide_clock_monotonic_ms();
    struct tide_fetch_request request = {.method = "GET", .url = "http://slow.test/", .timeout_ms = 200};
    struct outcome o = {0};

    expect_failure(world, request, TIDE_ERR_TIMEOUT, true);
    begin(world, request, &o);
    run_for(world, 50);
    tide_fetch_cancel(o.fetch);
    drop(&o);
    o = fetch(world, request_for(world, "/hello"));
    assert_int_equal(o.status, 200);
    drop(&o);
    assert_in_range(tide_clock_monotonic_ms() - start, 200, 2000);
    usleep(3200000); /* or the lookups' threads look like leaks */
}

static void bounds_the_response(void **state)
{
    struct tide_fetch_request request = request_for(*state, "/big/1000");
    struct outcome o;

    request.max_response = 999;
    expect_failure(*state, request, TIDE_ERR_TOO_LARGE, false);
    request.url = url_of(*state, "/unending/1000");
    expect_failure(*state, request, TIDE_ERR_TOO_LARGE, false);
    request.url = url_of(*state, "/big/5000000");
    request.max_response = 0;
    expect_failure(*state, request, TIDE_ERR_TOO_LARGE, false);
    request.max_response = -1; /* no limit, but no sink either */
    expect_failure(*state, request, TIDE_ERR_TOO_LARGE, false);
    request.url = url_of(*state, "/unending/1000");
    request.max_response = 1000;
    o = fetch(*state, request);
    assert_int_equal(o.body.len, 1000);
    drop(&o);
}

static void follows_redirects_when_told(void **state)
{
    struct world *world = *state;
    struct tide_fetch_request request = request_for(world, "/redirect/3");
    struct outcome o = fetch(world, request);

    assert_int_equal(o.status, 302);
    assert_string_equal(o.body.data, "gone");
    drop(&o);
    request.max_redirects = 3;
    o = fetch(world, request);
    assert_int_equal(o.status, 200);
    assert_string_equal(o.body.data, "hello");
    assert_int_equal(o.header_count, 3);
    drop(&o);
    request.max_redirects = 2;
    expect_failure(world, request, TIDE_ERR_INVALID, false);
    request.max_redirects = 5;
    request.url = url_of(world, "/to/ftp://127.0.0.1/x");
    expect_failure(world, request, TIDE_ERR_INVALID, false);
    request.url = url_of(world, "/to/file:///etc/passwd");
    expect_failure(world, request, TIDE_ERR_INVALID, false);
    request.url = url_of(world, "/to//echo");
    request.method = "POST";
    request.body = "secret";
    request.body_len = 6;
    o = fetch(world, request);
    assert_non_null(strstr(world->server.last, "GET /echo"));
    assert_null(strstr(world->server.last, "secret"));
    drop(&o);
}

static void ignores_trailers_and_early_hints(void **state)
{
    struct outcome o = fetch(*state, request_for(*state, "/trailer"));

    assert_int_equal(o.status, 200);
    assert_string_equal(o.body.data, "abc");
    assert_string_equal(o.late, "");
    drop(&o);
}

static void refuses_bad_requests(void **state)
{
    static const struct tide_http_header bad_headers[] = {
        {"X", "a\r\nY: b"},
        {"X", "a\nb"},
        {"X", "a\x01"},
        {"X\r\nY", "b"},
        {"X Y", "b"},
        {"", "b"},
        {"X:", "b"},
        {"@f", "b"},
        {"Content-Length", "3"},
        {"transfer-encoding", "chunked"},
        {"Connection", "close"},
        {"Expect", ""},
    };
    static const char *const bad_urls[] = {"",
                                           "hello",
                                           "/hello",
                                           "ftp://127.0.0.1/",
                                           "file:///etc/passwd",
                                           "gopher://127.0.0.1/",
                                           "http://",
                                           "http:///x",
                                           "http://u:p@127.0.0.1/",
                                           "http://u@127.0.0.1/",
                                           "http://127.0.0.1:99999/",
                                           "http://127.0.0.1/a b",
                                           "http://127.0.0.1/a\r\nX: y",
                                           "http://127.0.0.1\n/",
                                           "http://[::1/",
                                           "http://a b/"};
    static const char *const bad_methods[] = {"",        "GE T",  "GET\r\nX: y",
                                              "CONNECT", "TRACE", "AAAAAAAAAAAAAAAAAAAAAAAAA"};
    struct world *world = *state;
    struct tide_fetch_request request = request_for(world, "/hello");
    char long_url[TIDE_FETCH_MAX_URL + 64];
    struct tide_err err;
    size_t i;

    request.header_count = 1;
    for (i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
        request.headers = &bad_headers[i];
        assert_null(tide_fetch_start(world->client, &request, &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
    }
    request.header_count = 0;
    for (i = 0; i < sizeof bad_urls / sizeof *bad_urls; i++) {
        request.url = bad_urls[i];
        if (tide_fetch_start(world->client, &request, &err))
            fail_msg("accepted %s", bad_urls[i]);
        assert_string_equal(err.code, TIDE_ERR_INVALID);
    }
    memset(long_url, 'a', sizeof long_url);
    memcpy(long_url, "http://127.0.0.1/", 17);
    long_url[sizeof long_url - 1] = '\0';
    request.url = long_url;
    assert_null(tide_fetch_start(world->client, &request, &err));
    request = request_for(world, "/hello");
    for (i = 0; i < sizeof bad_methods / sizeof *bad_methods; i++) {
        request.method = bad_methods[i];
        assert_null(tide_fetch_start(world->client, &request, &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
    }
    request.method = "GET";
    request.body = "x";
    request.body_len = 1;
    assert_null(tide_fetch_start(world->client, &request, &err));
    request.body_len = 0;
    request.max_redirects = 6;
    assert_null(tide_fetch_start(world->client, &request, &err));
    request.max_redirects = 1;
    request.method = "PUT";
    assert_null(tide_fetch_start(world->client, &request, &err));
    assert_int_equal(world->server.requests, 0);
    assert_int_equal(tide_http_client_pending(world->client), 0);
}

static void cancels_in_flight(void **state)
{
    struct world *world = *state;
    static const int waits[] = {0, 30};
    int i;

    for (i = 0; i < 2; i++) {
        struct outcome o = {0};

        begin(world, request_for(world, i ? "/stall" : "/never"), &o);
        run_for(world, waits[i]);
        tide_fetch_cancel(o.fetch);
        assert_int_equal(tide_http_client_pending(world->client), 0);
        run_for(world, 30);
        assert_int_equal(o.dones, 0);
        assert_null(world->server.conns); /* its connection was closed */
        drop(&o);
    }
}

static void freeing_the_client_ends_requests(void **state)
{
    struct world *world = *state;
    struct tide_err err;
    struct outcome a = {0}, b = {0};

    begin(world, request_for(world, "/never"), &a);
    run_for(world, 30);
    begin(world, request_for(world, "/hello"), &b);
    tide_http_client_free(world->client);
    assert_int_equal(a.dones, 1);
    assert_string_equal(a.err.code, TIDE_ERR_CANCELED);
    assert_string_equal(b.err.code, TIDE_ERR_CANCELED);
    world->client = tide_http_client_new(&world->loop, NULL, &err);
    drop(&a);
    drop(&b);
}

/* ---- streams ---- */

/* A sink that takes each piece a moment later, or fails, or never answers. */
struct slow_sink {
    struct tide_sink sink;
    uv_timer_t timer;
    int delay_ms, fail_after, writes, closed;
    size_t taken, largest;
    tide_write_cb *cb;
    void *arg;
    bool in_order;
};

static void sink_tick(uv_timer_t *timer)
{
    struct slow_sink *s = timer->data;
    struct tide_err err;

    tide_err_set(&err, TIDE_ERR_FULL, true, "the sink is full");
    s->cb(s->arg, s->fail_after && s->writes >= s->fail_after ? &err : NULL);
}

static void sink_write(struct tide_sink *sink, const void *data, size_t len, tide_write_cb *cb, void *arg)
{
    struct slow_sink *s = (struct slow_sink *)sink;
    size_t i;

    for (i = 0; i < len; i++)
        if (((const char *)data)[i] != (char)('a' + (s->taken + i) % 26))
            s->in_order = false;
    s->taken += len;
    s->writes++;
    if (len > s->largest)
        s->largest = len;
    s->cb = cb;
    s->arg = arg;
    if (s->delay_ms == 0)
        cb(arg, NULL);
    else if (s->delay_ms > 0)
        uv_timer_start(&s->timer, sink_tick, (uint64_t)s->delay_ms, 0);
}

static void sink_close(struct tide_sink *sink)
{
    struct slow_sink *s = (struct slow_sink *)sink;

    s->closed++;
    uv_timer_stop(&s->timer);
}

static const struct tide_sink_ops sink_ops = {.write = sink_write, .close = sink_close};

static void sink_init(struct slow_sink *s, struct world *world, int delay_ms)
{
    memset(s, 0, sizeof *s);
    s->sink.ops = &sink_ops;
    s->delay_ms = delay_ms;
    s->in_order = true;
    uv_timer_init(&world->loop, &s->timer);
    s->timer.data = s;
}

static void sink_drop(struct slow_sink *s)
{
    uv_close((uv_handle_t *)&s->timer, NULL);
    uv_run(s->timer.loop, UV_RUN_NOWAIT);
}

static void streams_into_a_sink(void **state)
{
    static const int delays[] = {0, 1};
    struct world *world = *state;
    size_t i;

    for (i = 0; i < 2; i++) {
        struct tide_fetch_request request = request_for(world, "/big/3000000");
        struct slow_sink s;
        struct outcome o = {0};

        sink_init(&s, world, delays[i]);
        o.sink = &s.sink;
        request.on_head = on_head;
        request.max_response = -1;
        begin(world, request, &o);
        run_until(world, &o.dones);
        assert_null(o.err.code);
        assert_int_equal(o.heads, 1);
        assert_ptr_equal(o.sink_back, &s.sink);
        assert_int_equal(s.closed, 0);
        assert_int_equal(s.taken, 3000000);
        assert_true(s.in_order);
        assert_in_range(s.largest, 1, 128 * 1024);
        assert_int_equal(o.body.len, 0);
        sink_drop(&s);
        drop(&o);
    }
}

static void a_sink_gets_no_more_than_the_limit(void **state)
{
    struct world *world = *state;
    struct tide_fetch_request request = request_for(world, "/unending/1000000");
    struct slow_sink s;
    struct outcome o = {0};

    sink_init(&s, world, 0);
    o.sink = &s.sink;
    request.on_head = on_head;
    request.max_response = 500000;
    begin(world, request, &o);
    run_until(world, &o.dones);
    assert_string_equal(o.err.code, TIDE_ERR_TOO_LARGE);
    assert_in_range(s.taken, 0, 500000);
    assert_int_equal(s.closed, 1);
    sink_drop(&s);
    drop(&o);
}

static void a_failing_sink_fails_the_request(void **state)
{
    struct world *world = *state;
    struct tide_fetch_request request = request_for(world, "/big/3000000");
    struct slow_sink s;
    struct outcome o = {0};

    sink_init(&s, world, 1);
    s.fail_after = 2;
    o.sink = &s.sink;
    request.on_head = on_head;
    begin(world, request, &o);
    run_until(world, &o.dones);
    assert_string_equal(o.err.code, TIDE_ERR_FULL);
    assert_int_equal(s.closed, 1);
    assert_int_equal(s.writes, 2);
    sink_drop(&s);
    drop(&o);
}

static void a_stuck_sink_is_timed_out_and_canceled(void **state)
{
    struct world *world = *state;
    struct tide_fetch_request request = request_for(world, "/big/3000000");
    struct slow_sink s;
    struct outcome o = {0};

    sink_init(&s, world, -1);
    o.sink = &s.sink;
    request.on_head = on_head;
    request.timeout_ms = 200;
    begin(world, request, &o);
    run_until(world, &o.dones);
    assert_string_equal(o.err.code, TIDE_ERR_TIMEOUT);
    assert_int_equal(s.closed, 1);
    request.timeout_ms = 0;
    drop(&o);
    memset(&o, 0, sizeof o);
    o.sink = &s.sink;
    begin(world, request, &o);
    run_until(world, &o.heads);
    run_for(world, 20);
    assert_int_equal(s.writes, 2);
    assert_in_range(s.largest, 1, 256 * 1024);
    tide_fetch_cancel(o.fetch);
    assert_int_equal(s.closed, 2);
    assert_int_equal(o.dones, 0);
    sink_drop(&s);
    drop(&o);
}

static void cancels_in_its_own_head(void **state)
{
    struct world *world = *state;
    struct tide_fetch_request request = request_for(world, "/big/3000000");
    struct slow_sink s;
    struct outcome o = {.cancel_in_head = true};

    sink_init(&s, world, 0);
    o.sink = &s.sink;
    request.on_head = on_head;
    begin(world, request, &o);
    run_until(world, &o.heads);
    run_for(world, 20);
    assert_int_equal(o.dones, 0);
    assert_int_equal(s.writes, 0);
    assert_int_equal(s.closed, 1);
    sink_drop(&s);
    drop(&o);
}

static void on_head_may_want_the_body_collected(void **state)
{
    struct tide_fetch_request request = request_for(*state, "/big/100000");
    struct outcome o;

    request.on_head = on_head;
    o = fetch(*state, request);
    assert_int_equal(o.heads, 1);
    assert_int_equal(o.body.len, 100000);
    drop(&o);
    request.url = url_of(*state, "/none");
    o = fetch(*state, request);
    assert_int_equal(o.heads, 1);
    assert_int_equal(o.status, 204);
    drop(&o);
}

/* A source of `left` bytes that comes in pieces, a moment later each; fails at the end or never answers. */
struct slow_source {
    struct tide_source source;
    uv_timer_t timer;
    int delay_ms, closed;
    size_t left, piece;
    bool fails;
    void *buf;
    tide_read_cb *cb;
    void *arg;
};

static void source_tick(uv_timer_t *timer)
{
    struct slow_source *s = timer->data;
    size_t n = s->left < s->piece ? s->left : s->piece;
    struct tide_err err;

    tide_err_set(&err, TIDE_ERR_CANCELED, false, "the client went away");
    memset(s->buf, 'b', n);
    s->left -= n;
    if (n == 0 && s->fails)
        s->cb(s->arg, -1, &err);
    else
        s->cb(s->arg, (ssize_t)n, NULL);
}

static void source_read(struct tide_source *source, void *buf, size_t cap, tide_read_cb *cb, void *arg)
{
    struct slow_source *s = (struct slow_source *)source;

    if (s->piece > cap)
        s->piece = cap;
    s->buf = buf;
    s->cb = cb;
    s->arg = arg;
    if (s->delay_ms == 0)
        source_tick(&s->timer);
    else if (s->delay_ms > 0)
        uv_timer_start(&s->timer, source_tick, (uint64_t)s->delay_ms, 0);
}

static void source_close(struct tide_source *source)
{
    struct slow_source *s = (struct slow_source *)source;

    s->closed++;
    uv_timer_stop(&s->timer);
}

static const struct tide_source_ops source_ops = {.read = source_read, .close = source_close};

static void source_init(struct slow_source *s, struct world *world, size_t len, int64_t announced,
                        int delay_ms)
{
    memset(s, 0, sizeof *s);
    s->source.ops = &source_ops;
    s->source.length = announced;
    s->left = len;
    s->piece = 20000;
    s->delay_ms = delay_ms;
    uv_timer_init(&world->loop, &s->timer);
    s->timer.data = s;
}

static void source_drop(struct slow_source *s)
{
    assert_int_equal(s->closed, 1);
    uv_close((uv_handle_t *)&s->timer, NULL);
    uv_run(s->timer.loop, UV_RUN_NOWAIT);
}

static void streams_from_a_source(void **state)
{
    static const struct {
        int64_t announced;
        int delay_ms;
        size_t len;
        const char *head;
    } cases[] = {{1500000, 0, 1500000, "Content-Length: 1500000\r\n"},
                 {300000, 1, 300000, "Content-Length: 300000\r\n"},
                 {-1, 0, 300000, "Transfer-Encoding: chunked\r\n"},
                 {-1, 1, 300000, "Transfer-Encoding: chunked\r\n"},
                 {0, 0, 0, "Content-Length: 0\r\n"}};
    struct world *world = *state;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tide_fetch_request request = request_for(world, "/echo");
        struct slow_source s;
        struct outcome o;

        source_init(&s, world, cases[i].len, cases[i].announced, cases[i].delay_ms);
        request.method = "POST";
        request.source = &s.source;
        request.max_response = 4 << 20;
        o = fetch(world, request);
        assert_null(o.err.code);
        assert_int_equal(o.status, 200);
        assert_memory_equal(o.body.data, "POST /echo", 10);
        assert_non_null(strstr(o.body.data, cases[i].head));
        assert_true(o.body.len > cases[i].len);
        source_drop(&s);
        drop(&o);
    }
}

static void failing_sources_fail_the_request(void **state)
{
    static const struct {
        int64_t announced;
        size_t len;
        bool fails;
        const char *code;
    } cases[] = {{-1, 50000, true, TIDE_ERR_CANCELED},
                 {100000, 50000, true, TIDE_ERR_CANCELED},
                 {100000, 50000, false, TIDE_ERR_INTERNAL},
                 {30000, 50000, false, TIDE_ERR_INTERNAL}};
    struct world *world = *state;
    size_t i;
    int delay;

    for (i = 0; i < 8; i++) {
        struct tide_fetch_request request = request_for(world, "/echo");
        struct slow_source s;
        struct outcome o;

        delay = (int)(i & 1);
        source_init(&s, world, cases[i / 2].len, cases[i / 2].announced, delay);
        s.fails = cases[i / 2].fails;
        request.method = "PUT";
        request.source = &s.source;
        o = fetch(world, request);
        if (!o.err.code || strcmp(o.err.code, cases[i / 2].code) != 0)
            fail_msg("case %zu: %s", i, o.err.code ? o.err.message : "no error");
        source_drop(&s);
        drop(&o);
    }
    assert_int_equal(world->server.requests, 0); /* none was complete */
}

static void a_stuck_source_is_timed_out_and_canceled(void **state)
{
    struct world *world = *state;
    struct tide_fetch_request request = request_for(world, "/echo");
    struct slow_source s;
    struct outcome o = {0};

    source_init(&s, world, 1000, 1000, -1);
    request.method = "POST";
    request.source = &s.source;
    request.timeout_ms = 200;
    expect_failure(world, request, TIDE_ERR_TIMEOUT, true);
    source_drop(&s);
    source_init(&s, world, 1000, 1000, -1);
    request.timeout_ms = 0;
    begin(world, request, &o);
    run_for(world, 30);
    tide_fetch_cancel(o.fetch);
    source_drop(&s);
    drop(&o);
    /* A refused request leaves the source with its owner. */
    source_init(&s, world, 1000, 1000, -1);
    request.url = "nonsense";
    assert_null(tide_fetch_start(world->client, &request, &(struct tide_err){0}));
    assert_int_equal(s.closed, 0);
    source_close(&s.source);
    source_drop(&s);
}

/* ---- cost ---- */

struct load {
    struct world *world;
    int left, running, failed;
};

static void load_more(struct load *load);

static void load_done(void *arg, const struct tide_fetch_response *response, const struct tide_err *err)
{
    struct load *load = arg;

    load->running--;
    load->failed += err || response->status != 200;
    load_more(load);
}

static void load_more(struct load *load)
{
    static const struct tide_http_header headers[] = {
        {"Authorization", "Bearer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}};
    struct tide_fetch_request request = {
        .method = "POST", .headers = headers, .header_count = 1, .arg = load};

    if (load->left == 0)
        return;
    load->left--;
    load->running++;
    request.url = url_of(load->world, "/hello");
    request.on_done = load_done;
    if (!tide_fetch_start(load->world->client, &request, NULL))
        load->failed++;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Each upload costs one request to auth; the bound is loose, for busy machines and sanitizers. */
static void requests_are_cheap(void **state)
{
    enum { COUNT = 10000, AT_ONCE = 16 };
    struct world *world = *state;
    int ports[2], i;
    struct load load = {.world = world, .left = COUNT};
    int64_t wall;
    double cpu;
    pid_t pid;

    assert_int_equal(pipe(ports), 0);
    pid = fork();
    if (pid == 0) {
        static struct tiny_server server;
        uv_loop_t loop;

        uv_loop_init(&loop);
        tiny_start(&server, &loop);
        if (write(ports[1], &server.port, sizeof server.port) == sizeof server.port)
            uv_run(&loop, UV_RUN_DEFAULT);
        _exit(0);
    }
    assert_int_equal(read(ports[0], &world->server.port, sizeof world->server.port),
                     sizeof world->server.port);
    wall = tide_clock_monotonic_ms();
    cpu = cpu_seconds();
    for (i = 0; i < AT_ONCE; i++)
        load_more(&load);
    while (load.running > 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    cpu = cpu_seconds() - cpu;
    wall = tide_clock_monotonic_ms() - wall;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ports[0]);
    close(ports[1]);
    print_message("%d at once: %.0f requests/s, %.1f us CPU each\n", AT_ONCE,
                  COUNT * 1000.0 / (double)(wall ? wall : 1), cpu * 1e6 / COUNT);
    assert_int_equal(load.failed, 0);
    assert_true(cpu / COUNT < 1500e-6);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gets),
        TEST(a_status_is_no_error),
        TEST(posts_bytes_and_headers),
        TEST(speaks_other_methods),
        TEST(keeps_connections),
        TEST(a_dead_kept_connection_is_replaced),
        TEST(many_at_once),
        TEST(refuses_more_than_its_share),
        TEST(failures_have_codes),
        TEST(messages_keep_secrets),
        TEST(waits_no_longer_than_told),
        TEST(a_slow_lookup_does_not_stop_the_loop),
        TEST(bounds_the_response),
        TEST(follows_redirects_when_told),
        TEST(ignores_trailers_and_early_hints),
        TEST(refuses_bad_requests),
        TEST(cancels_in_flight),
        TEST(freeing_the_client_ends_requests),
        TEST(streams_into_a_sink),
        TEST(a_sink_gets_no_more_than_the_limit),
        TEST(a_failing_sink_fails_the_request),
        TEST(a_stuck_sink_is_timed_out_and_canceled),
        TEST(cancels_in_its_own_head),
        TEST(on_head_may_want_the_body_collected),
        TEST(streams_from_a_source),
        TEST(failing_sources_fail_the_request),
        TEST(a_stuck_source_is_timed_out_and_canceled),
        TEST(requests_are_cheap),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
