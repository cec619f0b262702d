/*
 * For the tests of the HTTP server: a server with a small application on a loop in a thread of its own, and a
 * client of raw sockets for the test's thread. Teardown fails when the server leaves a handle, a request or a
 * descriptor behind.
 */
#ifndef SPEC_HTTP_FIXTURE_H
#define SPEC_HTTP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "http/server.h"

struct fixture {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t wish;
    atomic_int wished; /* 1: quiesce, 2: close, 3: hand over */
    atomic_int handed_over, ended_next;
    struct tide_http_server *server;
    struct tide_http_limits limits;
    struct tide_metrics *metrics; /* NULL: none */
    int fd, port, descriptors;
    bool closed;
    int loop_result;
    uint64_t slow_read_ms; /* pause between two reads of /count */
    atomic_int started, gone, ended, sources_open;
    atomic_llong bytes_in, bytes_out; /* of the last request that ended */
    char gone_code[32];               /* what a read in flight failed with */
};

/* ---- the application ---- */

struct call {
    struct fixture *fixture;
    struct tide_http_request *request; /* NULL once over */
    uv_timer_t timer;
    bool timer_open;
    void (*then)(struct call *call);
    struct tide_source *source;
    struct tide_buf text;
    int64_t count;
    uint32_t hash;
    char buf[10000];
};

static int64_t number(const char *query, const char *name, int64_t otherwise)
{
    const char *found = strstr(query, name);

    return found ? atoll(found + strlen(name)) : otherwise;
}

static uint32_t hash_bytes(uint32_t hash, const char *data, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)data[i]) * 16777619U;
    return hash;
}

static void reply_text(struct tide_http_request *request, const char *text, size_t len)
{
    const struct tide_http_header headers[] = {{"Content-Type", "text/plain"}};
    const struct tide_http_response response = {
        .status = 200, .headers = headers, .header_count = 1, .body = text, .body_len = len};

    tide_http_respond(request, &response);
}

static void reply_err(struct call *call, const struct tide_err *err)
{
    int status = strcmp(err->code, TIDE_ERR_TOO_LARGE) == 0 ? 413 : 400;

    snprintf(call->fixture->gone_code, sizeof call->fixture->gone_code, "%s", err->code);
    tide_http_respond_problem(call->request, status, err->message, NULL, 0);
}

static void on_call_timer(uv_timer_t *timer)
{
    struct call *call = timer->data;

    call->then(call);
}

static void later(struct call *call, uint64_t ms, void (*then)(struct call *call))
{
    if (!call->timer_open)
        uv_timer_init(&call->fixture->loop, &call->timer);
    call->timer_open = true;
    call->timer.data = call;
    call->then = then;
    uv_timer_start(&call->timer, on_call_timer, ms, 0);
}

static void say_later(struct call *call)
{
    reply_text(call->request, "later", 5);
}

static void on_collected(void *arg, const char *data, size_t len, const struct tide_err *err)
{
    struct call *call = arg;

    if (err)
        reply_err(call, err);
    else
        reply_text(call->request, data, len);
}

static void collect(struct call *call)
{
    tide_http_body_collect(call->request, 1 << 20, on_collected, call);
}

static void on_first_collected(void *arg, const char *data, size_t len, const struct tide_err *err)
{
    (void)data;
    (void)len;
    (void)err;
    collect(arg);
}

static void collect_again(struct call *call)
{
    tide_http_body_cancel(call->request);
    collect(call);
}

/* From the first one's callback, or with ?cancel= while the first one waits. */
static void collect_twice(struct call *call, const char *query)
{
    tide_http_body_collect(call->request, 1 << 20, on_first_collected, call);
    if (strstr(query, "cancel="))
        later(call, (uint64_t)number(query, "cancel=", 0), collect_again);
}

static void read_next(struct call *call);

static void on_counted(void *arg, ssize_t n, const struct tide_err *err)
{
    struct call *call = arg;
    char text[64];

    if (n > 0) {
        call->count += n;
        call->hash = hash_bytes(call->hash, call->buf, (size_t)n);
        if (call->fixture->slow_read_ms)
            later(call, call->fixture->slow_read_ms, read_next);
        else
            read_next(call);
    } else if (n < 0) {
        reply_err(call, err);
    } else {
        snprintf(text, sizeof text, "%lld %08x", (long long)call->count, call->hash);
        reply_text(call->request, text, strlen(text));
    }
}

static void read_next(struct call *call)
{
    tide_source_read(call->source, call->buf, sizeof call->buf, on_counted, call);
}

static void close_call_source(struct call *call)
{
    if (call->source)
        tide_source_close(call->source);
    call->source = NULL;
}

static void on_part(void *arg, const struct tide_http_part *part, const struct tide_err *err);

static void on_part_bytes(void *arg, ssize_t n, const struct tide_err *err)
{
    struct call *call = arg;

    if (n < 0) {
        reply_err(call, err);
        return;
    }
    call->count += n;
    call->hash = hash_bytes(call->hash, call->buf, (size_t)n);
    if (n > 0) {
        tide_source_read(call->source, call->buf, sizeof call->buf, on_part_bytes, call);
        return;
    }
    tide_buf_printf(&call->text, "%lld %08x;", (long long)call->count, call->hash);
    tide_http_multipart_next(call->request, on_part, call);
}

static void on_part(void *arg, const struct tide_http_part *part, const struct tide_err *err)
{
    struct call *call = arg;
    const char *query = tide_http_request_query(call->request);

    if (err) {
        reply_err(call, err);
    } else if (!part) {
        reply_text(call->request, call->text.data, call->text.len);
    } else if (strcmp(query, "first") == 0) {
        call->source = part->source;
        tide_http_respond_problem(call->request, 400, "one look is enough", NULL, 0);
    } else {
        tide_buf_printf(&call->text, "%s|%s|%s:", part->name, part->filename ? part->filename : "-",
                        part->content_type ? part->content_type : "-");
        call->count = 0;
        call->hash = 2166136261U;
        close_call_source(call);
        call->source = part->source;
        if (strcmp(query, "skip") == 0)
            tide_http_multipart_next(call->request, on_part, call);
        else
            tide_source_read(call->source, call->buf, sizeof call->buf, on_part_bytes, call);
    }
}

/* A source of `left` bytes "0123456789...", at once or from a timer; fails at the end when told. */
struct numbers {
    struct tide_source source;
    struct fixture *fixture;
    int64_t at, left, fail_at;
    uv_timer_t timer;
    bool delayed;
    char *buf;
    size_t cap;
    tide_read_cb *cb;
    void *arg;
};

static void numbers_give(struct numbers *numbers)
{
    size_t n = numbers->cap < 70000 ? numbers->cap : 70000, i;
    struct tide_err err;

    if ((int64_t)n > numbers->left)
        n = (size_t)numbers->left;
    if (numbers->fail_at >= 0 && numbers->at >= numbers->fail_at) {
        tide_err_set(&err, TIDE_ERR_INTERNAL, false, "the source broke");
        numbers->cb(numbers->arg, -1, &err);
        return;
    }
    for (i = 0; i < n; i++)
        numbers->buf[i] = (char)('0' + (numbers->at + (int64_t)i) % 10);
    numbers->at += (int64_t)n;
    numbers->left -= (int64_t)n;
    numbers->cb(numbers->arg, (ssize_t)n, NULL);
}

static void on_numbers_timer(uv_timer_t *timer)
{
    numbers_give(timer->data);
}

static void numbers_read(struct tide_source *source, void *buf, size_t cap, tide_read_cb *cb, void *arg)
{
    struct numbers *numbers = (struct numbers *)source;

    numbers->buf = buf;
    numbers->cap = cap;
    numbers->cb = cb;
    numbers->arg = arg;
    if (numbers->delayed)
        uv_timer_start(&numbers->timer, on_numbers_timer, 1, 0);
    else
        numbers_give(numbers);
}

static void on_numbers_closed(uv_handle_t *handle)
{
    struct numbers *numbers = handle->data;

    atomic_fetch_sub(&numbers->fixture->sources_open, 1);
    free(numbers);
}

static void numbers_close(struct tide_source *source)
{
    uv_close((uv_handle_t *)&((struct numbers *)source)->timer, on_numbers_closed);
}

static void reply_numbers(struct call *call, const char *query)
{
    static const struct tide_source_ops ops = {.read = numbers_read, .close = numbers_close};
    struct numbers *numbers = calloc(1, sizeof *numbers);
    struct tide_http_response response = {.status = 200, .source = &numbers->source};

    numbers->fixture = call->fixture;
    numbers->source.ops = &ops;
    numbers->left = number(query, "n=", 0);
    numbers->source.length = strstr(query, "known") ? numbers->left : -1;
    numbers->fail_at = number(query, "fail=", -1);
    numbers->delayed = strstr(query, "delayed");
    uv_timer_init(&call->fixture->loop, &numbers->timer);
    numbers->timer.data = numbers;
    atomic_fetch_add(&call->fixture->sources_open, 1);
    tide_http_respond(call->request, &response);
}

static void reply_file(struct call *call, const char *query)
{
    char path[] = "/tmp/tide-http-XXXXXX", block[10000];
    struct tide_http_response response = {.status = 206, .fd = mkstemp(path)};
    int64_t size = number(query, "n=", 0), i;

    unlink(path);
    memset(block, 'f', sizeof block);
    for (i = 0; i < size; i += (int64_t)sizeof block)
        if (write(response.fd, block, sizeof block) < 0)
            abort();
    if (pwrite(response.fd, "BEGIN", 5, 100) < 0)
        abort();
    response.offset = 100;
    response.length = size - 200;
    tide_http_respond(call->request, &response);
}

static void add_seen(void *arg, const char *name, const char *value)
{
    tide_buf_printf(arg, "%s=%s;", name, value);
}

static void reply_facts(struct call *call, struct tide_http_request *request)
{
    const char *agent = tide_http_request_header(request, "x-A");

    tide_buf_printf(&call->text, "%s %s %s %s %s %s %lld ", tide_http_request_method(request),
                    tide_http_request_target(request), tide_http_request_path(request),
                    tide_http_request_query(request), tide_http_request_address(request),
                    agent ? agent : "none", (long long)tide_http_request_content_length(request));
    tide_http_request_headers(request, add_seen, &call->text);
    reply_text(request, call->text.data, call->text.len);
}

static void reply_bad_header(struct call *call, const char *query)
{
    const struct tide_http_header header = {strstr(query, "name") ? "X A" : "X-A",
                                            strstr(query, "value") ? "a\r\nSet-Cookie: b" : "a"};
    const struct tide_http_response response = {
        .status = 200, .headers = &header, .header_count = 1, .body = "x", .body_len = 1};

    tide_http_respond(call->request, &response);
}

static void reply_status(struct call *call, int status)
{
    const struct tide_http_response response = {.status = status};

    tide_http_respond(call->request, &response);
}

static void route(struct call *call, struct tide_http_request *request)
{
    const char *path = tide_http_request_path(request), *query = tide_http_request_query(request);

    if (strcmp(path, "/later") == 0)
        later(call, (uint64_t)number(query, "ms=", 5), say_later);
    else if (strcmp(path, "/no") == 0)
        tide_http_respond_problem(request, 403, "no", NULL, 0);
    else if (strcmp(path, "/echo") == 0)
        collect(call);
    else if (strcmp(path, "/echo-later") == 0)
        later(call, (uint64_t)number(query, "ms=", 5), collect);
    else if (strcmp(path, "/limit") == 0 && !tide_http_request_limit(request, 10))
        tide_http_respond_problem(request, 413, "more than 10", NULL, 0);
    else if (strcmp(path, "/limit") == 0)
        collect(call);
    else if (strcmp(path, "/count") == 0) {
        tide_http_request_limit(request, number(query, "limit=", 1LL << 40));
        call->source = tide_http_body_source(request);
        read_next(call);
    } else if (strcmp(path, "/parts") == 0) {
        tide_http_request_limit(request, 1LL << 40);
        tide_http_multipart_next(request, on_part, call);
    } else if (strcmp(path, "/numbers") == 0)
        reply_numbers(call, query);
    else if (strcmp(path, "/file") == 0)
        reply_file(call, query);
    else if (strcmp(path, "/twice") == 0) {
        call->source = tide_http_body_source(request);
        collect(call);
    } else if (strcmp(path, "/collect-twice") == 0)
        collect_twice(call, query);
    else if (strcmp(path, "/facts") == 0)
        reply_facts(call, request);
    else if (strcmp(path, "/bad-header") == 0)
        reply_bad_header(call, query);
    else if (strcmp(path, "/status") == 0)
        reply_status(call, (int)number(query, "s=", 200));
    else if (strcmp(path, "/never") != 0)
        reply_text(request, "hello", 5);
}

static void on_request(void *arg, struct tide_http_request *request)
{
    struct call *call = calloc(1, sizeof *call);

    call->fixture = arg;
    call->request = request;
    call->hash = 2166136261U;
    tide_buf_init(&call->text, 1 << 20);
    atomic_fetch_add(&call->fixture->started, 1);
    tide_http_request_set_user(request, call);
    route(call, request);
}

static void on_gone(void *arg, struct tide_http_request *request)
{
    struct fixture *fixture = arg;

    (void)request;
    atomic_fetch_add(&fixture->gone, 1);
}

static void free_call(struct call *call)
{
    close_call_source(call); /* perhaps long after on_end */
    tide_buf_release(&call->text);
    free(call);
}

static void on_call_closed(uv_handle_t *handle)
{
    free_call(handle->data);
}

static void on_end(void *arg, struct tide_http_request *request)
{
    struct fixture *fixture = arg;
    struct call *call = tide_http_request_user(request);

    atomic_store(&fixture->bytes_in, tide_http_request_bytes_in(request));
    atomic_store(&fixture->bytes_out, tide_http_request_bytes_out(request));
    if (call->timer_open)
        uv_close((uv_handle_t *)&call->timer, on_call_closed);
    else
        free_call(call);
    atomic_fetch_add(&fixture->ended, 1);
}

/* ---- the server ---- */

static void on_closed(void *arg)
{
    struct fixture *fixture = arg;

    fixture->closed = true;
    uv_close((uv_handle_t *)&fixture->wish, NULL);
}

static void on_next_request(void *arg, struct tide_http_request *request)
{
    (void)arg;
    reply_text(request, "next", 4);
}

static void on_next_end(void *arg, struct tide_http_request *request)
{
    struct fixture *fixture = arg;

    (void)request;
    atomic_fetch_add(&fixture->ended_next, 1);
}

/* To an application that answers everything alike. */
static void hand_over(struct fixture *fixture)
{
    tide_http_server_hand_over(fixture->server, &(struct tide_http_handler){.on_request = on_next_request,
                                                                            .on_end = on_next_end,
                                                                            .arg = fixture,
                                                                            .header = {"X-Version", "2"}});
    atomic_store(&fixture->handed_over, true);
}

static void on_wish(uv_async_t *wish)
{
    struct fixture *fixture = wish->data;

    switch (atomic_exchange(&fixture->wished, 0)) {
    case 1:
        tide_http_server_quiesce(fixture->server);
        break;
    case 3:
        hand_over(fixture);
        break;
    default:
        tide_http_server_close(fixture->server, on_closed, fixture);
    }
}

static void wish(struct fixture *fixture, int what)
{
    atomic_store(&fixture->wished, what);
    uv_async_send(&fixture->wish);
}

static void run_server(void *arg)
{
    struct fixture *fixture = arg;

    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    fixture->loop_result = uv_loop_close(&fixture->loop);
}

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static struct fixture *fixture_new(void)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    uv_loop_init(&fixture->loop); /* libuv's first loop opens descriptors that stay */
    uv_loop_close(&fixture->loop);
    fixture->descriptors = count_descriptors();
    tide_http_limits_default(&fixture->limits);
    return fixture;
}

static void fixture_start(struct fixture *fixture)
{
    struct tide_http_server_config config = {.name = "test",
                                             .limits = fixture->limits,
                                             .metrics = fixture->metrics,
                                             .handler = {on_request, on_gone, on_end, fixture}};
    struct tide_err err;

    if (!tide_http_listen("127.0.0.1:0", &fixture->fd, 1, &fixture->port, &err))
        fail_msg("%s", err.message);
    config.listen_fd = fixture->fd;
    uv_loop_init(&fixture->loop);
    uv_async_init(&fixture->loop, &fixture->wish, on_wish);
    fixture->wish.data = fixture;
    fixture->server = tide_http_server_start(&fixture->loop, &config, &err);
    if (!fixture->server)
        fail_msg("%s", err.message);
    uv_thread_create(&fixture->thread, run_server, fixture);
}

static void fixture_stop(struct fixture *fixture)
{
    wish(fixture, 2);
    uv_thread_join(&fixture->thread);
    close(fixture->fd);
    assert_true(fixture->closed);
    assert_int_equal(fixture->loop_result, 0);
    assert_int_equal(fixture->ended, fixture->started);
    assert_int_equal(fixture->sources_open, 0);
    assert_int_equal(count_descriptors(), fixture->descriptors);
    free(fixture);
}

/* ---- the client ---- */

struct reply {
    int status;
    char head[8192];
    char *body; /* free() */
    size_t len;
    bool complete; /* as long as its head says */
};

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int dial(const struct fixture *fixture)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)fixture->port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

/* A call with a time limit is not restarted by the kernel, and a loop that closes its io_uring (libuv 1.45
 * and later) interrupts the thread that opened it, without any signal. */
static ssize_t receive(int fd, void *buf, size_t len)
{
    ssize_t n;

    do
        n = recv(fd, buf, len, 0);
    while (n < 0 && errno == EINTR);
    return n;
}

static ssize_t transmit(int fd, const void *data, size_t len)
{
    ssize_t n;

    do
        n = send(fd, data, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

/* False when the peer has had enough. */
static bool send_bytes(int fd, const void *data, size_t len)
{
    const char *at = data;
    ssize_t n;

    for (; len > 0; at += n, len -= (size_t)n)
        if ((n = transmit(fd, at, len)) <= 0)
            return false;
    return true;
}

static void send_text(int fd, const char *text)
{
    assert_true(send_bytes(fd, text, strlen(text)));
}

static bool read_exactly(int fd, char *buf, size_t len)
{
    ssize_t n;

    for (; len > 0; buf += n, len -= (size_t)n)
        if ((n = receive(fd, buf, len)) <= 0)
            return false;
    return true;
}

static bool read_line(int fd, char *line, size_t cap)
{
    size_t len = 0;

    while (len + 1 < cap && read_exactly(fd, line + len, 1)) {
        line[++len] = '\0';
        if (len >= 2 && strcmp(line + len - 2, "\r\n") == 0) {
            line[len - 2] = '\0';
            return true;
        }
    }
    return false;
}

static const char *header(const struct reply *reply, const char *name)
{
    static char value[512];
    const char *line = reply->head;
    size_t len = strlen(name);

    while ((line = strchr(line, '\n'))) {
        line++;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            snprintf(value, sizeof value, "%.*s", (int)strcspn(line + len + 2, "\n"), line + len + 2);
            return value;
        }
    }
    return NULL;
}

static void add_body(int fd, struct reply *reply, size_t len)
{
    reply->body = realloc(reply->body, reply->len + len + 1);
    reply->complete = read_exactly(fd, reply->body + reply->len, len);
    reply->len += len;
    reply->body[reply->len] = '\0';
}

static void read_chunks(int fd, struct reply *reply)
{
    char line[64];
    size_t len;

    do {
        reply->complete = false;
        if (!read_line(fd, line, sizeof line))
            return;
        len = strtoul(line, NULL, 16);
        add_body(fd, reply, len);
    } while (reply->complete && read_line(fd, line, sizeof line) && len > 0);
}

/* False: the connection ended before a status line. */
static bool read_reply(int fd, struct reply *reply, bool bodyless)
{
    char line[4096];

    memset(reply, 0, sizeof *reply);
    if (!read_line(fd, line, sizeof line) || sscanf(line, "HTTP/1.1 %d", &reply->status) != 1)
        return false;
    do
        snprintf(reply->head + strlen(reply->head), sizeof reply->head - strlen(reply->head), "%s\n", line);
    while (read_line(fd, line, sizeof line) && *line);
    reply->body = calloc(1, 1);
    reply->complete = true;
    if (bodyless || reply->status < 200)
        return true;
    if (header(reply, "Transfer-Encoding"))
        read_chunks(fd, reply);
    else if (header(reply, "Content-Length"))
        add_body(fd, reply, strtoul(header(reply, "Content-Length"), NULL, 10));
    return true;
}

static inline bool is_closed(int fd)
{
    char byte;

    return receive(fd, &byte, 1) <= 0;
}

/* Reads to the connection's end, which must come; is `text` in what is read? */
static inline bool rest_has(int fd, const char *text)
{
    char buf[20000] = "";
    size_t len = 0;
    ssize_t n = 1;

    while (n > 0 && len < sizeof buf - 1) {
        n = receive(fd, buf + len, sizeof buf - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    assert_true(n == 0 || errno == ECONNRESET);
    return strstr(buf, text);
}

/* Sends text on a connection of its own and checks the answer's status. */
static inline void ask(const struct fixture *fixture, const char *text, int status, struct reply *reply)
{
    int fd = dial(fixture);

    send_text(fd, text);
    if (!read_reply(fd, reply, strncmp(text, "HEAD ", 5) == 0))
        fail_msg("no answer to:\n%s", text);
    if (reply->status != status)
        fail_msg("%d, not %d, to:\n%s\n%s", reply->status, status, text, reply->body);
    close(fd);
}

/* Waits up to 3 s for *counter to become `value`. */
static void await(atomic_int *counter, int value)
{
    int64_t until = now_ms() + 3000;

    while (atomic_load(counter) != value && now_ms() < until)
        usleep(1000);
    assert_int_equal(atomic_load(counter), value);
}

#endif
