/*
 * Percent-encoding (RFC 3986) and query strings (application/x-www-form-urlencoded). Pure functions for the
 * HTTP server and the bindings: strict, so that no two readers of one URL can understand it differently.
 * Any thread. Errors are TIDE_ERR_INVALID (a client's mistake, 400) or TIDE_ERR_LIMIT.
 */
#ifndef TIDE_HTTP_URL_H
#define TIDE_HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum tide_url_part {
    TIDE_URL_PATH, /* '+' is a plus. Split at '/' first, decode each segment after: %2F is no separator */
    TIDE_URL_FORM  /* '+' is a space */
};

/* Decodes into out, which has len + 1 bytes and may be `text` itself; always NUL-terminated.
 * Refuses %00, a '%' without two hex digits, raw control bytes and spaces. */
TIDE_WARN_UNUSED bool tide_url_decode(const char *text, size_t len, enum tide_url_part part, char *out,
                                      struct tide_err *err);

/* Appends text with everything but unreserved characters as %XX (spaces become %20). */
bool tide_url_encode(struct tide_buf *out, const char *text, size_t len);

/* The port of an http or https URL, its scheme's when none is given; 0 when it is neither. */
int tide_url_port(const char *url);

struct tide_query_pair {
    const char *name;  /* decoded, NUL-terminated, not empty */
    const char *value; /* decoded; "" when there was no '=' */
};

struct tide_query {
    struct tide_query_pair *pairs; /* in the order of the text; names may repeat */
    size_t count;
    void *memory;
};

/* Parses "a=1&b=2" (without the '?'). Empty pieces ("a=1&&b") are skipped; a piece with an empty name is
 * refused; more than max_pairs is TIDE_ERR_LIMIT. One allocation, none for an empty text. On false nothing is
 * held. */
TIDE_WARN_UNUSED bool tide_query_parse(struct tide_query *query, const char *text, size_t len,
                                       size_t max_pairs, struct tide_err *err);
void tide_query_release(struct tide_query *query);

/* The first value of that name, or NULL. */
const char *tide_query_get(const struct tide_query *query, const char *name);

#endif
