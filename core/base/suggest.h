/* "did you mean": the nearest of a few known words. For settings and the command line. Any thread. */
#ifndef TIDE_BASE_SUGGEST_H
#define TIDE_BASE_SUGGEST_H

#include <stddef.h>

/* The word nearest to `text` (insertions, deletions, changes and swaps of neighbours), or NULL when none is
 * near. */
const char *tide_suggest(const char *text, const char *const *words, size_t count);

#endif
