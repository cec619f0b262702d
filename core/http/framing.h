/*
 * Is this head one that every HTTP implementation on the way reads in the same way? libmicrohttpd takes a lot
 * that RFC 9112 forbids (both Content-Length and Transfer-Encoding, repeated ones, spaces in names), which is
 * how requests are smuggled past a proxy. Pure functions for the server; any thread.
 *
 * tide_framing_header for every header in order, then tide_framing_finish. The first fault found is kept.
 */
#ifndef TIDE_HTTP_FRAMING_H
#define TIDE_HTTP_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tide_framing {
    int status;             /* 0 while nothing is wrong, else what to answer before closing */
    const char *reason;     /* static storage */
    int64_t content_length; /* -1: chunked */
    bool has_body;          /* chunked or a length above 0 */
    bool expect_continue;
    unsigned hosts, lengths, encodings;
};

void tide_framing_init(struct tide_framing *framing);
void tide_framing_header(struct tide_framing *framing, const char *name, size_t name_len, const char *value,
                         size_t value_len);
/* False: answer framing->status. */
bool tide_framing_finish(struct tide_framing *framing, const char *method, const char *version);

/* Is name a token (RFC 9110, 5.6.2), and value free of control bytes but tab? */
bool tide_framing_name_ok(const char *name, size_t len);
bool tide_framing_value_ok(const char *value, size_t len);

/*
 * Splits a request target in origin or absolute form. `path` gets the decoded path (it has strlen(target) + 2
 * bytes), *query points behind '?' in target or to "". NULL, or why it is refused: control bytes, a fragment,
 * bad escapes, encoded '/', '\' or NUL, dot segments.
 */
const char *tide_framing_target(const char *target, char *path, const char **query);

#endif
