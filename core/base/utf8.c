#include "base/utf8.h"

size_t tide_utf8_len(const char *text, size_t left)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n, i;

    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        n = 2;
    else if (s[0] >= 0xE0 && s[0] <= 0xEF)
        n = 3;
    else if (s[0] >= 0xF0 && s[0] <= 0xF4)
        n = 4;
    else
        return 0;
    if (left < n)
        return 0;
    for (i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return n;
}

bool tide_utf8_valid(const char *text, size_t len)
{
    size_t i = 0, n;

    while (i < len) {
        n = tide_utf8_len(text + i, len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}
