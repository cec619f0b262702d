#include "queue/amqp/url.h"

#include <string.h>

#include "base/unit.h"

#define CA_FILE "/etc/ssl/certs/ca-certificates.crt"
#define FORM "amqp://USER:PASSWORD@HOST[:PORT]/VHOST"

/* ---- parameters ---- */

static bool set_heartbeat(void *target, const char *value)
{
    struct tide_amqp_url *url = target;

    return tide_url_number(value, 1, 300, &url->heartbeat_s);
}

static bool set_prefix(void *target, const char *value)
{
    struct tide_amqp_url *url = target;

    url->prefix = value;
    return strlen(value) <= TIDE_AMQP_PREFIX_LEN;
}

static bool set_queue_type(void *target, const char *value)
{
    struct tide_amqp_url *url = target;

    url->classic = strcmp(value, "classic") == 0;
    return url->classic || strcmp(value, "quorum") == 0;
}

static bool set_expires(void *target, const char *value)
{
    struct tide_amqp_url *url = target;
    struct tide_err err;

    return tide_unit_duration(value, &url->expires_ms, &err) && url->expires_ms >= 1000 &&
           url->expires_ms <= INT64_C(7) * 24 * 3600 * 1000;
}

static bool set_name(void *target, const char *value)
{
    struct tide_amqp_url *url = target;

    url->name = value;
    return *value && strlen(value) <= 100;
}

static bool set_cacert(void *target, const char *value)
{
    struct tide_amqp_url *url = target;

    url->cacert = value;
    return url->tls && *value;
}

static bool set_cert(void *target, const char *value)
{
    struct tide_amqp_url *url = target;

    url->cert = value;
    return url->tls && *value;
}

static bool set_key(void *target, const char *value)
{
    struct tide_amqp_url *url = target;

    url->key = value;
    return url->tls && *value;
}

static bool set_verify(void *target, const char *value)
{
    struct tide_amqp_url *url = target;

    url->verify = strcmp(value, "off") != 0;
    return url->tls && (!url->verify || strcmp(value, "on") == 0);
}

static const struct tide_url_parameter parameters[] = {
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

/* ---- the whole ---- */

static bool take(struct tide_amqp_url *url, struct tide_err *err)
{
    struct tide_url *parts = &url->parts;

    url->tls = strcmp(parts->scheme, "amqps") == 0;
    url->cacert = url->tls ? CA_FILE : NULL;
    if (parts->user && !parts->password)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "the URL has a user without a password; it is written %s", FORM);
    if (!tide_url_parameters(parts, parameters, sizeof parameters / sizeof *parameters, url, err))
        return false;
    if (!url->cert != !url->key)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "the URL has one of 'cert' and 'key': both are needed");
    url->user = parts->user ? parts->user : "guest";
    url->password = parts->user ? parts->password : "guest";
    url->host = parts->host;
    url->vhost = parts->path && *parts->path ? parts->path : "/";
    url->port = parts->port ? (int)parts->port : url->tls ? 5671 : 5672;
    url->shown = parts->shown;
    return true;
}

bool tide_amqp_url_parse(struct tide_amqp_url *url, const char *text, struct tide_err *err)
{
    *url = (struct tide_amqp_url){.name = "tidemill", .prefix = "", .heartbeat_s = 10, .verify = true};
    if (tide_url_parse(&url->parts, text, FORM, err) && take(url, err))
        return true;
    tide_amqp_url_release(url);
    return tide_err_prefix(err, "queue");
}

void tide_amqp_url_release(struct tide_amqp_url *url)
{
    tide_url_release(&url->parts);
    *url = (struct tide_amqp_url){0};
}
