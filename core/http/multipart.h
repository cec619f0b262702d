/*
 * A streaming parser of multipart/form-data (RFC 7578): bytes go in as they come, in pieces of any size, and
 * the parts' content goes into the caller's buffer. It holds a part's head (at most 8 KiB) and nothing else.
 * Not tied to a connection; any thread, one at a time. part.c ties it to a request.
 */
#ifndef TIDE_HTTP_MULTIPART_H
#define TIDE_HTTP_MULTIPART_H

#include <stddef.h>

#include "base/err.h"

#define TIDE_MULTIPART_MAX_HEAD 8192 /* bytes of one part's headers */
#define TIDE_MULTIPART_MAX_PARTS 100

struct tide_multipart;

enum tide_multipart_event {
    TIDE_MULTIPART_MORE,     /* the input is used up */
    TIDE_MULTIPART_PART,     /* the head of a part is complete: its name and so on can be asked */
    TIDE_MULTIPART_FULL,     /* the output is full; call again with room */
    TIDE_MULTIPART_PART_END, /* of the current part */
    TIDE_MULTIPART_END,      /* the closing boundary; what follows means nothing */
    TIDE_MULTIPART_BAD       /* malformed: tide_multipart_fault */
};

/* content_type: the value of that header, or NULL. TIDE_ERR_INVALID: not multipart/form-data or no usable
 * boundary. */
struct tide_multipart *tide_multipart_new(const char *content_type, struct tide_err *err);
void tide_multipart_free(struct tide_multipart *multipart);

/* Consumes from *data, *len up to the next event and adds content at out[*out_len], up to cap. out NULL:
 * content is skipped. After END and BAD do not call again. */
enum tide_multipart_event tide_multipart_parse(struct tide_multipart *multipart, const char **data,
                                               size_t *len, char *out, size_t cap, size_t *out_len);

/* Of the current part; valid until the next part's head. */
const char *tide_multipart_name(const struct tide_multipart *multipart);
const char *tide_multipart_filename(const struct tide_multipart *multipart);     /* NULL: none */
const char *tide_multipart_content_type(const struct tide_multipart *multipart); /* NULL: none */
const char *tide_multipart_fault(const struct tide_multipart *multipart);        /* static storage */

#endif
