/* Bodies of requests: collected, as a source, in parts, unwanted. */
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

/* Sends a head for a body of len bytes, then the body in steps, as chunks or not. False: refused on the way.
 */
static bool upload(int fd, const char *target, const char *type, const char *body, size_t len, size_t step,
                   bool chunked)
{
    char text[300];
    size_t at, n;
    bool good = true;

    if (chunked)
        snprintf(text, sizeof text, "POST %s HTTP/1.1\r\n" HOST "%sTransfer-Encoding: chunked\r\n\r\n",
                 target, type);
    else
        snprintf(text, sizeof text, "POST %s HTTP/1.1\r\n" HOST "%sContent-Length: %zu\r\n\r\n", target, type,
                 len);
    send_text(fd, text);
    for (at = 0; at < len && good; at += n) {
        n = len - at < step ? len - at : step;
        snprintf(text, sizeof text, "%zx\r\n", n);
        good = (!chunked || send_bytes(fd, text, strlen(text))) && send_bytes(fd, body + at, n) &&
               (!chunked || send_bytes(fd, "\r\n", 2));
    }
    return good && (!chunked || send_bytes(fd, "0\r\n\r\n", 5));
}

static char *random_bytes(size_t len)
{
    char *data = malloc(len);
    uint32_t x = 7;
    size_t i;

    for (i = 0; i < len; i++)
        data[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
    return data;
}

static void small_bodies_are_collected(void **state)
{
    static const char *const targets[] = {"/echo", "/echo-later", "/echo-later?ms=80"};
    int fd = dial(*state), i;
    struct reply reply;

    for (i = 0; i < 12; i++) {
        assert_true(upload(fd, targets[i % 3], "", "hello world", 11, i < 6 ? 11 : 3, i % 2));
        assert_true(read_reply(fd, &reply, false));
        assert_int_equal(reply.status, 200);
        assert_string_equal(reply.body, "hello world");
        free(reply.body);
    }
    send_text(fd, "GET /echo HTTP/1.1\r\n" HOST "\r\n"); /* no body: an empty one, from the loop */
    assert_true(read_reply(fd, &reply, false));
    assert_int_equal(reply.len, 0);
    free(reply.body);
    assert_true(upload(fd, "/echo", "", "", 0, 1, true));
    assert_true(read_reply(fd, &reply, false));
    assert_int_equal(reply.status, 200);
    free(reply.body);
    close(fd);
}

static void a_body_is_taken_once(void **state)
{
    int fd = dial(*state), i;
    struct reply reply;

    for (i = 0; i < 2; i++) {
        assert_true(upload(fd, "/twice", "", "abc", i ? 3 : 0, 3, false));
        assert_true(read_reply(fd, &reply, false));
        assert_int_equal(reply.status, 400);
        assert_non_null(strstr(reply.body, "taken already"));
        free(reply.body);
    }
    close(fd);
}

/* AddressSanitizer tells when the bytes of the first time are not freed. */
static void collecting_once_more_is_refused(void **state)
{
    static const struct {
        const char *start, *rest;
    } cases[] = {
        {"POST /collect-twice HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", ""},
        {"POST /collect-twice HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
         "0\r\n\r\n"},
        {"POST /collect-twice?cancel=20 HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nabc", "def"},
    };
    struct reply reply;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = dial(*state);

        send_text(fd, cases[i].start);
        usleep(60000);
        send_text(fd, cases[i].rest);
        assert_true(read_reply(fd, &reply, false));
        assert_int_equal(reply.status, 400);
        assert_non_null(strstr(reply.body, "taken already"));
        free(reply.body);
        close(fd);
    }
}

static void large_bodies_arrive_whole(void **state)
{
    enum { SIZE = 20 * 1000 * 1000 + 7 };
    struct fixture *fixture = *state;
    char *body = random_bytes(SIZE), expected[64];
    struct reply reply;
    int i, fd;

    snprintf(expected, sizeof expected, "%d %08x", SIZE, hash_bytes(2166136261U, body, SIZE));
    for (i = 0; i < 3; i++) {
        fd = dial(fixture);
        assert_true(upload(fd, "/count", "", body, SIZE, i == 2 ? 77777 : 1 << 20, i > 0));
        assert_true(read_reply(fd, &reply, false));
        assert_string_equal(reply.body, expected);
        free(reply.body);
        close(fd);
        await(&fixture->ended, i + 1);
        assert_int_equal(fixture->bytes_in, SIZE);
    }
    free(body);
}

static void a_slow_reader_holds_the_client_back(void **state)
{
    enum { SIZE = 30 * 1000 * 1000 };
    struct fixture *fixture = *state;
    char *body = random_bytes(SIZE);
    int fd = dial(fixture), n, sent = 0;
    int64_t until = now_ms() + 700;
    const struct linger reset = {.l_onoff = 1}; /* a plain close would have its end wait behind the bytes */

    fixture->slow_read_ms = 100;
    send_text(fd, "POST /count HTTP/1.1\r\n" HOST "Content-Length: 30000000\r\n\r\n");
    while (now_ms() < until && sent < SIZE) {
        n = (int)send(fd, body + sent, (size_t)(SIZE - sent), MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? n : 0;
        usleep(1000);
    }
    assert_in_range(sent, 10000, SIZE - 1); /* what the kernel holds, and 7 reads of 10 kB */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    await(&fixture->gone, 1);
    free(body);
}

static void bodies_over_the_limit_fail(void **state)
{
    static const struct {
        const char *target;
        size_t size;
        bool chunked;
    } cases[] = {
        {"/echo", (1 << 20) + 1, false},
        {"/echo", (1 << 20) + 1, true},
        {"/limit", 11, false},
        {"/limit", 11, true},
        {"/count?limit=100000", 100001, false},
        {"/count?limit=100000", 100001, true},
        {"/limit", 9000000, false},
        {"/count?limit=100000", 90000000, true},
    };
    char *body = random_bytes(90000000);
    struct reply reply;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = dial(*state);

        upload(fd, cases[i].target, "", body, cases[i].size, 1 << 16, cases[i].chunked);
        if (!read_reply(fd, &reply, false) || reply.status != 413)
            fail_msg("case %zu: %d", i, reply.status);
        assert_string_equal(header(&reply, "Content-Type"), "application/problem+json");
        assert_int_equal(strlen(header(&reply, "X-Request-Id")), 24);
        free(reply.body);
        close(fd);
    }
    free(body);
}

static void expectations_are_met_or_refused(void **state)
{
    int fd = dial(*state);
    struct reply reply;

    send_text(fd,
              "POST /echo-later?ms=50 HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_true(read_reply(fd, &reply, false));
    assert_int_equal(reply.status, 100);
    free(reply.body);
    send_text(fd, "abc");
    assert_true(read_reply(fd, &reply, false));
    assert_string_equal(reply.body, "abc");
    free(reply.body);
    send_text(fd, "POST /limit HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 30\r\n\r\n");
    assert_true(read_reply(fd, &reply, false));
    assert_int_equal(reply.status, 413);
    assert_string_equal(header(&reply, "Connection"), "close");
    assert_true(is_closed(fd));
    free(reply.body);
    close(fd);
    fd = dial(*state);
    send_text(fd, "POST /later?ms=50 HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 30\r\n\r\n");
    assert_true(read_reply(fd, &reply, false));
    assert_int_equal(reply.status, 200);
    assert_true(is_closed(fd));
    free(reply.body);
    close(fd);
}

static void unwanted_bodies_are_discarded_or_end_the_connection(void **state)
{
    char *body = random_bytes(50000000);
    struct reply reply;
    int fd = dial(*state), i;

    for (i = 0; i < 8; i++) { /* small: the connection lives on */
        assert_true(upload(fd, i % 2 ? "/no" : "/later?ms=20", "", body, 100000, 10000, i & 2));
        assert_true(read_reply(fd, &reply, false));
        assert_int_equal(reply.status, i % 2 ? 403 : 200);
        assert_null(header(&reply, "Connection"));
        free(reply.body);
    }
    close(fd);
    for (i = 0; i < 4; i++) { /* large: answered at once, and the answer arrives although we still send */
        fd = dial(*state);
        upload(fd, i % 2 ? "/no" : "/later?ms=20", "", body, 50000000, 100000, i & 2);
        assert_true(read_reply(fd, &reply, false));
        assert_int_equal(reply.status, i % 2 ? 403 : 200);
        assert_string_equal(header(&reply, "Connection"), "close");
        free(reply.body);
        close(fd);
    }
    free(body);
}

/* ---- multipart ---- */

#define FORM "Content-Type: multipart/form-data; boundary=XX\r\n"
#define PART(disposition) "--XX\r\nContent-Disposition: form-data; " disposition "\r\n\r\n"

static void parts_are_read(void **state)
{
    static const char small[] = PART("name=a") "1\r\n" PART("name=b; filename=\"x.mp4\"") "\r\n--XX--\r\n";
    enum { SIZE = 9000000 };
    struct fixture *fixture = *state;
    char *content = random_bytes(SIZE), expected[200];
    struct tide_buf body;
    struct reply reply;
    int fd, i;

    tide_buf_init(&body, 1 << 24);
    tide_buf_puts(&body, PART("name=a") "1\r\n" PART("name=f; filename=\"v.mp4\""));
    tide_buf_append(&body, content, SIZE);
    tide_buf_puts(&body, "\r\n--XX--\r\n");
    snprintf(expected, sizeof expected, "a|-|-:1 %08x;f|v.mp4|-:%d %08x;", hash_bytes(2166136261U, "1", 1),
             SIZE, hash_bytes(2166136261U, content, SIZE));
    for (i = 0; i < 2; i++) {
        fd = dial(fixture);
        assert_true(upload(fd, "/parts", FORM, body.data, body.len, 50000, i));
        assert_true(read_reply(fd, &reply, false));
        assert_string_equal(reply.body, expected);
        free(reply.body);
        assert_true(upload(fd, "/parts?skip", FORM, body.data, body.len, 50000, i));
        assert_true(read_reply(fd, &reply, false));
        assert_string_equal(reply.body, "a|-|-:f|v.mp4|-:");
        free(reply.body);
        assert_true(upload(fd, "/parts", FORM, small, sizeof small - 1, 7, i));
        assert_true(read_reply(fd, &reply, false));
        snprintf(expected + 100, 100, "a|-|-:1 %08x;b|x.mp4|-:0 811c9dc5;", hash_bytes(2166136261U, "1", 1));
        assert_string_equal(reply.body, expected + 100);
        free(reply.body);
        close(fd);
    }
    tide_buf_release(&body);
    free(content);
}

static void bad_multipart_is_refused(void **state)
{
    static const struct {
        const char *type, *body, *says;
    } cases[] = {
        {"", "x", "not multipart"},
        {"Content-Type: multipart/form-data\r\n", "x", "not multipart"},
        {FORM, "", "empty"},
        {FORM, "x", "closing boundary"},
        {FORM, PART("name=a") "cut", "closing boundary"},
        {FORM, PART("name=a") "cut\r\n--XX\r\nCont", "closing boundary"},
        {FORM, PART("filename=a") "1\r\n--XX--", "no name"},
        {FORM, PART("name=a") "1\r\n--XXX\r\n\r\n", "line end"},
    };
    int fd = dial(*state);
    struct reply reply;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(
            upload(fd, "/parts", cases[i].type, cases[i].body, strlen(cases[i].body), 1 << 20, false));
        assert_true(read_reply(fd, &reply, false));
        assert_int_equal(reply.status, 400);
        if (!strstr(reply.body, cases[i].says))
            fail_msg("%s", reply.body);
        free(reply.body);
    }
    close(fd);
}

static void an_answer_in_mid_upload_arrives(void **state)
{
    static const char start[] = PART("name=a") "1\r\n";
    char *body = random_bytes(60000000);
    struct reply reply;
    int i;

    memcpy(body, start, sizeof start - 1);
    for (i = 0; i < 2; i++) {
        int fd = dial(*state);

        upload(fd, "/parts?first", FORM, body, 60000000, 100000, i);
        assert_true(read_reply(fd, &reply, false));
        assert_int_equal(reply.status, 400);
        assert_non_null(strstr(reply.body, "one look is enough"));
        assert_string_equal(header(&reply, "Connection"), "close");
        free(reply.body);
        close(fd);
    }
    free(body);
}

static void a_client_that_leaves_in_mid_upload_is_noticed(void **state)
{
    static const char *const heads[] = {
        "POST /count HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        "POST /parts HTTP/1.1\r\n" HOST FORM "Content-Length: 1000\r\n\r\n" PART("name=a") "12",
        "POST /parts HTTP/1.1\r\n" HOST FORM "Content-Length: 1000\r\n\r\n--XX",
    };
    struct fixture *fixture = *state;
    int i, fd;

    for (i = 0; i < 4; i++) {
        fixture->gone_code[0] = '\0';
        fd = dial(fixture);
        send_text(fd, heads[i]);
        await(&fixture->started, i + 1);
        usleep(5000);
        close(fd);
        await(&fixture->ended, i + 1);
        assert_int_equal(fixture->gone, i + 1);
        assert_string_equal(fixture->gone_code, TIDE_ERR_CANCELED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_bodies_are_collected, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_is_taken_once, setup, teardown),
        cmocka_unit_test_setup_teardown(collecting_once_more_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(large_bodies_arrive_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_reader_holds_the_client_back, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_over_the_limit_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(expectations_are_met_or_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(unwanted_bodies_are_discarded_or_end_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_multipart_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_in_mid_upload_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_in_mid_upload_is_noticed, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
