#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "mail/mail.h"
#include "mail/mime.h"

#define MAX_SUBJECT 998
#define HASH_BYTES 16

static void hash_hex(const char *text, char hex[2 * HASH_BYTES + 1])
{
    unsigned char hash[HASH_BYTES];

    crypto_generichash(hash, sizeof hash, (const unsigned char *)text, strlen(text), NULL, 0);
    sodium_bin2hex(hex, 2 * HASH_BYTES + 1, hash, sizeof hash);
}

void tide_mail_message_id(const char *id, const char *domain, char out[128])
{
    char hex[2 * HASH_BYTES + 1];

    hash_hex(id, hex);
    snprintf(out, 128, "<%s@%.80s>", hex, domain);
}

/* RFC 5322 in UTC; by hand, as strftime follows the locale. */
static void put_date(struct tide_buf *out)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = (time_t)(tide_clock_now_ms() / 1000);
    struct tm tm;

    gmtime_r(&now, &tm);
    tide_buf_printf(out, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday,
                    months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void put_part(struct tide_buf *out, const char *type, const char *text)
{
    tide_buf_printf(out, "Content-Type: %s; charset=utf-8\r\n", type);
    tide_mail_put_content(out, text);
}

/* The content of a part never has "=_", so the boundary cannot be in it. */
static void put_body(struct tide_buf *out, const struct tide_mail_message *message, const char *message_id)
{
    char hex[2 * HASH_BYTES + 1];

    if (!message->html) {
        put_part(out, "text/plain", message->text);
        return;
    }
    hash_hex(message_id, hex);
    tide_buf_printf(out, "Content-Type: multipart/alternative;\r\n boundary=\"=_%s\"\r\n\r\n--=_%s\r\n", hex,
                    hex);
    put_part(out, "text/plain", message->text);
    tide_buf_printf(out, "\r\n--=_%s\r\n", hex);
    put_part(out, "text/html", message->html);
    tide_buf_printf(out, "\r\n--=_%s--\r\n", hex);
}

static bool check_header(const char *what, const char *text, size_t max, struct tide_err *err)
{
    if (strlen(text) > max)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "mail: %s is over %zu bytes", what, max);
    if (!tide_utf8_valid(text, strlen(text)))
        return tide_err_set(err, TIDE_ERR_INVALID, false, "mail: %s is not UTF-8", what);
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            return tide_err_set(err, TIDE_ERR_INVALID, false, "mail: %s has a line end or control character",
                                what);
    return true;
}

static bool check_body(const char *what, const char *text, struct tide_err *err)
{
    if (tide_utf8_valid(text, strlen(text)))
        return true;
    return tide_err_set(err, TIDE_ERR_INVALID, false, "mail: %s is not UTF-8", what);
}

static bool check_message(const struct tide_mail_message *message, const char *domain, struct tide_err *err)
{
    if (!message->from || !message->to || !message->subject || !message->text)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "mail: from, to, subject and text are wanted");
    if (!tide_mail_domain_valid(domain))
        return tide_err_set(err, TIDE_ERR_INVALID, false, "mail: the Message-ID's domain is no host name");
    return check_header("subject", message->subject, MAX_SUBJECT, err) &&
           check_body("text", message->text, err) &&
           (!message->html || check_body("html", message->html, err));
}

static void make_message_id(const char *id, const char *domain, char out[128])
{
    char random[2 * HASH_BYTES + 1];
    unsigned char bytes[HASH_BYTES];

    if (!id) {
        randombytes_buf(bytes, sizeof bytes);
        sodium_bin2hex(random, sizeof random, bytes, sizeof bytes);
        id = random;
    }
    tide_mail_message_id(id, domain, out);
}

bool tide_mail_build(const struct tide_mail_message *message, const char *domain, struct tide_buf *out,
                     struct tide_err *err)
{
    struct tide_mail_address from, to;
    char message_id[128];

    if (!check_message(message, domain, err))
        return false;
    if (!tide_mail_address_parse(message->from, &from, err))
        return tide_err_prefix(err, "from");
    if (!tide_mail_address_parse(message->to, &to, err))
        return tide_err_prefix(err, "to");

    make_message_id(message->id, domain, message_id);
    tide_mail_put_address(out, "From", &from);
    tide_mail_put_address(out, "To", &to);
    tide_mail_put_text(out, "Subject", message->subject);
    put_date(out);
    tide_buf_printf(out, "Message-ID: %s\r\nMIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n",
                    message_id);
    put_body(out, message, message_id);
    if (!out->overflow)
        return true;
    return tide_err_set(err, TIDE_ERR_TOO_LARGE, false, "mail: the message is over %zu bytes", out->max);
}
