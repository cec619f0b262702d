#include "queue/amqp/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/percent.h"
#include "base/unit.h"

#define CA_FILE "/etc/ssl/certs/ca-certificates.crt"

static bool refuse(struct tide_err *err, const char *what)
{
    return tide_err_set(err, TIDE_ERR_INVALID, false,
                        "queue: the URL %s; it is amqp://USER:PASSWORD@HOST[:PORT]/VHOST?NAME=VALUE", what);
}

/* ---- parts ---- */

static bool decode(char *text)
{
    return tide_percent_decode(text, strlen(text), text);
}

/* Ends *text at the first of `marks` and returns what is behind it, NULL when there is none. */
static char *cut(char *text, const char *marks)
{
    char *at = strpbrk(text, marks);

    if (!at)
        return NULL;
    *at = '\0';
    return at + 1;
}

static bool read_number(const char *text, long least, long most, int *number)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (end == text || *end || value < least || value > most)
        return false;
    *number = (int)value;
    return true;
}

/* ---- parameters ---- */

struct parameter {
    const char *name, *expected;
    bool (*set)(struct tide_amqp_url *url, const char *value);
};

static bool set_heartbeat(struct tide_amqp_url *url, const char *value)
{
    return read_number(value, 1, 300, &url->heartbeat_s);
}

static bool set_prefix(struct tide_amqp_url *url, const char *value)
{
    url->prefix = value;
    return strlen(value) <= TIDE_AMQP_PREFIX_LEN;
}

static bool set_queue_type(struct tide_amqp_url *url, const char *value)
{
    url->classic = strcmp(value, "classic") == 0;
    return url->classic || strcmp(value, "quorum") == 0;
}

static bool set_expires(struct tide_amqp_url *url, const char *value)
{
    struct tide_err err;

    return tide_unit_duration(value, &url->expires_ms, &err) && url->expires_ms >= 1000 &&
           url->expires_ms <= INT64_C(7) * 24 * 3600 * 1000;
}

static bool set_name(struct tide_amqp_url *url, const char *value)
{
    url->name = value;
    return *value && strlen(value) <= 100;
}

static bool set_cacert(struct tide_amqp_url *url, const char *value)
{
    url->cacert = value;
    return url->tls && *value;
}

static bool set_cert(struct tide_amqp_url *url, const char *value)
{
    url->cert = value;
    return url->tls && *value;
}

static bool set_key(struct tide_amqp_url *url, const char *value)
{
    url->key = value;
    return url->tls && *value;
}

static bool set_verify(struct tide_amqp_url *url, const char *value)
{
    url->verify = strcmp(value, "off") != 0;
    return url->tls && (!url->verify || strcmp(value, "on") == 0);
}

static const struct parameter parameters[] = {
    {"heartbeat", "1 to 300 seconds", set_heartbeat},
    {"prefix", "at most 64 bytes", set_prefix},
    {"queue_type", "quorum or classic", set_queue_type},
    {"expires", "a duration from 1s to 7d", set_expires},
    {"name", "1 to 100 bytes", set_name},
    {"cacert", "a file, with amqps://", set_cacert},
    {"cert", "a file, with amqps://", set_cert},
    {"key", "a file, with amqps://", set_key},
    {"verify", "on or off, with amqps://", set_verify},
};

static bool set_parameter(struct tide_amqp_url *url, const char *name, const char *value,
                          struct tide_err *err)
{
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        if (strcmp(parameters[i].name, name) != 0)
            continue;
        return parameters[i].set(url, value) ||
               tide_err_set(err, TIDE_ERR_INVALID, false, "queue: the URL's parameter '%s' is not %s", name,
                            parameters[i].expected);
    }
    return tide_err_set(err, TIDE_ERR_INVALID, false,
                        "queue: the URL has no parameter '%.40s'; there are heartbeat, prefix, queue_type, "
                        "expires, name, cacert, cert, key, verify",
                        name);
}

static bool read_parameters(struct tide_amqp_url *url, char *query, struct tide_err *err)
{
    while (query && *query) {
        char *next = cut(query, "&"), *value = cut(query, "=");

        if (!value || !decode(query) || !decode(value))
            return refuse(err, "has a parameter that is not NAME=VALUE");
        if (!set_parameter(url, query, value, err))
            return false;
        query = next;
    }
    if (!url->cert != !url->key)
        return refuse(err, "has one of 'cert' and 'key': both are needed");
    return true;
}

/* ---- the whole ---- */

static bool read_user(struct tide_amqp_url *url, char **at)
{
    char *user = *at, *host = cut(user, "@"), *password;

    if (!host)
        return true;
    password = cut(user, ":");
    if (!password || !decode(user) || !decode(password))
        return false;
    url->user = user;
    url->password = password;
    *at = host;
    return true;
}

static bool read_host(struct tide_amqp_url *url, char *host)
{
    char *port;

    if (*host == '[') {
        char *end = strchr(++host, ']');

        if (!end)
            return false;
        *end = '\0';
        port = end[1] == ':' ? end + 2 : NULL;
        if (end[1] && !port)
            return false;
    } else {
        port = cut(host, ":");
    }
    url->host = host;
    return *host && decode(host) && (!port || read_number(port, 1, 65535, &url->port));
}

static bool show(struct tide_amqp_url *url)
{
    const char *scheme = url->tls ? "amqps" : "amqp";

    return asprintf(&url->shown, "%s://%s:***@%s:%d/%s", scheme, url->user, url->host, url->port,
                    strcmp(url->vhost, "/") == 0 ? "" : url->vhost) >= 0;
}

static bool parse(struct tide_amqp_url *url, struct tide_err *err)
{
    char *at = strstr(url->text, "://"), *query, *vhost;

    if (!at)
        return refuse(err, "has no host");
    at += 3;
    query = cut(at, "?");
    vhost = cut(at, "/");
    if (vhost && *vhost)
        url->vhost = vhost;
    if (vhost && !decode(vhost))
        return refuse(err, "has a vhost that is not percent-encoded");
    if (!read_user(url, &at))
        return refuse(err, "has a user's part that is not USER:PASSWORD");
    if (!read_host(url, at))
        return refuse(err, "has no HOST or HOST:PORT");
    return read_parameters(url, query, err) && (show(url) || tide_err_errno(err, ENOMEM, "queue"));
}

bool tide_amqp_url_parse(struct tide_amqp_url *url, const char *text, struct tide_err *err)
{
    bool tls = strncmp(text, "amqps:", 6) == 0;

    *url = (struct tide_amqp_url){.text = strdup(text),
                                  .user = "guest",
                                  .password = "guest",
                                  .vhost = "/",
                                  .name = "tidemill",
                                  .prefix = "",
                                  .cacert = tls ? CA_FILE : NULL,
                                  .port = tls ? 5671 : 5672,
                                  .heartbeat_s = 10,
                                  .tls = tls,
                                  .verify = true};
    if (!url->text)
        return tide_err_errno(err, ENOMEM, "queue");
    if (parse(url, err))
        return true;
    tide_amqp_url_release(url);
    return false;
}

void tide_amqp_url_release(struct tide_amqp_url *url)
{
    free(url->text);
    free(url->shown);
    *url = (struct tide_amqp_url){0};
}
