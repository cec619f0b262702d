#include "mail/mime.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>

#include "base/utf8.h"

#define MAX_LINE 998 /* of text as it is */
#define LINE 76
#define WORD_BYTES 39 /* in an encoded word: 52 of base64 and 12 around it fit a line behind "Subject: " */
#define MAX_LOCAL 64
#define MAX_DOMAIN 80

static const char atoms[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~";
static const char host[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";

/* Words joined by single dots. */
static bool is_dotted(const char *text, size_t len)
{
    return len > 0 && text[0] != '.' && text[len - 1] != '.' && !memmem(text, len, "..", 2);
}

bool tide_mail_domain_valid(const char *domain)
{
    size_t len = strlen(domain);

    return len <= MAX_DOMAIN && is_dotted(domain, len) && strspn(domain, host) == len;
}

static bool is_spec(const char *text, size_t len)
{
    const char *at = memrchr(text, '@', len);
    size_t local = at ? (size_t)(at - text) : 0;

    if (!at || local > MAX_LOCAL || !is_dotted(text, local) || !is_dotted(at + 1, len - local - 1))
        return false;
    for (size_t i = 0; i < local; i++)
        if (text[i] != '.' && (!text[i] || !strchr(atoms, text[i])))
            return false;
    for (size_t i = local + 1; i < len; i++)
        if (!text[i] || !strchr(host, text[i]))
            return false;
    return true;
}

/* Takes the quotes and their escapes off. */
static bool copy_name(const char *text, size_t len, char name[256])
{
    bool quoted = len >= 2 && text[0] == '"' && text[len - 1] == '"';
    size_t n = 0;

    if (quoted) {
        text++;
        len -= 2;
    }
    for (size_t i = 0; i < len; i++) {
        if (quoted && text[i] == '\\' && i + 1 < len)
            i++;
        else if (!quoted && strchr("<>\",;", text[i]))
            return false;
        if (n == 255)
            return false;
        name[n++] = text[i];
    }
    name[n] = '\0';
    return true;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            return true;
    return false;
}

static bool split(const char *text, struct tide_mail_address *address)
{
    size_t len = strlen(text), name_len = 0, spec_len = len;
    const char *open = strrchr(text, '<'), *spec = text;

    if (has_control(text) || !tide_utf8_valid(text, len))
        return false;
    if (open) {
        if (text[len - 1] != '>')
            return false;
        spec = open + 1;
        spec_len = len - (size_t)(spec - text) - 1;
        name_len = (size_t)(open - text);
        while (name_len > 0 && text[name_len - 1] == ' ')
            name_len--;
    }
    if (spec_len >= sizeof address->spec || !is_spec(spec, spec_len))
        return false;
    memcpy(address->spec, spec, spec_len);
    address->spec[spec_len] = '\0';
    return copy_name(text, name_len, address->name);
}

bool tide_mail_address_parse(const char *text, struct tide_mail_address *address, struct tide_err *err)
{
    if (split(text, address))
        return true;
    /* The text itself is left out: it may hold the line ends that it was refused for. */
    return tide_err_set(
        err, TIDE_ERR_INVALID, false,
        "mail: an address is 'name@host' or 'Name <name@host>', one, in ASCII but for the Name");
}

static bool is_plain(const char *text)
{
    for (const char *s = text; *s; s++)
        if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7E)
            return false;
    return !strstr(text, "=?") && text[0] != ' ' && (!text[0] || text[strlen(text) - 1] != ' ');
}

static void put_encoded_words(struct tide_buf *out, const char *text)
{
    char base64[sodium_base64_ENCODED_LEN(WORD_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    size_t left = strlen(text);

    while (left > 0) {
        size_t n = 0, next = tide_utf8_len(text, left);

        /* A character never spans two words. */
        while (next > 0 && n + next <= WORD_BYTES) {
            n += next;
            next = n < left ? tide_utf8_len(text + n, left - n) : 0;
        }
        if (n == 0)
            return; /* not UTF-8: the callers have checked */
        sodium_bin2base64(base64, sizeof base64, (const unsigned char *)text, n,
                          sodium_base64_VARIANT_ORIGINAL);
        tide_buf_printf(out, "=?UTF-8?B?%s?=", base64);
        text += n;
        left -= n;
        if (left > 0)
            tide_buf_puts(out, "\r\n ");
    }
}

void tide_mail_put_text(struct tide_buf *out, const char *header, const char *text)
{
    tide_buf_printf(out, "%s: ", header);
    if (is_plain(text) && strlen(header) + 2 + strlen(text) <= LINE)
        tide_buf_puts(out, text);
    else
        put_encoded_words(out, text);
    tide_buf_puts(out, "\r\n");
}

static void put_name(struct tide_buf *out, const char *name)
{
    if (!is_plain(name) || strlen(name) > 60) {
        put_encoded_words(out, name);
        return;
    }
    if (strspn(name, atoms) == strlen(name)) {
        tide_buf_puts(out, name);
        return;
    }
    tide_buf_putc(out, '"');
    for (; *name; name++) {
        if (*name == '"' || *name == '\\')
            tide_buf_putc(out, '\\');
        tide_buf_putc(out, *name);
    }
    tide_buf_putc(out, '"');
}

void tide_mail_put_address(struct tide_buf *out, const char *header, const struct tide_mail_address *address)
{
    tide_buf_printf(out, "%s: ", header);
    if (address->name[0]) {
        put_name(out, address->name);
        /* On a line of its own: name and address may fill one each. */
        tide_buf_printf(out, "\r\n <%s>\r\n", address->spec);
    } else {
        tide_buf_printf(out, "%s\r\n", address->spec);
    }
}

/* How many bytes at s end a line: CRLF, LF or CR. */
static size_t line_end(const char *s)
{
    if (s[0] == '\r')
        return s[1] == '\n' ? 2 : 1;
    return s[0] == '\n';
}

static bool is_literal(const char *s)
{
    if (*s == ' ' || *s == '\t')
        return s[1] && !line_end(s + 1); /* a blank before a line end would be stripped on its way */
    return *s > 0x20 && *s < 0x7F && *s != '=';
}

static size_t put_quoted_char(struct tide_buf *out, const char *s, size_t len)
{
    if (len == 1 && is_literal(s)) {
        tide_buf_putc(out, *s);
        return 1;
    }
    for (size_t i = 0; i < len; i++)
        tide_buf_printf(out, "=%02X", (unsigned char)s[i]);
    return 3 * len;
}

void tide_mail_put_quoted(struct tide_buf *out, const char *text)
{
    size_t left = strlen(text), column = 0;

    while (left > 0) {
        size_t n = line_end(text);

        if (n > 0) {
            tide_buf_puts(out, "\r\n");
            column = 0;
        } else {
            size_t width;

            n = tide_utf8_len(text, left);
            n = n ? n : 1;
            width = n == 1 && is_literal(text) ? 1 : 3 * n;
            if (column + width > LINE - 1) {
                tide_buf_puts(out, "=\r\n");
                column = 0;
            }
            column += put_quoted_char(out, text, n);
        }
        text += n;
        left -= n;
    }
    if (column > 0)
        tide_buf_puts(out, "\r\n");
}

/* ASCII in lines of at most MAX_LINE (RFC 5322, 2.1.1) without blanks at their ends. */
static bool is_mail_safe(const char *text)
{
    size_t column = 0;

    if (strstr(text, "=_"))
        return false;
    for (; *text; text++) {
        column = line_end(text) ? 0 : column + 1;
        if (column > MAX_LINE || !(line_end(text) || is_literal(text) || *text == '='))
            return false;
    }
    return true;
}

static void put_plain(struct tide_buf *out, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\r\n");

        tide_buf_append(out, text, len);
        tide_buf_puts(out, "\r\n");
        text += len + line_end(text + len);
    }
}

void tide_mail_put_content(struct tide_buf *out, const char *text)
{
    bool plain = is_mail_safe(text);

    tide_buf_printf(out, "Content-Transfer-Encoding: %s\r\n\r\n", plain ? "7bit" : "quoted-printable");
    if (plain)
        put_plain(out, text);
    else
        tide_mail_put_quoted(out, text);
}
