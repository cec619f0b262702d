#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "http/proxies.h"

static struct tide_http_proxies *proxies_of(const char *list)
{
    struct tide_err err = {0};
    struct tide_http_proxies *proxies = tide_http_proxies_new(list, &err);

    if (!proxies)
        fail_msg("%s", err.message);
    return proxies;
}

static void finds_the_client(void **state)
{
    static const struct {
        const char *proxies, *peer, *forwarded, *client;
    } cases[] = {
        {"", "10.1.2.3", "192.0.2.1", "10.1.2.3"},
        {"10.0.0.0/8", "192.0.2.9", "192.0.2.1", "192.0.2.9"},
        {"10.0.0.0/8", "10.1.2.3", "", "10.1.2.3"},
        {"10.0.0.0/8", "10.1.2.3", "192.0.2.1", "192.0.2.1"},
        {"10.0.0.0/8", "10.1.2.3", "192.0.2.1, 192.0.2.2", "192.0.2.2"},
        {"10.0.0.0/8", "10.1.2.3", "192.0.2.1,10.9.9.9 , 10.8.8.8", "192.0.2.1"},
        {"10.0.0.0/8", "10.1.2.3", "10.7.7.7, 10.8.8.8", "10.7.7.7"},
        {"10.0.0.0/8", "10.1.2.3", "192.0.2.1, unknown", "10.1.2.3"},
        {"10.0.0.0/8", "10.1.2.3", "192.0.2.1, 192.0.2.2:80", "10.1.2.3"},
        {"10.0.0.0/8", "10.1.2.3", "192.0.2.1, unknown, 10.4.4.4", "10.4.4.4"},
        {"10.0.0.0/8", "10.1.2.3", " , ,", "10.1.2.3"},
        {"10.0.0.0/9", "10.128.0.1", "192.0.2.1", "10.128.0.1"},
        {"10.0.0.0/9", "10.127.255.255", "192.0.2.1", "192.0.2.1"},
        {"0.0.0.0/0", "198.51.100.1", "192.0.2.1", "192.0.2.1"},
        {"0.0.0.0/0", "2001:db8::1", "192.0.2.1", "2001:db8::1"},
        {"::/0", "2001:db8::1", "192.0.2.1", "192.0.2.1"},
        {"127.0.0.1 ::1", "::1", "2001:DB8:0:0::5", "2001:db8::5"},
        {"127.0.0.1 ::1", "127.0.0.1", "2001:db8::5", "2001:db8::5"},
        {"192.0.2.7/32", "192.0.2.7", "192.0.2.8", "192.0.2.8"},
        {"fd00::/8", "fdff::1", "2001:db8::5", "2001:db8::5"},
        {"fd00::/8", "fc00::1", "2001:db8::5", "fc00::1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tide_http_proxies *proxies = proxies_of(cases[i].proxies);
        char client[INET6_ADDRSTRLEN];

        tide_http_client_of(proxies, cases[i].peer, cases[i].forwarded, client);
        if (strcmp(client, cases[i].client) != 0)
            fail_msg("%s, %s, %s: %s", cases[i].proxies, cases[i].peer, cases[i].forwarded, client);
        tide_http_proxies_free(proxies);
    }
}

static void refuses_what_is_no_network(void **state)
{
    static const char *const cases[] = {"10.0.0",       "10.0.0.0/33",  "10.0.0.0/", "10.0.0.0/-1",
                                        "::/129",       "10.0.0.0/8x",  "proxy",     "/8",
                                        "10.0.0.1;::1", "127.0.0.1/ 8", "1.2.3.4/+8"};
    struct tide_err err;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (tide_http_proxies_new(cases[i], &err))
            fail_msg("accepted %s", cases[i]);
        assert_string_equal(err.code, TIDE_ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_client),
        cmocka_unit_test(refuses_what_is_no_network),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
