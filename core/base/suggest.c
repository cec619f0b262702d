#include "base/suggest.h"

#include <stdbool.h>
#include <string.h>

#define MAX_WORD 63

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment; both at most MAX_WORD long. */
static unsigned distance(const char *a, size_t alen, const char *b, size_t blen)
{
    unsigned rows[3][MAX_WORD + 1];

    for (size_t j = 0; j <= blen; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= alen; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= blen; j++) {
            unsigned cost = a[i - 1] != b[j - 1];
            row[j] = least(above[j - 1] + cost, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], two[j - 2] + 1);
        }
    }
    return rows[alen % 3][blen];
}

const char *tide_suggest(const char *text, const char *const *words, size_t count)
{
    size_t len = strlen(text);
    const char *nearest = NULL;
    unsigned best = (unsigned)(len / 3) + 1; /* a third of the word may be wrong */

    if (len > MAX_WORD)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t wlen = strlen(words[i]);
        if (wlen > MAX_WORD)
            continue;
        unsigned d = distance(text, len, words[i], wlen);
        if (d < wlen && d <= best && (!nearest || d < best)) {
            nearest = words[i];
            best = d;
        }
    }
    return nearest;
}
