#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"

static void bad_addresses_are_refused(void **state)
{
    static const char *const addresses[] = {"",           "8080",    "127.0.0.1",     ":8080",
                                            "127.0.0.1:", "a:b",     "127.0.0.1:80x", "127.0.0.1:70000",
                                            "[::1]",      "[::1:80", "::1:80",        "127.0.0.1:-1",
                                            "[::1]80",    "[]:80"};
    struct tide_err err;
    int fds[1], port;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        if (tide_http_listen(addresses[i], fds, 1, &port, &err))
            fail_msg("\"%s\" was taken", addresses[i]);
        assert_string_equal(err.code, TIDE_ERR_INVALID);
    }
    assert_false(tide_http_listen("192.0.2.1:0", fds, 1, &port, &err)); /* of documentation, nobody's */
    assert_string_equal(err.code, TIDE_ERR_INVALID);
    assert_non_null(strstr(err.message, "not an address of this machine"));
}

static void a_held_port_names_its_holder(void **state)
{
    struct tide_err err;
    int fds[2], again[1], port, same;
    char address[40], holder[40];

    (void)state;
    assert_true(tide_http_listen("127.0.0.1:0", fds, 2, &port, &err));
    assert_in_range(port, 1, 65535);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    snprintf(holder, sizeof holder, "(pid %d)", (int)getpid());
    assert_false(tide_http_listen(address, again, 1, &same, &err));
    assert_string_equal(err.code, TIDE_ERR_CONFLICT);
    if (!strstr(err.message, holder) || !strstr(err.message, "unit_http_") || !strstr(err.message, address))
        fail_msg("%s", err.message);
    snprintf(address, sizeof address, "0.0.0.0:%d", port); /* overlaps */
    assert_false(tide_http_listen(address, again, 1, &same, &err));
    assert_string_equal(err.code, TIDE_ERR_CONFLICT);
    close(fds[0]);
    close(fds[1]);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    assert_true(tide_http_listen(address, again, 1, &same, &err));
    assert_int_equal(same, port);
    close(again[0]);
}

static void connections_spread_over_all_sockets(void **state)
{
    enum { SOCKETS = 3, CLIENTS = 200 };
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fds[SOCKETS], clients[CLIENTS], accepted[SOCKETS] = {0}, port, i, fd, total = 0;
    struct tide_err err;

    (void)state;
    assert_true(tide_http_listen("127.0.0.1:0", fds, SOCKETS, &port, &err));
    addr.sin_port = htons((uint16_t)port);
    for (i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(clients[i], (struct sockaddr *)&addr, sizeof addr), 0);
    }
    for (i = 0; i < SOCKETS; i++) {
        while ((fd = accept(fds[i], NULL, NULL)) >= 0) {
            accepted[i]++;
            close(fd);
        }
        assert_in_range(accepted[i], 20, CLIENTS);
        total += accepted[i];
        close(fds[i]);
    }
    assert_int_equal(total, CLIENTS);
    for (i = 0; i < CLIENTS; i++)
        close(clients[i]);
}

static void ipv6_works_where_there_is_some(void **state)
{
    struct tide_err err;
    int fd, port;

    (void)state;
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0)
        skip();
    close(fd);
    if (!tide_http_listen("[::1]:0", &fd, 1, &port, &err))
        skip(); /* no ::1 here */
    assert_in_range(port, 1, 65535);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_addresses_are_refused),
        cmocka_unit_test(a_held_port_names_its_holder),
        cmocka_unit_test(connections_spread_over_all_sockets),
        cmocka_unit_test(ipv6_works_where_there_is_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
