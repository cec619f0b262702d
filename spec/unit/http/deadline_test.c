/* Clients that go away, are slow, or too many. */
#include "fixture.h"

#define HOST "Host: a\r\n"

static int setup(void **state)
{
    struct fixture *fixture = fixture_new();

    fixture->limits.head_timeout_ms = 1000;
    fixture->limits.idle_timeout_ms = 2500;
    fixture->limits.connections = 8;
    *state = fixture;
    return 0;
}

static int setup_started(void **state)
{
    setup(state);
    fixture_start(*state);
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(*state);
    return 0;
}

/* How long until the peer closes, in ms; what it sends before is dropped. */
static int64_t wait_for_close(int fd)
{
    int64_t start = now_ms();
    char buf[4096];

    while (receive(fd, buf, sizeof buf) > 0)
        ;
    return now_ms() - start;
}

static void a_client_that_leaves_is_noticed_at_once(void **state)
{
    static const char *const texts[] = {
        "GET /never HTTP/1.1\r\n" HOST "\r\n",
        "GET /later?ms=10000 HTTP/1.1\r\n" HOST "\r\n",
        "POST /never HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n",
        "POST /never HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\nabc",
    };
    const struct linger reset = {.l_onoff = 1};
    struct fixture *fixture = *state;
    int64_t left;
    int i, fd;

    for (i = 0; i < 8; i++) {
        fd = dial(fixture);
        send_text(fd, texts[i / 2]);
        await(&fixture->started, i + 1);
        usleep(i % 4 < 2 ? 0 : 120 * 1000); /* before or after the watch begins */
        if (i % 2)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        left = now_ms();
        close(fd);
        await(&fixture->gone, i + 1);
        assert_in_range(now_ms() - left, 0, 150);
        await(&fixture->ended, i + 1);
    }
}

/* The end of the connection comes together with the last bytes that it brings. */
static void a_body_that_is_cut_off_is_noticed_without_a_deadline(void **state)
{
    static const char *const texts[] = {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 50\r\n\r\nabc",
                                        "POST /echo-later?ms=1 HTTP/1.1\r\n" HOST
                                        "Content-Length: 5000\r\n\r\nabc"};
    struct fixture *fixture = *state;
    int i, fd;

    fixture->limits.min_rate = 0;
    fixture_start(fixture);
    for (i = 0; i < 40; i++) {
        fd = dial(fixture);
        send_text(fd, texts[i % 2]);
        if (i % 4 < 2)
            shutdown(fd, SHUT_WR);
        else
            close(fd);
        await(&fixture->ended, i + 1);
        if (i % 4 < 2)
            close(fd);
    }
    assert_int_equal(fixture->gone, 40);
}

static void a_head_that_is_cut_off_is_noticed_without_a_deadline(void **state)
{
    static const char *const texts[] = {"GET /he", "GET /hello HTTP/1.1\r\nHo"};
    struct fixture *fixture = *state;
    int i, fd;

    fixture->limits.head_timeout_ms = 3600 * 1000;
    fixture_start(fixture);
    for (i = 0; i < 20; i++) {
        fd = dial(fixture);
        send_text(fd, texts[i % 2]);
        shutdown(fd, SHUT_WR);
        assert_true(is_closed(fd));
        close(fd);
    }
}

static void heads_have_a_deadline(void **state)
{
    static const char *const starts[] = {"G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: "};
    struct fixture *fixture = *state;
    struct reply reply;
    int64_t start;
    int i, fd;

    for (i = 0; i < 3; i++) {
        fd = dial(fixture);
        start = now_ms();
        send_text(fd, starts[i]);
        while (now_ms() - start < 900) { /* dripping does not help */
            usleep(100 * 1000);
            send_bytes(fd, "x", 1);
        }
        assert_true(read_reply(fd, &reply, false));
        assert_int_equal(reply.status, 408);
        assert_non_null(strstr(reply.body, "\"status\":408"));
        assert_in_range(now_ms() - start, 900, 1900);
        assert_true(is_closed(fd));
        free(reply.body);
        close(fd);
    }
    fd = dial(fixture); /* without a byte: closed without an answer */
    start = now_ms();
    assert_true(is_closed(fd));
    assert_in_range(now_ms() - start, 900, 1900);
    close(fd);
    assert_int_equal(fixture->started, 0);
}

static void a_later_head_has_a_deadline_too(void **state)
{
    int fd = dial(*state), i;
    struct reply reply;
    int64_t start;

    send_text(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_true(read_reply(fd, &reply, false));
    free(reply.body);
    start = now_ms();
    for (i = 0; i < 60 && send_bytes(fd, "x", 1); i++)
        usleep(50 * 1000);
    assert_true(read_reply(fd, &reply, false));
    assert_int_equal(reply.status, 408);
    assert_in_range(now_ms() - start, 900, 5000);
    free(reply.body);
    close(fd);
}

static void idle_connections_are_closed(void **state)
{
    int fd = dial(*state);
    struct reply reply;

    send_text(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_true(read_reply(fd, &reply, false));
    free(reply.body);
    assert_in_range(wait_for_close(fd), 2300, 3500);
    close(fd);
}

static void too_many_connections_are_closed(void **state)
{
    struct fixture *fixture = *state;
    struct reply reply;
    int fds[10], i;

    for (i = 0; i < 10; i++)
        fds[i] = dial(fixture);
    assert_true(is_closed(fds[8]));
    assert_true(is_closed(fds[9]));
    for (i = 0; i < 8; i++) {
        send_text(fds[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        assert_true(read_reply(fds[i], &reply, false));
        free(reply.body);
    }
    close(fds[0]);
    usleep(50 * 1000);
    close(fds[9]);
    fds[9] = dial(fixture);
    send_text(fds[9], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_true(read_reply(fds[9], &reply, false));
    free(reply.body);
    for (i = 1; i < 10; i++)
        close(fds[i]);
}

static void too_many_of_an_address_are_closed(void **state)
{
    struct fixture *fixture = *state;
    struct reply reply;
    int fds[3], i;

    fixture->limits.connections_per_address = 2;
    fixture_start(fixture);
    for (i = 0; i < 3; i++)
        fds[i] = dial(fixture);
    assert_true(is_closed(fds[2]));
    send_text(fds[1], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_true(read_reply(fds[1], &reply, false));
    free(reply.body);
    for (i = 0; i < 3; i++)
        close(fds[i]);
}

static void a_body_that_drips_is_ended(void **state)
{
    struct fixture *fixture = *state;
    int64_t start = now_ms();
    struct reply reply;
    int fd, other;

    fixture_start(fixture);
    fd = dial(fixture);
    other = dial(fixture); /* fast enough: 2 KB/s */
    send_text(fd, "POST /count HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    send_text(other, "POST /count HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n");
    while (now_ms() - start < 14000 && fixture->gone == 0) {
        char block[200] = {0};

        send_bytes(fd, "x", 1);
        assert_true(send_bytes(other, block, sizeof block));
        usleep(100 * 1000);
    }
    assert_in_range(now_ms() - start, 9500, 12500);
    assert_true(read_reply(fd, &reply, false));
    assert_int_equal(reply.status, 408);
    assert_string_equal(fixture->gone_code, TIDE_ERR_TIMEOUT);
    assert_int_equal(fixture->ended, 1);
    free(reply.body);
    close(fd);
    close(other);
    await(&fixture->ended, 2);
}

static void clients_that_do_not_read_are_ended(void **state)
{
    static const char *const texts[] = {
        "GET /numbers?n=90000000&known HTTP/1.1\r\n" HOST "\r\n",
        "GET /numbers?n=90000000 HTTP/1.1\r\n" HOST "\r\n",
        "GET /file?n=90000000 HTTP/1.1\r\n" HOST "\r\n",
    };
    struct fixture *fixture = *state;
    int64_t start = now_ms();
    int fds[3], i;

    fixture_start(fixture);
    for (i = 0; i < 3; i++) {
        fds[i] = dial(fixture);
        send_text(fds[i], texts[i]);
    }
    while (now_ms() - start < 26000 && fixture->gone < 3)
        usleep(50 * 1000);
    assert_int_equal(fixture->gone, 3);
    assert_in_range(now_ms() - start, 9500, 22500);
    await(&fixture->ended, 3);
    for (i = 0; i < 3; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_client_that_leaves_is_noticed_at_once, setup_started, teardown),
        cmocka_unit_test_setup_teardown(a_body_that_is_cut_off_is_noticed_without_a_deadline, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_head_that_is_cut_off_is_noticed_without_a_deadline, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(heads_have_a_deadline, setup_started, teardown),
        cmocka_unit_test_setup_teardown(a_later_head_has_a_deadline_too, setup_started, teardown),
        cmocka_unit_test_setup_teardown(idle_connections_are_closed, setup_started, teardown),
        cmocka_unit_test_setup_teardown(too_many_connections_are_closed, setup_started, teardown),
        cmocka_unit_test_setup_teardown(too_many_of_an_address_are_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_that_drips_is_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_that_do_not_read_are_ended, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
