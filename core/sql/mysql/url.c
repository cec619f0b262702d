#include "sql/mysql/url.h"

#include <string.h>

#define FORM "mysql://USER:PASSWORD@HOST[:PORT]/DATABASE"
#define DEFAULT_PORT 3306
#define DEFAULT_CONNECTIONS 8
#define MAX_CONNECTIONS 64

static bool refuse(struct tide_err *err, const char *what)
{
    return tide_err_set(err, TIDE_ERR_INVALID, false, "%s; it is written %s", what, FORM);
}

/* ---- parameters ---- */

static bool set_ca(void *target, const char *value)
{
    struct tide_mysql_url *url = target;

    url->ssl_ca = value;
    return *value;
}

static bool set_mode(void *target, const char *value)
{
    struct tide_mysql_url *url = target;

    url->clear = strcmp(value, "disabled") == 0;
    url->verify = strcmp(value, "verify_identity") == 0;
    return url->clear || url->verify;
}

static bool set_socket(void *target, const char *value)
{
    struct tide_mysql_url *url = target;

    url->socket = value;
    return *value;
}

static bool set_connections(void *target, const char *value)
{
    struct tide_mysql_url *url = target;

    return tide_url_number(value, 1, MAX_CONNECTIONS, &url->connections);
}

static const struct tide_url_parameter parameters[] = {
    {"ssl_ca", "a file", set_ca},
    {"ssl_mode", "disabled or verify_identity (what is not verified would only look safe)", set_mode},
    {"socket", "a file", set_socket},
    {"connections", "a number from 1 to 64", set_connections},
};

/* ---- the whole ---- */

static bool take(struct tide_mysql_url *url, struct tide_err *err)
{
    struct tide_url *parts = &url->parts;

    if (!parts->user || !*parts->user)
        return refuse(err, "the URL names no user");
    if (!parts->path || !*parts->path)
        return refuse(err, "the URL names no database");
    if (!tide_url_parameters(parts, parameters, sizeof parameters / sizeof *parameters, url, err))
        return false;
    if (url->ssl_ca && url->clear)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "ssl_ca is of no use with ssl_mode=disabled");
    url->verify = url->verify || url->ssl_ca;
    url->user = parts->user;
    url->password = parts->password ? parts->password : "";
    url->host = parts->host;
    url->database = parts->path;
    url->port = parts->port ? parts->port : DEFAULT_PORT;
    url->shown = parts->shown;
    return true;
}

bool tide_mysql_url_parse(struct tide_mysql_url *url, const char *text, struct tide_err *err)
{
    *url = (struct tide_mysql_url){.connections = DEFAULT_CONNECTIONS};
    if (tide_url_parse(&url->parts, text, FORM, err) && take(url, err))
        return true;
    tide_mysql_url_release(url);
    return tide_err_prefix(err, "mysql");
}

void tide_mysql_url_release(struct tide_mysql_url *url)
{
    tide_url_release(&url->parts);
    *url = (struct tide_mysql_url){0};
}

bool tide_mysql_url_is_local(const struct tide_mysql_url *url)
{
    return url->socket || tide_url_is_local(url->host);
}
