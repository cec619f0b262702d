#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void tide_buf_init(struct tide_buf *buf, size_t max)
{
    memset(buf, 0, sizeof *buf);
    buf->max = max;
}

void tide_buf_release(struct tide_buf *buf)
{
    free(buf->data);
    tide_buf_init(buf, buf->max);
}

void tide_buf_reset(struct tide_buf *buf)
{
    buf->len = 0;
    buf->overflow = false;
    if (buf->data)
        buf->data[0] = '\0';
}

char *tide_buf_reserve(struct tide_buf *buf, size_t len)
{
    size_t need, cap;
    char *data;

    if (buf->overflow || len > buf->max || buf->len > buf->max - len) {
        buf->overflow = true;
        return NULL;
    }
    need = buf->len + len + 1;
    if (need <= buf->cap)
        return buf->data + buf->len;
    cap = buf->cap ? buf->cap : 64;
    while (cap < need)
        cap *= 2;
    data = realloc(buf->data, cap);
    if (!data) {
        buf->overflow = true;
        return NULL;
    }
    buf->data = data;
    buf->cap = cap;
    return data + buf->len;
}

bool tide_buf_append(struct tide_buf *buf, const void *data, size_t len)
{
    char *to = tide_buf_reserve(buf, len);

    if (!to)
        return false;
    if (len)
        memcpy(to, data, len);
    to[len] = '\0';
    buf->len += len;
    return true;
}

bool tide_buf_puts(struct tide_buf *buf, const char *text)
{
    return tide_buf_append(buf, text, strlen(text));
}

bool tide_buf_putc(struct tide_buf *buf, char c)
{
    return tide_buf_append(buf, &c, 1);
}

bool tide_buf_printf(struct tide_buf *buf, const char *fmt, ...)
{
    va_list args;
    char *to;
    int n;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0 || !(to = tide_buf_reserve(buf, (size_t)n)))
        return false;
    va_start(args, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)n;
    return true;
}

static void json_char(struct tide_buf *buf, unsigned char c)
{
    switch (c) {
    case '"':
        tide_buf_puts(buf, "\\\"");
        break;
    case '\\':
        tide_buf_puts(buf, "\\\\");
        break;
    case '\n':
        tide_buf_puts(buf, "\\n");
        break;
    case '\r':
        tide_buf_puts(buf, "\\r");
        break;
    case '\t':
        tide_buf_puts(buf, "\\t");
        break;
    default:
        tide_buf_printf(buf, "\\u%04x", c);
    }
}

bool tide_buf_json(struct tide_buf *buf, const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t i = 0, n;

    tide_buf_putc(buf, '"');
    while (i < len) {
        n = tide_utf8_len(text + i, len - i);
        if (n == 0) {
            tide_buf_puts(buf, "\xEF\xBF\xBD");
            n = 1;
        } else if (n == 1 && (s[i] < 0x20 || s[i] == '"' || s[i] == '\\' || s[i] == 0x7F)) {
            json_char(buf, s[i]);
        } else {
            tide_buf_append(buf, s + i, n);
        }
        i += n;
    }
    return tide_buf_putc(buf, '"');
}

char *tide_buf_take(struct tide_buf *buf, size_t *len)
{
    char *data = buf->data;

    if (len)
        *len = buf->len;
    tide_buf_init(buf, buf->max);
    return data;
}
