/*
 * What a mail driver is: a blocking delivery, made on a thread of the mailer's pool, several at a time.
 * Cancelling and queueing is the mailer's (mailer.c).
 */
#ifndef TIDE_MAIL_DRIVER_H
#define TIDE_MAIL_DRIVER_H

#include <stdatomic.h>

#include "mail/mail.h"

struct tide_mail_backend;

struct tide_mail_envelope {
    char from[255], to[255]; /* local@host */
    char message_id[128];    /* with its angle brackets */
    const char *data;        /* the whole message, lines end with CRLF */
    size_t len;
    int64_t before_ms;           /* of the message */
    const atomic_bool *canceled; /* nobody waits any more */
};

/* Whether it may be given up, if that is certain to send nothing: nobody waits any more, or it is too late.
 * err, unless NULL, says which. Any thread. */
bool tide_mail_given_up(const struct tide_mail_envelope *envelope, struct tide_err *err);

struct tide_mail_driver {
    unsigned threads; /* deliveries at a time */
    /* Whether the URL is right, as open sees it. Reaches and makes nothing. */
    bool (*check)(const char *url, struct tide_err *err);
    struct tide_mail_backend *(*open)(const char *url, const struct tide_log *log, struct tide_err *err);
    void (*close)(struct tide_mail_backend *backend);
    bool (*ready)(struct tide_mail_backend *backend, struct tide_err *err);
    /* True when the message is handed over durably, or had been before. Bounded in time. An error that is not
     * retryable is about this message: it can never be sent. */
    bool (*deliver)(struct tide_mail_backend *backend, const struct tide_mail_envelope *envelope,
                    struct tide_err *err);
};

extern const struct tide_mail_driver tide_mail_maildir_driver;

#endif
