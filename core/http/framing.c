#include "http/framing.h"

#include <string.h>
#include <strings.h>

#include "http/url.h"

/* Bytes of a token: everything visible but the delimiters "(),/:;<=>?@[\]{} and DQUOTE. */
static bool is_token_byte(unsigned char c)
{
    static const uint32_t set[8] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff, 0, 0, 0, 0};

    return (set[c >> 5] >> (c & 31)) & 1;
}

bool tide_framing_name_ok(const char *name, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if (!is_token_byte((unsigned char)name[i]))
            return false;
    return len > 0;
}

bool tide_framing_value_ok(const char *value, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static void refuse(struct tide_framing *framing, int status, const char *reason)
{
    if (framing->status)
        return;
    framing->status = status;
    framing->reason = reason;
}

static bool parse_length(const char *text, size_t len, int64_t *length)
{
    int64_t value = 0;
    size_t i;

    for (i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || value > (INT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *length = value;
    return len > 0;
}

static bool equals(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

void tide_framing_init(struct tide_framing *framing)
{
    memset(framing, 0, sizeof *framing);
}

static void see_length(struct tide_framing *framing, const char *value, size_t len)
{
    if (framing->lengths++ > 0)
        refuse(framing, 400, "Content-Length is given twice");
    else if (!parse_length(value, len, &framing->content_length))
        refuse(framing, 400, "Content-Length is not a number");
}

static void see_encoding(struct tide_framing *framing, const char *value, size_t len)
{
    if (framing->encodings++ > 0)
        refuse(framing, 400, "Transfer-Encoding is given twice");
    else if (!equals(value, len, "chunked"))
        refuse(framing, 400, "Transfer-Encoding must be chunked");
}

void tide_framing_header(struct tide_framing *framing, const char *name, size_t name_len, const char *value,
                         size_t value_len)
{
    if (!tide_framing_name_ok(name, name_len)) {
        refuse(framing, 400, "a header's name has a character that is not allowed");
        return;
    }
    if (!tide_framing_value_ok(value, value_len)) {
        refuse(framing, 400, "a header's value has a control character");
        return;
    }
    if (equals(name, name_len, "Host") && framing->hosts++ > 0)
        refuse(framing, 400, "Host is given twice");
    else if (equals(name, name_len, "Content-Length"))
        see_length(framing, value, value_len);
    else if (equals(name, name_len, "Transfer-Encoding"))
        see_encoding(framing, value, value_len);
    else if (equals(name, name_len, "Expect")) {
        framing->expect_continue = equals(value, value_len, "100-continue");
        if (!framing->expect_continue)
            refuse(framing, 417, "the only expectation that is met here is 100-continue");
    }
}

bool tide_framing_finish(struct tide_framing *framing, const char *method, const char *version)
{
    bool modern = strcmp(version, "HTTP/1.1") == 0;

    if (!modern && strcmp(version, "HTTP/1.0") != 0)
        refuse(framing, 505, "the version of HTTP must be 1.0 or 1.1");
    if (!tide_framing_name_ok(method, strlen(method)))
        refuse(framing, 400, "the method has a character that is not allowed");
    if (modern && framing->hosts == 0)
        refuse(framing, 400, "Host is missing");
    if (framing->encodings > 0 && framing->lengths > 0)
        refuse(framing, 400, "Content-Length and Transfer-Encoding are both given");
    if (framing->encodings > 0 && !modern)
        refuse(framing, 400, "Transfer-Encoding is not part of HTTP/1.0");
    if (framing->encodings > 0)
        framing->content_length = -1;
    framing->has_body = framing->content_length != 0;
    framing->expect_continue = framing->expect_continue && modern;
    return framing->status == 0;
}

/* Where the path begins in "/x", "http://host/x" or "http://host"; NULL for other forms. */
static const char *path_of(const char *target, size_t *len)
{
    size_t scheme = strncasecmp(target, "http://", 7) == 0    ? 7
                    : strncasecmp(target, "https://", 8) == 0 ? 8
                                                              : 0;

    if (scheme > 0) {
        size_t host = strcspn(target + scheme, "/?");

        if (host == 0)
            return NULL;
        target += scheme + host;
    } else if (*target != '/') {
        return NULL;
    }
    *len = strcspn(target, "?");
    return target;
}

static const char *check_raw(const char *target)
{
    for (; *target; target++) {
        unsigned char c = (unsigned char)*target;

        if (c <= ' ' || c == 0x7f)
            return "the target has a control character or a space";
        if (c == '#' || c == '\\')
            return "the target has a '#' or a '\\'";
    }
    return NULL;
}

static bool has_encoded_separator(const char *path, size_t len)
{
    const char *end = path + len;

    for (; (path = memchr(path, '%', (size_t)(end - path))); path++)
        if (end - path >= 3 && (strncasecmp(path, "%2f", 3) == 0 || strncasecmp(path, "%5c", 3) == 0))
            return true;
    return false;
}

static bool has_dot_segment(const char *path)
{
    const char *slash;

    for (slash = path; slash; slash = strchr(slash + 1, '/')) {
        size_t len = strcspn(slash + 1, "/");

        if ((len == 1 && slash[1] == '.') || (len == 2 && slash[1] == '.' && slash[2] == '.'))
            return true;
    }
    return false;
}

const char *tide_framing_target(const char *target, char *path, const char **query)
{
    const char *fault = check_raw(target), *start;
    struct tide_err err;
    size_t len;

    if (fault)
        return fault;
    start = path_of(target, &len);
    if (!start)
        return "the target must be a path or an http URL";
    if (has_encoded_separator(start, len))
        return "the path has an encoded '/' or '\\'";
    if (len == 0)
        strcpy(path, "/");
    else if (!tide_url_decode(start, len, TIDE_URL_PATH, path, &err))
        return "the path has a bad percent escape";
    if (!tide_framing_value_ok(path, strlen(path)) || strchr(path, '\t'))
        return "the path has an encoded control character";
    if (has_dot_segment(path))
        return "the path has a '.' or '..' segment";
    *query = start[len] == '?' ? start + len + 1 : "";
    return NULL;
}
