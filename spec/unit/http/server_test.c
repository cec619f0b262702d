/* Heads, responses, connections. Bodies of requests are body_test.c's, time is deadline_test.c's. */
#include "fixture.h"

#define HOST "Host: a\r\n"

static int setup(void **state)
{
    *state = fixture_new();
    fixture_start(*state);
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(*state);
    return 0;
}

static void a_get_is_answered_with_the_default_headers(void **state)
{
    struct reply reply;

    ask(*state, "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id: mine\r\n\r\n", 200, &reply);
    assert_string_equal(reply.body, "hello");
    assert_string_equal(header(&reply, "Content-Type"), "text/plain");
    assert_string_equal(header(&reply, "Content-Length"), "5");
    assert_string_equal(header(&reply, "X-Content-Type-Options"), "nosniff");
    assert_int_equal(strlen(header(&reply, "X-Request-Id")), 24);
    assert_non_null(strstr(header(&reply, "Date"), " GMT"));
    assert_null(header(&reply, "Server"));
    assert_null(header(&reply, "Connection"));
    free(reply.body);
}

static void facts_of_a_request(void **state)
{
    struct reply reply;

    ask(*state, "PUT /f%61cts?a=%20&b HTTP/1.1\r\n" HOST "X-a: 1\r\nX-A: 2\r\nContent-Length: 0\r\n\r\n", 200,
        &reply);
    assert_string_equal(reply.body, "PUT /f%61cts?a=%20&b /facts a=%20&b 127.0.0.1 1 0 "
                                    "Host=a;X-a=1;X-A=2;Content-Length=0;");
    free(reply.body);
    ask(*state, "BREW http://other/facts HTTP/1.1\r\n" HOST "\r\n", 200, &reply);
    assert_string_equal(reply.body, "BREW http://other/facts /facts  127.0.0.1 none 0 Host=a;");
    free(reply.body);
}

static void connections_are_kept(void **state)
{
    static const char *const paths[] = {"/hello", "/later", "/numbers?n=9", "/numbers?n=9&known&delayed",
                                        "/hello"};
    static const char *const bodies[] = {"hello", "later", "012345678", "012345678", "hello"};
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    char text[200], first[32];
    struct reply reply;
    size_t i;

    for (i = 0; i < 5; i++) {
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
        send_text(fd, text);
        assert_true(read_reply(fd, &reply, false));
        assert_string_equal(reply.body, bodies[i]);
        if (i == 0)
            snprintf(first, sizeof first, "%s", header(&reply, "X-Request-Id"));
        else
            assert_string_not_equal(first, header(&reply, "X-Request-Id"));
        free(reply.body);
    }
    close(fd);
    assert_int_equal(fixture->gone, 0);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    int fd = dial(*state), i;
    struct reply reply;

    send_text(fd, "GET /later?ms=30 HTTP/1.1\r\n" HOST "\r\n"
                  "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                  "GET /hello HTTP/1.1\r\n" HOST "\r\n"
                  "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n");
    for (i = 0; i < 4; i++) {
        assert_true(read_reply(fd, &reply, false));
        assert_string_equal(reply.body, ((const char *const[]){"later", "abc", "hello", "de"})[i]);
        free(reply.body);
    }
    close(fd);
}

static void connection_close_is_honoured(void **state)
{
    int fd = dial(*state);
    struct reply reply;

    send_text(fd, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    assert_true(read_reply(fd, &reply, false));
    assert_string_equal(header(&reply, "Connection"), "close");
    assert_true(is_closed(fd));
    free(reply.body);
    close(fd);
}

static void http_1_0_works(void **state)
{
    int fd = dial(*state);
    struct reply reply;
    char rest[64] = "";

    send_text(fd, "GET /hello HTTP/1.0\r\n\r\n");
    assert_true(read_reply(fd, &reply, false));
    assert_string_equal(reply.body, "hello");
    assert_true(is_closed(fd));
    free(reply.body);
    close(fd);
    fd = dial(*state); /* no chunks in 1.0: the end is the connection's */
    send_text(fd, "GET /numbers?n=20 HTTP/1.0\r\n\r\n");
    assert_true(read_reply(fd, &reply, false));
    assert_null(header(&reply, "Transfer-Encoding"));
    assert_true(read_exactly(fd, rest, 20));
    assert_string_equal(rest, "01234567890123456789");
    assert_true(is_closed(fd));
    free(reply.body);
    close(fd);
}

static void a_client_that_ended_its_side_is_answered(void **state)
{
    int fd = dial(*state);
    struct reply reply;

    send_text(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    shutdown(fd, SHUT_WR);
    assert_true(read_reply(fd, &reply, false));
    assert_string_equal(reply.body, "hello");
    free(reply.body);
    close(fd);
}

static void head_has_the_headers_alone(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture), i;
    struct reply reply;

    send_text(fd, "HEAD /hello HTTP/1.1\r\n" HOST "\r\nHEAD /numbers?n=1000000&known HTTP/1.1\r\n" HOST
                  "\r\nHEAD /file?n=10000 HTTP/1.1\r\n" HOST "\r\n");
    for (i = 0; i < 3; i++) {
        assert_true(read_reply(fd, &reply, true));
        assert_string_equal(header(&reply, "Content-Length"),
                            ((const char *const[]){"5", "1000000", "9800"})[i]);
        free(reply.body);
    }
    send_text(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_true(read_reply(fd, &reply, false));
    assert_string_equal(reply.body, "hello");
    free(reply.body);
    close(fd);
}

static void sources_are_streamed(void **state)
{
    static const char *const forms[] = {"", "&known", "&delayed", "&known&delayed"};
    struct fixture *fixture = *state;
    struct reply reply;
    char text[100];
    size_t i, at;

    for (i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "GET /numbers?n=1234567%s HTTP/1.1\r\n" HOST "\r\n", forms[i]);
        ask(fixture, text, 200, &reply);
        assert_true(reply.complete);
        assert_int_equal(reply.len, 1234567);
        for (at = 0; at < reply.len; at++)
            if (reply.body[at] != (char)('0' + at % 10))
                fail_msg("byte %zu of %s", at, text);
        assert_int_equal(header(&reply, "Content-Length") != NULL, strstr(forms[i], "known") != NULL);
        free(reply.body);
        await(&fixture->ended, (int)i + 1);
        assert_int_equal(fixture->bytes_out, 1234567);
    }
    ask(fixture, "GET /numbers?n=0 HTTP/1.1\r\n" HOST "\r\n", 200, &reply);
    assert_int_equal(reply.len, 0);
    free(reply.body);
}

static void a_source_that_fails_cuts_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct reply reply;

    ask(fixture, "GET /numbers?n=900000&fail=140000 HTTP/1.1\r\n" HOST "\r\n", 200, &reply);
    assert_false(reply.complete);
    free(reply.body);
    ask(fixture, "GET /numbers?n=900000&known&fail=140000&delayed HTTP/1.1\r\n" HOST "\r\n", 200, &reply);
    assert_false(reply.complete);
    free(reply.body);
    await(&fixture->ended, 2);
    assert_int_equal(fixture->gone, 2);
}

static void files_are_sent(void **state)
{
    struct fixture *fixture = *state;
    struct reply reply;

    ask(fixture, "GET /file?n=3000000 HTTP/1.1\r\n" HOST "\r\n", 206, &reply);
    assert_true(reply.complete);
    assert_int_equal(reply.len, 2999800);
    assert_memory_equal(reply.body, "BEGINfff", 8);
    free(reply.body);
    await(&fixture->ended, 1);
    assert_int_equal(fixture->bytes_out, 2999800);
}

/* The server's side is in this process too. */
static bool is_corked(void)
{
    int fd, corked;

    for (fd = 3; fd < 256; fd++) {
        socklen_t len = sizeof corked;

        if (getsockopt(fd, IPPROTO_TCP, TCP_CORK, &corked, &len) == 0 && corked)
            return true;
    }
    return false;
}

static void a_file_waits_for_no_further_piece(void **state)
{
    char begin[1000];
    int fd = dial(*state);
    int64_t until = now_ms() + 3000; /* before it is ended, as its client doesn't read */
    ssize_t got;

    send_text(fd, "GET /file?n=50000000 HTTP/1.1\r\n" HOST "\r\n");
    do
        got = recv(fd, begin, sizeof begin, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    assert_int_equal(got, sizeof begin); /* more than its head */
    while (is_corked() && now_ms() < until)
        usleep(1000);
    assert_false(is_corked());
    close(fd);
}

static void statuses_without_a_body(void **state)
{
    int fd = dial(*state);
    struct reply reply;

    send_text(fd, "GET /status?s=204 HTTP/1.1\r\n" HOST "\r\nGET /status?s=304 HTTP/1.1\r\n" HOST "\r\n"
                  "GET /status?s=201 HTTP/1.1\r\n" HOST "\r\n");
    assert_true(read_reply(fd, &reply, true));
    assert_int_equal(reply.status, 204);
    assert_null(header(&reply, "Content-Length"));
    free(reply.body);
    assert_true(read_reply(fd, &reply, true));
    assert_int_equal(reply.status, 304);
    free(reply.body);
    assert_true(read_reply(fd, &reply, false));
    assert_int_equal(reply.status, 201);
    assert_string_equal(header(&reply, "Content-Length"), "0");
    free(reply.body);
    close(fd);
}

static void bad_response_headers_become_500(void **state)
{
    struct reply reply;

    ask(*state, "GET /bad-header?value HTTP/1.1\r\n" HOST "\r\n", 500, &reply);
    assert_string_equal(header(&reply, "Content-Type"), "application/problem+json");
    assert_null(header(&reply, "Set-Cookie"));
    free(reply.body);
    ask(*state, "GET /bad-header?name HTTP/1.1\r\n" HOST "\r\n", 500, &reply);
    free(reply.body);
    ask(*state, "GET /status?s=99 HTTP/1.1\r\n" HOST "\r\n", 500, &reply);
    free(reply.body);
    ask(*state, "GET /bad-header HTTP/1.1\r\n" HOST "\r\n", 200, &reply);
    free(reply.body);
}

static void problems_are_json(void **state)
{
    struct reply reply;

    ask(*state, "GET /no HTTP/1.1\r\n" HOST "\r\n", 403, &reply);
    assert_string_equal(
        reply.body, "{\"type\":\"about:blank\",\"title\":\"Forbidden\",\"status\":403,\"detail\":\"no\"}");
    free(reply.body);
}

static void malformed_requests_are_refused_and_closed(void **state)
{
    static const struct {
        const char *text;
        int status;
        const char *says; /* NULL: libmicrohttpd's own answer */
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400, NULL},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400, NULL},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, NULL},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400, NULL},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length : 3\r\n\r\nabc", 400, NULL},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3x\r\n\r\nabc", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "X: a\x01z\r\n\r\n", 400, "control character"},
        {"GET / HTTP/1.1\r\n" HOST "X(: a\r\n\r\n", 400, "name"},
        {"GET /a/../b HTTP/1.1\r\n" HOST "\r\n", 400, "'..'"},
        {"GET /a%2fb HTTP/1.1\r\n" HOST "\r\n", 400, "encoded"},
        {"GET /a%00b HTTP/1.1\r\n" HOST "\r\n", 400, "escape"},
        {"GET * HTTP/1.1\r\n" HOST "\r\n", 400, "must be a path"},
        {"POST /echo HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 3\r\n\r\nabc", 417, "100-continue"},
    };
    struct fixture *fixture = *state;
    struct reply reply;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = dial(fixture);

        send_text(fd, cases[i].text);
        send_bytes(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n", 32);
        assert_true(read_reply(fd, &reply, false));
        if (reply.status != cases[i].status)
            fail_msg("%d to:\n%s", reply.status, cases[i].text);
        assert_string_equal(header(&reply, "Connection"), "close");
        if (cases[i].says && !strstr(reply.body, cases[i].says))
            fail_msg("%s", reply.body);
        if (cases[i].says)
            assert_string_equal(header(&reply, "Content-Type"), "application/problem+json");
        if (rest_has(fd, "hello"))
            fail_msg("a second answer after:\n%s", cases[i].text);
        free(reply.body);
        close(fd);
    }
    assert_int_equal(fixture->started, 0);
}

/* Also those whose parameters don't fit into the connection's memory, which libmicrohttpd never answers. */
static void too_many_parameters_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char text[8192] = "GET /hello?a";
    struct reply reply;

    for (int i = 0; i < 100; i++)
        strcat(text, "&a=1");
    strcat(text, " HTTP/1.1\r\n" HOST "\r\n");
    ask(fixture, text, 200, &reply);
    free(reply.body);
    strcpy(text, "GET /hello?a");
    for (int i = 0; i < 1500; i++)
        strcat(text, "&a=1");
    strcat(text, " HTTP/1.1\r\n" HOST "\r\n");
    ask(fixture, text, 414, &reply);
    assert_non_null(strstr(reply.body, "\"detail\":\"the query has too many parameters\""));
    free(reply.body);
}

static void heads_over_the_limit_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char text[20000];
    struct reply reply;

    snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "X: %07000d\r\n\r\n", 0);
    ask(fixture, text, 200, &reply);
    free(reply.body);
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "X: %08500d\r\n\r\n", 0);
    ask(fixture, text, 431, &reply);
    free(reply.body);
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "X: %018000d\r\n\r\n", 0);
    ask(fixture, text, 431, &reply);
    free(reply.body);
    await(&fixture->started, 1);
}

static void quiescing_ends_idle_connections_and_finishes_the_others(void **state)
{
    struct fixture *fixture = *state;
    int idle = dial(fixture), fresh = dial(fixture), busy = dial(fixture);
    struct reply reply;

    send_text(idle, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_true(read_reply(idle, &reply, false));
    free(reply.body);
    send_text(busy, "GET /later?ms=200 HTTP/1.1\r\n" HOST "\r\n");
    await(&fixture->started, 2);
    wish(fixture, 1);
    assert_true(is_closed(idle));
    assert_true(is_closed(fresh));
    assert_true(read_reply(busy, &reply, false));
    assert_string_equal(reply.body, "later");
    assert_string_equal(header(&reply, "Connection"), "close");
    assert_true(is_closed(busy));
    free(reply.body);
    close(idle);
    close(fresh);
    close(busy);
}

static void a_request_ends_with_the_handler_that_it_began_with(void **state)
{
    struct fixture *fixture = *state;
    int busy = dial(fixture), half = dial(fixture);
    struct reply reply;

    send_text(busy, "GET /later?ms=200 HTTP/1.1\r\n" HOST "\r\n");
    send_text(half, "GET /hello HTTP/1.1\r\n");
    await(&fixture->started, 1);
    wish(fixture, 3);
    await(&fixture->handed_over, 1);
    assert_true(read_reply(busy, &reply, false));
    assert_string_equal(reply.body, "later");
    assert_null(header(&reply, "X-Version"));
    free(reply.body);
    await(&fixture->ended, 1);
    assert_int_equal(fixture->ended_next, 0);
    send_text(busy, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    assert_true(read_reply(busy, &reply, false));
    assert_string_equal(reply.body, "next");
    assert_string_equal(header(&reply, "X-Version"), "2");
    free(reply.body);
    send_text(half, HOST "\r\n"); /* it starts when its head is complete */
    assert_true(read_reply(half, &reply, false));
    assert_string_equal(reply.body, "next");
    free(reply.body);
    await(&fixture->ended_next, 2);
    assert_int_equal(fixture->started, 1);
    close(busy);
    close(half);
}

static double metric(struct fixture *fixture, enum tide_metric_type type, const char *name,
                     const char *labels)
{
    return tide_metric_value(tide_metrics_get(fixture->metrics, type, name, labels, ""));
}

static void metrics_are_kept(void **state)
{
    struct fixture *fixture = fixture_new();
    int64_t until = now_ms() + 2000;
    struct tide_err err;
    struct reply reply;
    int fd;

    *state = fixture;
    fixture->metrics = tide_metrics_map(-1, &err);
    assert_non_null(fixture->metrics);
    fixture_start(fixture);
    fd = dial(fixture);
    ask(fixture, "GET / HTTP/1.1\r\n\r\n", 400, &reply);
    free(reply.body);
    ask(fixture, "GET /../ HTTP/1.1\r\n" HOST "\r\n", 400, &reply);
    free(reply.body);
    send_text(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_true(read_reply(fd, &reply, false));
    free(reply.body);
    while (metric(fixture, TIDE_METRIC_GAUGE, "tidemill_http_connections", "server=\"test\"") != 1 &&
           now_ms() < until)
        usleep(1000);
    assert_true(metric(fixture, TIDE_METRIC_GAUGE, "tidemill_http_connections", "server=\"test\"") == 1);
    assert_true(metric(fixture, TIDE_METRIC_COUNTER, "tidemill_http_rejected_total",
                       "server=\"test\",reason=\"framing\"") == 2);
    close(fd);
}

static int teardown_metrics(void **state)
{
    struct fixture *fixture = *state;
    struct tide_metrics *metrics = fixture->metrics;

    fixture_stop(fixture);
    tide_metrics_unmap(metrics);
    return 0;
}

static void closing_ends_everything(void **state)
{
    static const char *const texts[] = {
        "",
        "GET /hel",
        "GET /never HTTP/1.1\r\n" HOST "\r\n",
        "POST /never HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc",
        "POST /count HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
        "GET /numbers?n=900000000&known HTTP/1.1\r\n" HOST "\r\n",
        "GET /numbers?n=900000000&delayed HTTP/1.1\r\n" HOST "\r\n",
        "GET /file?n=50000000 HTTP/1.1\r\n" HOST "\r\n",
        "GET /later?ms=60000 HTTP/1.1\r\n" HOST "\r\n",
    };
    struct fixture *fixture = *state;
    int fds[10], i;

    for (i = 0; i < 10; i++) {
        fds[i] = dial(fixture);
        send_text(fds[i], texts[i]);
    }
    await(&fixture->started, 8);
    usleep(100 * 1000); /* until the suspended ones are watched */
    wish(fixture, 2);
    uv_thread_join(&fixture->thread);
    assert_int_equal(fixture->gone, 8);
    assert_int_equal(fixture->ended, 8);
    for (i = 0; i < 10; i++)
        close(fds[i]);
    fixture->thread = 0;
    close(fixture->fd);
    assert_true(fixture->closed);
    assert_int_equal(fixture->loop_result, 0);
    assert_int_equal(fixture->sources_open, 0);
    free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_get_is_answered_with_the_default_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(facts_of_a_request, setup, teardown),
        cmocka_unit_test_setup_teardown(connections_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(pipelined_requests_are_answered_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(connection_close_is_honoured, setup, teardown),
        cmocka_unit_test_setup_teardown(http_1_0_works, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_ended_its_side_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(head_has_the_headers_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(sources_are_streamed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_source_that_fails_cuts_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_waits_for_no_further_piece, setup, teardown),
        cmocka_unit_test_setup_teardown(statuses_without_a_body, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_response_headers_become_500, setup, teardown),
        cmocka_unit_test_setup_teardown(problems_are_json, setup, teardown),
        cmocka_unit_test_setup_teardown(malformed_requests_are_refused_and_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_parameters_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(heads_over_the_limit_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(quiescing_ends_idle_connections_and_finishes_the_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_request_ends_with_the_handler_that_it_began_with, setup, teardown),
        cmocka_unit_test_setup_teardown(metrics_are_kept, NULL, teardown_metrics),
        cmocka_unit_test_setup(closing_ends_everything, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
