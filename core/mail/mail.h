/*
 * Sends e-mail. Everything on the loop thread. A driver is chosen by the URL's scheme:
 *   maildir:DIR      real messages (.eml content) in a maildir: tmp, fsync, rename to new (mail/maildir.c)
 *   smtp:, smtps:    to a server, with TLS and sign-in (mail/smtp/, a module)
 * Messages are built once (mail/message.c) for every driver: RFC 5322, MIME, UTF-8.
 */
#ifndef TIDE_MAIL_MAIL_H
#define TIDE_MAIL_MAIL_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"

struct tide_mail_message {
    const char *from;    /* "name@host" or "Name <name@host>"; NULL in tide_mail_send: the mailer's default */
    const char *to;      /* one address, as from */
    const char *subject; /* UTF-8 */
    const char *text;    /* UTF-8, required */
    const char *html;    /* UTF-8, or NULL: then the message is text/plain alone */
    /* What makes the message one: same id, same Message-ID. The maildir keeps one; an SMTP server takes it
     * again, so that whoever must not repeat it has to note that it was sent. NULL: random. */
    const char *id;
    int64_t before_ms; /* wall clock: given up when the server has not got the text by then; 0: never */
};

/* Checks addresses, refuses CR, LF and other controls in header values (TIDE_ERR_INVALID), and appends the
 * whole message with CRLF lines. `domain` is used for the Message-ID. */
TIDE_WARN_UNUSED bool tide_mail_build(const struct tide_mail_message *message, const char *domain,
                                      struct tide_buf *out, struct tide_err *err);
/* "<hash of id@domain>": the same for the same id. */
void tide_mail_message_id(const char *id, const char *domain, char out[128]);

struct tide_mailer;
/* Whether the URL is right: what tide_mailer_open would say of it. Reaches and makes nothing. Any thread. */
TIDE_WARN_UNUSED bool tide_mailer_check(const char *url, struct tide_err *err);
struct tide_mailer *tide_mailer_open(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                     const char *default_from, struct tide_err *err);
/* Blocks until what was sent is delivered; callbacks that were not canceled run inside. */
void tide_mailer_close(struct tide_mailer *mailer);
/* Whether it can take messages. Blocks shortly; any thread, one at a time. */
bool tide_mailer_ready(struct tide_mailer *mailer, struct tide_err *err);

/* err NULL: handed over durably. Never inside the call. The maildir takes a message whose id was sent already
 * without keeping a second one. An error that is not retryable says that this message can never be sent. */
typedef void tide_mail_cb(void *arg, const struct tide_err *err);
struct tide_mail_call;
struct tide_mail_call *tide_mail_send(struct tide_mailer *mailer, const struct tide_mail_message *message,
                                      tide_mail_cb *cb, void *arg, struct tide_err *err);
void tide_mail_call_cancel(struct tide_mail_call *call);

#endif
