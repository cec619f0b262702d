#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

#define READ_STEP 16384

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

bool tide_buf_int(struct tide_buf *buf, int64_t value)
{
    uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
    char digits[21], *first = digits + sizeof digits;

    do
        *--first = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0)
        *--first = '-';
    return tide_buf_append(buf, first, (size_t)(digits + sizeof digits - first));
}

bool tide_buf_printf(struct tide_buf *buf, const char *fmt, ...)
{
    size_t room = buf->data ? buf->cap - buf->len : 0;
    va_list args;
    char *to;
    int n;

    va_start(args, fmt);
    n = vsnprintf(room ? buf->data + buf->len : NULL, room, fmt, args);
    va_end(args);
    if (n < 0 || !(to = tide_buf_reserve(buf, (size_t)n))) {
        if (room)
            buf->data[buf->len] = '\0';
        return false;
    }
    if ((size_t)n >= room) { /* it did not fit at first */
        va_start(args, fmt);
        vsnprintf(to, (size_t)n + 1, fmt, args);
        va_end(args);
    }
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
        if (c < 0x80)
            tide_buf_printf(buf, "\\u%04x", c);
        else /* no UTF-8 */
            tide_buf_puts(buf, "\xEF\xBF\xBD");
    }
}

/* Bytes of the text, from its start on, that stand for themselves in a JSON string. */
static size_t json_plain(const char *text, size_t len)
{
    size_t i = 0, n;

    while (i < len && text[i] != '"' && text[i] != '\\' && (unsigned char)text[i] >= 0x20 &&
           text[i] != 0x7F) {
        n = (unsigned char)text[i] < 0x80 ? 1 : tide_utf8_len(text + i, len - i);
        if (n == 0)
            break;
        i += n;
    }
    return i;
}

bool tide_buf_json(struct tide_buf *buf, const char *text, size_t len)
{
    size_t i, plain;

    tide_buf_putc(buf, '"');
    for (i = 0; i < len; i++) {
        plain = json_plain(text + i, len - i);
        tide_buf_append(buf, text + i, plain);
        i += plain;
        if (i < len)
            json_char(buf, (unsigned char)text[i]);
    }
    return tide_buf_putc(buf, '"');
}

bool tide_buf_read(struct tide_buf *buf, int fd, size_t most)
{
    size_t before = buf->len;

    while (buf->len - before <= most) {
        char *to = tide_buf_reserve(buf, READ_STEP);
        ssize_t n;

        if (!to) {
            errno = ENOBUFS;
            return false;
        }
        n = read(fd, to, READ_STEP);
        to[n > 0 ? n : 0] = '\0';
        if (n <= 0)
            return n == 0;
        buf->len += (size_t)n;
    }
    errno = EFBIG;
    return false;
}

char *tide_buf_take(struct tide_buf *buf, size_t *len)
{
    char *data = buf->data;

    if (len)
        *len = buf->len;
    tide_buf_init(buf, buf->max);
    return data;
}
