#include "http/url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/percent.h"

bool tide_url_decode(const char *text, size_t len, enum tide_url_part part, char *out, struct tide_err *err)
{
    size_t i;
    int byte;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '%') {
            byte = tide_percent_byte(text + i, len - i);
            if (byte <= 0)
                return tide_err_set(err, TIDE_ERR_INVALID, false,
                                    byte ? "URL: '%%' without two hex digits" : "URL: %%00 is not allowed");
            *out++ = (char)byte;
            i += 2;
        } else if (c <= ' ' || c == 0x7F) {
            return tide_err_set(err, TIDE_ERR_INVALID, false, "URL: byte 0x%02x must be percent-encoded", c);
        } else {
            *out++ = c == '+' && part == TIDE_URL_FORM ? ' ' : (char)c;
        }
    }
    *out = '\0';
    return true;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

bool tide_url_encode(struct tide_buf *out, const char *text, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t i;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        bool plain = is_unreserved(text[i]);

        if (!tide_buf_append(out, plain ? text + i : escape, plain ? 1 : 3))
            return false;
    }
    return true;
}

static size_t count_pieces(const char *text, size_t len)
{
    size_t i, count = 0;

    for (i = 0; i < len; i++)
        if (text[i] != '&' && (i + 1 == len || text[i + 1] == '&'))
            count++;
    return count;
}

/* Decodes one "name=value" into *to, which moves behind what was written. */
static bool parse_piece(struct tide_query_pair *pair, const char *text, size_t len, char **to,
                        struct tide_err *err)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t)(equals - text) : len;
    size_t value_len = equals ? len - name_len - 1 : 0;

    if (name_len == 0)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "query string: a value without a name");
    pair->name = *to;
    if (!tide_url_decode(text, name_len, TIDE_URL_FORM, *to, err))
        return false;
    *to += name_len + 1;
    pair->value = *to;
    if (!tide_url_decode(equals ? equals + 1 : "", value_len, TIDE_URL_FORM, *to, err))
        return false;
    *to += value_len + 1;
    return true;
}

static bool parse_pieces(struct tide_query *query, const char *text, size_t len, char *to,
                         struct tide_err *err)
{
    const char *end = text + len, *stop;

    for (; text < end; text = stop + 1) {
        stop = memchr(text, '&', (size_t)(end - text));
        if (!stop)
            stop = end;
        if (stop > text && !parse_piece(&query->pairs[query->count++], text, (size_t)(stop - text), &to, err))
            return false;
    }
    return true;
}

bool tide_query_parse(struct tide_query *query, const char *text, size_t len, size_t max_pairs,
                      struct tide_err *err)
{
    size_t count = count_pieces(text, len);

    memset(query, 0, sizeof *query);
    if (count == 0)
        return true;
    if (count > max_pairs)
        return tide_err_set(err, TIDE_ERR_LIMIT, false, "query string: more than %zu parameters", max_pairs);
    /* Decoding never lengthens; a piece takes at most its length and two terminators. */
    query->memory = malloc(count * sizeof *query->pairs + len + 2 * count);
    if (!query->memory)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "query string: out of memory");
    query->pairs = query->memory;
    if (parse_pieces(query, text, len, (char *)(query->pairs + count), err))
        return true;
    tide_query_release(query);
    return false;
}

void tide_query_release(struct tide_query *query)
{
    free(query->memory);
    memset(query, 0, sizeof *query);
}

const char *tide_query_get(const struct tide_query *query, const char *name)
{
    size_t i;

    for (i = 0; i < query->count; i++)
        if (strcmp(query->pairs[i].name, name) == 0)
            return query->pairs[i].value;
    return NULL;
}

int tide_url_port(const char *url)
{
    int port = strncasecmp(url, "http://", 7) == 0 ? 80 : strncasecmp(url, "https://", 8) == 0 ? 443 : 0;
    const char *host = url + (port == 80 ? 7 : 8), *end, *colon;
    char *stop;
    long given;

    if (port == 0)
        return 0;
    end = host + strcspn(host, "/?#");
    colon = *host == '[' ? strchr(host, ']') : host;
    colon = colon ? memchr(colon, ':', (size_t)(end - colon)) : NULL;
    if (!colon || colon > end)
        return port;
    given = strtol(colon + 1, &stop, 10);
    return stop == end && given > 0 && given <= 65535 ? (int)given : 0;
}
