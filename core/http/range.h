/*
 * Range requests and entity tags (RFC 9110, sections 8.8, 13.1 and 14): what a handler that serves stored
 * bytes needs to answer 200, 206, 304 or 416. Pure functions, any thread.
 */
#ifndef TIDE_HTTP_RANGE_H
#define TIDE_HTTP_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum tide_range_result {
    TIDE_RANGE_NONE,         /* no range, not in bytes, malformed or more than one: send everything, 200 */
    TIDE_RANGE_ONE,          /* 206 with Content-Range: bytes first-last/length */
    TIDE_RANGE_UNSATISFIABLE /* 416; its Content-Range has an asterisk for the range */
};

struct tide_range {
    int64_t first;
    int64_t last; /* inclusive */
};

/* `header` is the value of Range or NULL; length the size of the whole in bytes, >= 0. Fills range for ONE.
 */
enum tide_range_result tide_range_parse(const char *header, int64_t length, struct tide_range *range);

/* Is `etag` (with its quotes, perhaps W/) in the list of an If-None-Match header, by weak comparison? "*"
 * matches anything. NULL or malformed: false. True for GET and HEAD means 304. */
bool tide_etag_listed(const char *header, const char *etag);

/* Does If-Range allow the range: is it absent (NULL) or exactly this strong etag? A date never does, as
 * nothing here is served with Last-Modified alone. */
bool tide_etag_if_range(const char *header, const char *etag);

#endif
