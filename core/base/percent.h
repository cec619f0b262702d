/* Percent-encoding of URLs (RFC 3986, 2.1). Pure functions; any thread. */
#ifndef TIDE_BASE_PERCENT_H
#define TIDE_BASE_PERCENT_H

#include <stddef.h>

#include "base/err.h"

/* The byte that %XX at text stands for; -1 when no two hex digits follow within `left` bytes. */
int tide_percent_byte(const char *text, size_t left);

/* Copies text[0..len) with its %XX decoded, and a NUL behind. `out` has room for len + 1 bytes and may be
 * `text`. False for a % without two hex digits, and for %00. */
TIDE_WARN_UNUSED bool tide_percent_decode(const char *text, size_t len, char *out);

#endif
