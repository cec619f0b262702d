/*
 * What an SMTP URL says:
 *   smtp://USER:PASSWORD@HOST:PORT?tls=required|opportunistic|off&cacert=FILE
 *   smtps://USER:PASSWORD@HOST:PORT?cacert=FILE
 * smtp begins in the clear and changes to TLS by STARTTLS (port 587 unless it is given), smtps is TLS from
 * its first byte (port 465). User and password are percent-encoded. `tls` is required; off when the host is
 * this machine. Any thread; the strings are the struct's.
 */
#ifndef TIDE_MAIL_SMTP_OPTIONS_H
#define TIDE_MAIL_SMTP_OPTIONS_H

#include <curl/curl.h>

#include "base/url.h"

struct tide_smtp_options {
    struct tide_url parts;       /* the others lie in it, but for: */
    char *url;                   /* scheme, host and port alone: fit for a message */
    const char *user, *password; /* NULL: no sign-in */
    const char *cacert;          /* PEM; NULL: the system's */
    long starttls;               /* CURLUSESSL_*, for smtp alone */
};

/* False: TIDE_ERR_INVALID, its message without the password. Nothing is held then. */
TIDE_WARN_UNUSED bool tide_smtp_options_parse(struct tide_smtp_options *options, const char *url,
                                              struct tide_err *err);
void tide_smtp_options_release(struct tide_smtp_options *options);

#endif
