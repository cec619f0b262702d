/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates. Any thread. */
#ifndef TIDE_BASE_UTF8_H
#define TIDE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the sequence at text (1..4), or 0 when it is not one. left > 0: bytes that may be looked at. */
size_t tide_utf8_len(const char *text, size_t left);

bool tide_utf8_valid(const char *text, size_t len);

#endif
