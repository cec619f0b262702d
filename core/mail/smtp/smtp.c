/*
 * Hands messages to an SMTP server with libcurl. A delivery takes an idle connection of the backend, or makes
 * one, so that several messages go over one connection, and as many at a time as the mailer has threads. What
 * the server's reply means: 2xx to the end of the data is handed over. 5xx to the sender, the recipient or
 * the message itself is final. All else (4xx, no connection, no TLS, no sign-in, a refused greeting, no SMTP)
 * says nothing about the message, and can be mended: it is retryable.
 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/driver.h"
#include "base/utf8.h"
#include "mail/driver.h"
#include "mail/smtp/options.h"

#define CONNECT_MS 10000L
#define REPLY_S 60L /* for one reply of the server */
#define TOTAL_MS 90000L
#define CHECK_MS 4000L    /* of tide_mailer_ready */
#define GOOD_FOR_MS 15000 /* so long is a server that answered not asked again */
#define IDLE_S 30L        /* then a connection is not used again: servers close them */
#define CONNECTIONS 4     /* kept */
#define REPLY_MAX 4096    /* bytes of the server's words */
#define SIGN_IN_CODE(code) ((code) == 530 || ((code) >= 534 && (code) <= 538))

struct smtp {
    struct tide_smtp_options options;
    atomic_llong answered_ms; /* tide_clock_monotonic_ms of the last success */
    pthread_mutex_t lock;     /* of what follows */
    CURL *idle[CONNECTIONS];
    size_t idle_count;
};

/* One conversation, on one thread. */
struct talk {
    const struct tide_mail_envelope *envelope;
    size_t sent;     /* bytes of the message that libcurl took */
    bool data_begun; /* the server has said 354 */
    bool reply_over; /* the next line begins another reply */
    struct tide_buf reply;
    char problem[CURL_ERROR_SIZE];
};

/* ---- what libcurl calls ---- */

static size_t give_data(char *to, size_t size, size_t count, void *arg)
{
    struct talk *talk = arg;
    size_t left = talk->envelope->len - talk->sent, n = size * count < left ? size * count : left;

    if (talk->sent == 0 && tide_mail_given_up(talk->envelope, NULL))
        return CURL_READFUNC_ABORT;
    talk->data_begun = true;
    memcpy(to, talk->envelope->data + talk->sent, n);
    talk->sent += n;
    return n;
}

/* A line of a reply: "550-more follows" or "550 the last one". Keeps the last reply, but not the goodbye
 * (221) that follows a refusal. */
static size_t take_line(char *line, size_t size, size_t count, void *arg)
{
    struct talk *talk = arg;
    size_t len = size * count;

    if (len >= 3 && memcmp(line, "221", 3) == 0)
        return len;
    if (talk->reply_over)
        tide_buf_reset(&talk->reply);
    else if (talk->reply.len > 0)
        tide_buf_putc(&talk->reply, ' ');
    talk->reply_over = len < 4 || line[3] != '-';
    if (talk->reply.len == 0)
        tide_buf_append(&talk->reply, line, len);
    else if (len > 4)
        tide_buf_append(&talk->reply, line + 4, len - 4);
    return len;
}

static size_t drop(char *data, size_t size, size_t count, void *arg)
{
    (void)data;
    (void)arg;
    return size * count;
}

/* Once all of it is out the server's word decides. */
static int is_given_up(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    const struct talk *talk = arg;

    (void)down_total, (void)down, (void)up_total, (void)up;
    return talk->sent < talk->envelope->len && tide_mail_given_up(talk->envelope, NULL);
}

/* ---- connections ---- */

static void set_tls(CURL *curl, const struct tide_smtp_options *options)
{
    curl_easy_setopt(curl, CURLOPT_USE_SSL, options->starttls);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    if (options->cacert)
        curl_easy_setopt(curl, CURLOPT_CAINFO, options->cacert);
}

static void set_sign_in(CURL *curl, const struct tide_smtp_options *options)
{
    if (!options->user)
        return;
    curl_easy_setopt(curl, CURLOPT_USERNAME, options->user);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, options->password);
    curl_easy_setopt(curl, CURLOPT_LOGIN_OPTIONS, "AUTH=PLAIN;AUTH=LOGIN");
}

/* Where to, for a handle that is new or was reset; a reset leaves its connection open. */
static void set_up(CURL *curl, const struct smtp *smtp, struct talk *talk)
{
    curl_easy_setopt(curl, CURLOPT_URL, smtp->options.url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_MAXAGE_CONN, IDLE_S);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_SERVER_RESPONSE_TIMEOUT, REPLY_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TOTAL_MS);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_line);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, talk);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, talk->problem);
    set_tls(curl, &smtp->options);
    set_sign_in(curl, &smtp->options);
}

static CURL *borrow(struct smtp *smtp)
{
    CURL *curl = NULL;

    pthread_mutex_lock(&smtp->lock);
    if (smtp->idle_count > 0)
        curl = smtp->idle[--smtp->idle_count];
    pthread_mutex_unlock(&smtp->lock);
    return curl ? curl : curl_easy_init();
}

static void give_back(struct smtp *smtp, CURL *curl)
{
    curl_easy_reset(curl);
    pthread_mutex_lock(&smtp->lock);
    if (smtp->idle_count < CONNECTIONS) {
        smtp->idle[smtp->idle_count++] = curl;
        curl = NULL;
    }
    pthread_mutex_unlock(&smtp->lock);
    curl_easy_cleanup(curl);
}

/* ---- what came of it ---- */

/* The server's words as one line of UTF-8. */
static const char *words(struct talk *talk)
{
    bool utf8 = talk->reply.data && tide_utf8_valid(talk->reply.data, talk->reply.len);
    char *out = talk->reply.data;

    for (const char *in = talk->reply.data; in && *in; in++) {
        if (*in == '\r' || *in == '\n')
            continue;
        *out++ = (unsigned char)*in < 0x20 || *in == 0x7F || (!utf8 && (unsigned char)*in > 0x7F) ? '?' : *in;
    }
    if (out)
        *out = '\0';
    return talk->reply.data ? talk->reply.data : "no reply";
}

/* What went wrong before the server could say a word about the message; false: nothing of that kind. */
static bool is_about_tls(const char *url, CURLcode result, const char *problem, struct tide_err *err)
{
    if (result == CURLE_USE_SSL_FAILED)
        tide_err_set(
            err, TIDE_ERR_UNAVAILABLE, true,
            "%s: the server takes no STARTTLS: %s; smtps: is TLS from the start, ?tls=off does without", url,
            problem);
    else if (result == CURLE_PEER_FAILED_VERIFICATION)
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true,
                     "%s: the server's certificate is not trusted: %s; ?cacert=FILE names its authority", url,
                     problem);
    else
        return false;
    return true;
}

static bool explain(const struct smtp *smtp, CURLcode result, struct talk *talk, struct tide_err *err)
{
    const char *url = smtp->options.url;
    bool about_message =
        talk->data_begun || result == CURLE_SEND_ERROR; /* what libcurl says of MAIL, RCPT, DATA */
    int code = talk->reply.data ? atoi(talk->reply.data) : 0;

    if (result == CURLE_ABORTED_BY_CALLBACK && tide_mail_given_up(talk->envelope, err))
        return tide_err_prefix(err, "%s", url);
    if (result == CURLE_OPERATION_TIMEDOUT)
        return tide_err_set(err, TIDE_ERR_TIMEOUT, true, "%s: %s", url, talk->problem);
    if (is_about_tls(url, result, talk->problem, err))
        return false;
    if (code != 0 && (code < 200 || code > 599))
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "%s: this is no reply of SMTP: %s", url,
                            words(talk));
    if (result == CURLE_LOGIN_DENIED || SIGN_IN_CODE(code))
        return tide_err_set(err, TIDE_ERR_DENIED, true, "%s: the server refuses the sign-in: %s", url,
                            words(talk));
    if (code >= 500 && about_message)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "%s: the server refuses the message: %s", url,
                            words(talk));
    if (code >= 400)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "%s: %s", url, words(talk));
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "%s: %s", url,
                        talk->problem[0] ? talk->problem : curl_easy_strerror(result));
}

static bool converse(struct smtp *smtp, CURL *curl, struct talk *talk, struct tide_err *err)
{
    CURLcode result = curl_easy_perform(curl);

    if (result != CURLE_OK)
        return explain(smtp, result, talk, err);
    atomic_store(&smtp->answered_ms, tide_clock_monotonic_ms());
    return true;
}

/* ---- the driver ---- */

static void smtp_close(struct tide_mail_backend *backend)
{
    struct smtp *smtp = (struct smtp *)backend;

    while (smtp->idle_count > 0)
        curl_easy_cleanup(smtp->idle[--smtp->idle_count]);
    pthread_mutex_destroy(&smtp->lock);
    tide_smtp_options_release(&smtp->options);
    free(smtp);
}

static bool smtp_check(const char *url, struct tide_err *err)
{
    struct tide_smtp_options options;
    bool ok = tide_smtp_options_parse(&options, url, err);

    tide_smtp_options_release(&options);
    return ok;
}

static struct tide_mail_backend *smtp_open(const char *url, const struct tide_log *log, struct tide_err *err)
{
    struct smtp *smtp = calloc(1, sizeof *smtp);

    (void)log;
    if (!smtp || curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK) {
        free(smtp);
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "smtp: out of memory");
        return NULL;
    }
    if (!tide_smtp_options_parse(&smtp->options, url, err)) {
        free(smtp);
        return NULL;
    }
    atomic_init(&smtp->answered_ms, INT64_MIN / 2);
    pthread_mutex_init(&smtp->lock, NULL);
    return (struct tide_mail_backend *)smtp;
}

/* Says hello, signs in and leaves. Not on a kept connection: servers count commands that send nothing. */
static bool smtp_ready(struct tide_mail_backend *backend, struct tide_err *err)
{
    struct smtp *smtp = (struct smtp *)backend;
    struct talk talk = {0};
    CURL *curl;
    bool ok;

    if (tide_clock_monotonic_ms() - atomic_load(&smtp->answered_ms) < GOOD_FOR_MS)
        return true;
    curl = curl_easy_init();
    if (!curl)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "smtp: out of memory");
    tide_buf_init(&talk.reply, REPLY_MAX);
    set_up(curl, smtp, &talk);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, CHECK_MS);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "NOOP");
    ok = converse(smtp, curl, &talk, err);
    curl_easy_cleanup(curl);
    tide_buf_release(&talk.reply);
    return ok;
}

static bool send_envelope(struct smtp *smtp, CURL *curl, struct talk *talk, struct tide_err *err)
{
    struct curl_slist *to = curl_slist_append(NULL, talk->envelope->to);
    bool ok;

    if (!to)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "smtp: out of memory");
    set_up(curl, smtp, talk);
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, talk->envelope->from);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)talk->envelope->len);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_data);
    curl_easy_setopt(curl, CURLOPT_READDATA, talk);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_given_up);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, talk);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    ok = converse(smtp, curl, talk, err);
    curl_slist_free_all(to);
    return ok;
}

static bool smtp_deliver(struct tide_mail_backend *backend, const struct tide_mail_envelope *envelope,
                         struct tide_err *err)
{
    struct smtp *smtp = (struct smtp *)backend;
    struct talk talk = {.envelope = envelope};
    CURL *curl = borrow(smtp);
    bool ok;

    if (!curl)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "smtp: out of memory");
    tide_buf_init(&talk.reply, REPLY_MAX);
    ok = send_envelope(smtp, curl, &talk, err);
    give_back(smtp, curl);
    tide_buf_release(&talk.reply);
    return ok;
}

TIDE_MODULE_EXPORT const struct tide_mail_driver TIDE_MODULE_DRIVER = {
    .threads = CONNECTIONS,
    .check = smtp_check,
    .open = smtp_open,
    .close = smtp_close,
    .ready = smtp_ready,
    .deliver = smtp_deliver,
};
