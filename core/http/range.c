#include "http/range.h"

#include <string.h>
#include <strings.h>

static const char *skip_space(const char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

/* Reads digits; huge numbers saturate. Returns -1 when there is no digit. */
static int64_t read_number(const char **s)
{
    int64_t value = 0;

    if (**s < '0' || **s > '9')
        return -1;
    for (; **s >= '0' && **s <= '9'; (*s)++)
        value = value > (INT64_MAX - 9) / 10 ? INT64_MAX / 10 : value * 10 + (**s - '0');
    return value;
}

static enum tide_range_result resolve_suffix(int64_t count, int64_t length, struct tide_range *range)
{
    if (count == 0)
        return TIDE_RANGE_UNSATISFIABLE;
    if (length == 0)
        return TIDE_RANGE_NONE; /* satisfiable by the RFC, but no Content-Range can say so */
    range->first = count < length ? length - count : 0;
    range->last = length - 1;
    return TIDE_RANGE_ONE;
}

static enum tide_range_result resolve(int64_t first, int64_t last, int64_t length, struct tide_range *range)
{
    if (first < 0)
        return last < 0 ? TIDE_RANGE_NONE : resolve_suffix(last, length, range);
    if (last >= 0 && last < first)
        return TIDE_RANGE_NONE;
    if (first >= length)
        return TIDE_RANGE_UNSATISFIABLE;
    range->first = first;
    range->last = last < 0 || last >= length ? length - 1 : last;
    return TIDE_RANGE_ONE;
}

enum tide_range_result tide_range_parse(const char *header, int64_t length, struct tide_range *range)
{
    int64_t first, last;

    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return TIDE_RANGE_NONE;
    header = skip_space(header + 6);
    first = read_number(&header);
    if (*header++ != '-')
        return TIDE_RANGE_NONE;
    last = read_number(&header);
    if (*skip_space(header) != '\0')
        return TIDE_RANGE_NONE;
    return resolve(first, last, length, range);
}

/* The length of the entity tag at s, or 0 when there is none. */
static size_t etag_len(const char *s)
{
    const char *p = strncmp(s, "W/", 2) == 0 ? s + 2 : s;

    if (*p++ != '"')
        return 0;
    while (*p != '"') {
        if ((unsigned char)*p < 0x21 || *p == 0x7F)
            return 0;
        p++;
    }
    return (size_t)(p + 1 - s);
}

static bool same_weakly(const char *tag, size_t len, const char *etag)
{
    if (strncmp(tag, "W/", 2) == 0) {
        tag += 2;
        len -= 2;
    }
    if (strncmp(etag, "W/", 2) == 0)
        etag += 2;
    return strlen(etag) == len && memcmp(tag, etag, len) == 0;
}

bool tide_etag_listed(const char *header, const char *etag)
{
    size_t len;

    if (!header)
        return false;
    header = skip_space(header);
    if (*header == '*')
        return *skip_space(header + 1) == '\0';
    while ((len = etag_len(header)) > 0) {
        if (same_weakly(header, len, etag))
            return true;
        header = skip_space(header + len);
        while (*header == ',')
            header = skip_space(header + 1);
    }
    return false;
}

bool tide_etag_if_range(const char *header, const char *etag)
{
    if (!header)
        return true;
    return etag_len(header) > 0 && header[0] == '"' && strcmp(header, etag) == 0;
}
