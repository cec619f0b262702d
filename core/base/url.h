/*
 * The URL of a backend's server:
 *   SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH][?NAME=VALUE&...]
 * with %XX for what is special in a part; an IPv6 address stands in brackets. Used by the drivers that reach
 * a server, and by whoever shows a URL: no message here holds the password. Pure functions; any thread.
 */
#ifndef TIDE_BASE_URL_H
#define TIDE_BASE_URL_H

#include "base/buf.h"
#include "base/err.h"

struct tide_url {
    char *text;                   /* the parts lie in it */
    char *shown;                  /* for messages: without password and parameters */
    char *scheme, *host;          /* an IPv6 address without its brackets */
    char *user, *password, *path; /* decoded; NULL: not there; the path without its first slash */
    unsigned port;                /* 0: none given */
    char *query;                  /* as it is; NULL: none */
};

/* `form` is how such a URL is written, for the message of a wrong one. On false nothing is held. */
TIDE_WARN_UNUSED bool tide_url_parse(struct tide_url *url, const char *text, const char *form,
                                     struct tide_err *err);
void tide_url_release(struct tide_url *url); /* wipes the password */

/* A parameter that a driver knows. `set` puts the decoded value, which lives as long as the URL, into
 * `target`; false: it is none of `allowed`. */
struct tide_url_parameter {
    const char *name, *allowed;
    bool (*set)(void *target, const char *value);
};

/* Sets all parameters, in their order. An unknown name is refused with those that are known. Once a URL. */
TIDE_WARN_UNUSED bool tide_url_parameters(struct tide_url *url, const struct tide_url_parameter *known,
                                          size_t count, void *target, struct tide_err *err);

/* The whole text as a number from `least` to `most`. */
TIDE_WARN_UNUSED bool tide_url_number(const char *text, unsigned least, unsigned most, unsigned *number);

/* Whether what is sent to `host` stays on this machine. */
bool tide_url_is_local(const char *host);

/* Whether user and password are encoded: a "/", "@", "?" or "#" in them would cut the URL in other places
 * than was meant, and their parts would be taken for a host, and shown as one. Any URL; false with err. */
TIDE_WARN_UNUSED bool tide_url_check_credentials(const char *url, struct tide_err *err);

/* Appends any URL with "***" for its password. */
void tide_url_redact(const char *url, struct tide_buf *out);
/* That without parameters, the caller's to free. NULL when memory is out. */
char *tide_url_show(const char *url);

#endif
