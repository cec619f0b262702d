#include "base/percent.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int tide_percent_byte(const char *text, size_t left)
{
    int high, low;

    if (left < 3)
        return -1;
    high = hex_digit(text[1]);
    low = hex_digit(text[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool tide_percent_decode(const char *text, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++) {
        int byte = (unsigned char)text[i];

        if (text[i] == '%') {
            byte = tide_percent_byte(text + i, len - i);
            if (byte <= 0)
                return false;
            i += 2;
        }
        *out++ = (char)byte;
    }
    *out = '\0';
    return true;
}
