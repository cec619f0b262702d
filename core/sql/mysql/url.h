/*
 * The URL of a MySQL or MariaDB database (base/url.h):
 *   mysql://USER:PASSWORD@HOST[:PORT]/DATABASE[?PARAMETER=VALUE&...]
 * Parameters: ssl_ca=FILE, ssl_mode=disabled|verify_identity, socket=FILE, connections=1..64. Any other is
 * refused by its name.
 */
#ifndef TIDE_SQL_MYSQL_URL_H
#define TIDE_SQL_MYSQL_URL_H

#include "base/url.h"

struct tide_mysql_url {
    struct tide_url parts;                         /* the others lie in it */
    const char *user, *password, *host, *database; /* decoded */
    unsigned port;
    unsigned connections; /* at most so many at a time */
    bool clear, verify;   /* TLS not wanted, or with the server's certificate and name verified */
    const char *ssl_ca;   /* NULL: the system's authorities */
    const char *socket;   /* NULL: TCP */
    const char *shown;    /* for messages: the URL without password and parameters */
};

TIDE_WARN_UNUSED bool tide_mysql_url_parse(struct tide_mysql_url *url, const char *text,
                                           struct tide_err *err);
void tide_mysql_url_release(struct tide_mysql_url *url);

/* Whether what is sent stays on this machine. */
bool tide_mysql_url_is_local(const struct tide_mysql_url *url);

#endif
