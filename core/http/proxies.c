#include "http/proxies.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BETWEEN ", \t"

struct ip {
    unsigned char bytes[16]; /* IPv4 mapped into IPv6 */
};

struct network {
    struct ip ip;
    unsigned bits;
};

struct tide_http_proxies {
    size_t count;
    struct network networks[];
};

static bool parse_ip(const char *text, size_t len, struct ip *ip, bool *is_v4)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char copy[INET6_ADDRSTRLEN];

    if (len >= sizeof copy)
        return false;
    snprintf(copy, sizeof copy, "%.*s", (int)len, text);
    memcpy(ip->bytes, mapped, sizeof mapped);
    *is_v4 = inet_pton(AF_INET, copy, ip->bytes + 12) == 1;
    return *is_v4 || inet_pton(AF_INET6, copy, ip->bytes) == 1;
}

/* "10.0.0.0/8", "::1" */
static bool parse_network(const char *text, size_t len, struct network *network)
{
    const char *slash = memchr(text, '/', len);
    size_t ip_len = slash ? (size_t)(slash - text) : len;
    unsigned most;
    char *end;
    bool is_v4;

    if (!parse_ip(text, ip_len, &network->ip, &is_v4))
        return false;
    most = is_v4 ? 32 : 128;
    network->bits = 128;
    if (!slash)
        return true;
    if (slash[1] < '0' || slash[1] > '9')
        return false;
    network->bits = (unsigned)strtoul(slash + 1, &end, 10);
    if (end != text + len || network->bits > most)
        return false;
    network->bits += 128 - most;
    return true;
}

static bool is_in(const struct ip *ip, const struct network *network)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    unsigned char mask = (unsigned char)(0xff00 >> rest);

    return memcmp(ip->bytes, network->ip.bytes, whole) == 0 &&
           (rest == 0 || ((ip->bytes[whole] ^ network->ip.bytes[whole]) & mask) == 0);
}

static bool is_proxy(const struct tide_http_proxies *proxies, const struct ip *ip)
{
    for (size_t i = 0; i < proxies->count; i++)
        if (is_in(ip, &proxies->networks[i]))
            return true;
    return false;
}

static size_t count_words(const char *list)
{
    size_t count = 0;

    for (list += strspn(list, BETWEEN); *list; list += strspn(list, BETWEEN)) {
        list += strcspn(list, BETWEEN);
        count++;
    }
    return count;
}

struct tide_http_proxies *tide_http_proxies_new(const char *list, struct tide_err *err)
{
    size_t count = count_words(list), len;
    struct tide_http_proxies *proxies = calloc(1, sizeof *proxies + count * sizeof *proxies->networks);

    if (!proxies) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
        return NULL;
    }
    for (list += strspn(list, BETWEEN); *list; list += len + strspn(list + len, BETWEEN)) {
        len = strcspn(list, BETWEEN);
        if (parse_network(list, len, &proxies->networks[proxies->count++]))
            continue;
        tide_err_set(err, TIDE_ERR_INVALID, false, "'%.*s' is no address and no network such as 10.0.0.0/8",
                     (int)(len < 64 ? len : 64), list);
        free(proxies);
        return NULL;
    }
    return proxies;
}

void tide_http_proxies_free(struct tide_http_proxies *proxies)
{
    free(proxies);
}

/* The last word in front of *end, which moves to its begin; its length, 0 when there is none. */
static size_t last_word(const char *text, const char **end)
{
    const char *behind = *end;

    while (behind > text && strchr(BETWEEN, behind[-1]))
        behind--;
    *end = behind;
    while (*end > text && !strchr(BETWEEN, (*end)[-1]))
        (*end)--;
    return (size_t)(behind - *end);
}

void tide_http_client_of(const struct tide_http_proxies *proxies, const char *peer, const char *forwarded,
                         char client[INET6_ADDRSTRLEN])
{
    const char *end = forwarded + strlen(forwarded);
    struct ip ip;
    size_t len;
    bool is_v4;

    snprintf(client, INET6_ADDRSTRLEN, "%s", peer);
    while (parse_ip(client, strlen(client), &ip, &is_v4) && is_proxy(proxies, &ip) &&
           (len = last_word(forwarded, &end)) > 0 && parse_ip(end, len, &ip, &is_v4))
        inet_ntop(is_v4 ? AF_INET : AF_INET6, ip.bytes + (is_v4 ? 12 : 0), client, INET6_ADDRSTRLEN);
}
