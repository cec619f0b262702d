#include "sql/mysql/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/percent.h"

#define DEFAULT_PORT 3306
#define DEFAULT_CONNECTIONS 8
#define MAX_CONNECTIONS 64

static bool refuse(struct tide_err *err, const char *what)
{
    return tide_err_set(err, TIDE_ERR_INVALID, false,
                        "mysql: %s; write mysql://USER:PASSWORD@HOST:PORT/DATABASE", what);
}

/* A copy of text[0..len) with its %XX decoded. */
static char *decode(const char *text, size_t len, struct tide_err *err)
{
    char *out = malloc(len + 1);

    if (!out) {
        tide_err_errno(err, ENOMEM, "mysql");
        return NULL;
    }
    if (tide_percent_decode(text, len, out))
        return out;
    refuse(err, "a % in the URL needs two hexadecimal digits behind it (% itself is %25)");
    free(out);
    return NULL;
}

static bool parse_number(const char *text, size_t len, unsigned most, unsigned *out)
{
    unsigned long value = 0;

    if (len == 0 || len > 5 || strspn(text, "0123456789") < len)
        return false;
    for (size_t i = 0; i < len; i++)
        value = value * 10 + (unsigned long)(text[i] - '0');
    *out = (unsigned)value;
    return value >= 1 && value <= most;
}

/* USER[:PASSWORD] */
static bool parse_login(struct tide_mysql_url *url, const char *text, size_t len, struct tide_err *err)
{
    const char *colon = memchr(text, ':', len);
    size_t user = colon ? (size_t)(colon - text) : len;

    if (user == 0)
        return refuse(err, "the URL names no user");
    url->user = decode(text, user, err);
    url->password = url->user ? decode(colon ? colon + 1 : "", colon ? len - user - 1 : 0, err) : NULL;
    return url->password != NULL;
}

/* HOST[:PORT]; an IPv6 address stands in brackets. */
static bool parse_host(struct tide_mysql_url *url, const char *text, size_t len, struct tide_err *err)
{
    const char *end = *text == '[' ? memchr(text, ']', len) : NULL;
    const char *begin = end ? text + 1 : text, *colon;
    size_t host = (size_t)((end ? end : (colon = memchr(text, ':', len)) ? colon : text + len) - begin);
    const char *port = begin + host + (end ? 1 : 0);

    url->port = DEFAULT_PORT;
    if (host == 0 ||
        strspn(begin, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-") < host)
        return refuse(err, "the URL's host is not the name or address of one");
    if (port < text + len &&
        (*port != ':' || !parse_number(port + 1, (size_t)(text + len - port - 1), 65535, &url->port)))
        return refuse(err, "the URL's port is not a number from 1 to 65535");
    url->host = strndup(begin, host);
    return url->host || tide_err_errno(err, ENOMEM, "mysql");
}

/* ---- parameters ---- */

static bool set_mode(struct tide_mysql_url *url, const char *value, struct tide_err *err)
{
    url->verify = strcmp(value, "verify_identity") == 0;
    if (url->verify || strcmp(value, "disabled") == 0)
        return true;
    return tide_err_set(
        err, TIDE_ERR_INVALID, false,
        "mysql: ssl_mode '%.40s' is none of disabled, verify_identity (an unverified connection "
        "would only look safe)",
        value);
}

static bool set_parameter(struct tide_mysql_url *url, const char *name, size_t len, char *value, bool *mode,
                          struct tide_err *err)
{
    char **text = NULL;

    if (len == 6 && memcmp(name, "ssl_ca", len) == 0) {
        text = &url->ssl_ca;
        url->verify = url->verify || !*mode;
    } else if (len == 6 && memcmp(name, "socket", len) == 0) {
        text = &url->socket;
    } else if (len == 8 && memcmp(name, "ssl_mode", len) == 0) {
        *mode = true;
        return set_mode(url, value, err);
    } else if (len == 11 && memcmp(name, "connections", len) == 0) {
        return parse_number(value, strlen(value), MAX_CONNECTIONS, &url->connections) ||
               tide_err_set(err, TIDE_ERR_INVALID, false,
                            "mysql: connections '%.20s' is not a number from 1 to %d", value,
                            MAX_CONNECTIONS);
    } else {
        return tide_err_set(
            err, TIDE_ERR_INVALID, false,
            "mysql: the URL's parameter '%.*s' is none of ssl_ca, ssl_mode, socket, connections",
            (int)(len > 40 ? 40 : len), name);
    }
    free(*text);
    *text = strdup(value);
    return *text || tide_err_errno(err, ENOMEM, "mysql");
}

static bool parse_parameters(struct tide_mysql_url *url, const char *text, struct tide_err *err)
{
    bool mode = false, ok = true;

    while (ok && *text) {
        size_t len = strcspn(text, "&"), name = strcspn(text, "=&");
        size_t skip = name < len ? name + 1 : len;
        char *value = decode(text + skip, len - skip, err);

        ok = value && set_parameter(url, text, name, value, &mode, err);
        free(value);
        text += len + (text[len] == '&');
    }
    if (ok && url->ssl_ca && !url->verify)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "mysql: ssl_ca is of no use with ssl_mode=disabled");
    return ok;
}

/* ---- all of it ---- */

static bool show(struct tide_mysql_url *url, struct tide_err *err)
{
    bool brackets = strchr(url->host, ':') != NULL;

    if (asprintf(&url->shown, "mysql://%s@%s%s%s:%u/%s", url->user, brackets ? "[" : "", url->host,
                 brackets ? "]" : "", url->port, url->database) >= 0)
        return true;
    url->shown = NULL;
    return tide_err_errno(err, ENOMEM, "mysql");
}

static bool parse(struct tide_mysql_url *url, const char *text, struct tide_err *err)
{
    const char *rest = strstr(text, "://"), *slash, *at, *query;

    if (!rest)
        return refuse(err, "the URL has no ://");
    rest += 3;
    slash = rest + strcspn(rest, "/?");
    at = memchr(rest, '@', (size_t)(slash - rest));
    query = slash + strcspn(slash, "?");
    if (!at)
        return refuse(err, "the URL names no user");
    if (query - slash < 2)
        return refuse(err, "the URL names no database");
    if (!parse_login(url, rest, (size_t)(at - rest), err) ||
        !parse_host(url, at + 1, (size_t)(slash - at - 1), err))
        return false;
    url->database = decode(slash + 1, (size_t)(query - slash - 1), err);
    return url->database && parse_parameters(url, *query ? query + 1 : "", err) && show(url, err);
}

bool tide_mysql_url_parse(struct tide_mysql_url *url, const char *text, struct tide_err *err)
{
    *url = (struct tide_mysql_url){.connections = DEFAULT_CONNECTIONS};
    if (parse(url, text, err))
        return true;
    tide_mysql_url_release(url);
    return false;
}

void tide_mysql_url_release(struct tide_mysql_url *url)
{
    if (url->password)
        explicit_bzero(url->password, strlen(url->password));
    free(url->user);
    free(url->password);
    free(url->host);
    free(url->database);
    free(url->ssl_ca);
    free(url->socket);
    free(url->shown);
    *url = (struct tide_mysql_url){0};
}

bool tide_mysql_url_is_local(const struct tide_mysql_url *url)
{
    return url->socket || strcmp(url->host, "localhost") == 0 || strncmp(url->host, "127.", 4) == 0 ||
           strcmp(url->host, "::1") == 0;
}
