/*
 * The head of a multipart part: Content-Disposition with its names in all the ways that clients write them,
 * and Content-Type. Pure functions for multipart.c; any thread.
 */
#ifndef TIDE_HTTP_DISPOSITION_H
#define TIDE_HTTP_DISPOSITION_H

#include <stdbool.h>
#include <stddef.h>

struct tide_part_head {
    const char *name;     /* UTF-8, as the next */
    const char *filename; /* base name without control bytes, at most 255 bytes; NULL: none given */
    const char *content_type;
};

/* Parses and overwrites `text`, header lines that each end in CRLF, NUL-terminated; `head` points into it.
 * NULL, or what is wrong (static storage). */
const char *tide_part_head_parse(char *text, struct tide_part_head *head);

/* The next parameter of a header value, for text behind its first token: skips ';' and spaces, ends name and
 * value with NUL and unquotes in place, and moves *text behind them. 1: found, 0: no further, -1: malformed.
 */
int tide_parameter_next(char **text, char **name, char **value);

#endif
