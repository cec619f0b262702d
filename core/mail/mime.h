/* The encodings of an e-mail: addresses, header words, bodies. Pure functions; any thread. */
#ifndef TIDE_MAIL_MIME_H
#define TIDE_MAIL_MIME_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct tide_mail_address {
    char name[256]; /* UTF-8, may be empty */
    char spec[255]; /* local@host, ASCII */
};

/* "local@host", "Name <local@host>" or "\"Name\" <local@host>", one address. */
TIDE_WARN_UNUSED bool tide_mail_address_parse(const char *text, struct tide_mail_address *address,
                                              struct tide_err *err);

/* True for 1..80 letters, digits, dots and hyphens that a Message-ID may end with. */
bool tide_mail_domain_valid(const char *domain);

/* Append a whole header line, folded, its text in encoded words (RFC 2047) when it has to be. */
void tide_mail_put_text(struct tide_buf *out, const char *header, const char *text);
void tide_mail_put_address(struct tide_buf *out, const char *header, const struct tide_mail_address *address);

/* Appends text as quoted-printable (RFC 2045), lines of at most 76, every kind of line end as CRLF. */
void tide_mail_put_quoted(struct tide_buf *out, const char *text);

/* Ends a head with Content-Transfer-Encoding and appends the text: as it is where mail takes that (a link can
 * then be copied from the file), else quoted-printable. Neither ever has "=_". */
void tide_mail_put_content(struct tide_buf *out, const char *text);

#endif
