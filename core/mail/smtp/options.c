#include "mail/smtp/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define MAX_URL 2048

static const struct {
    const char *word;
    long starttls;
} tls_words[] = {{"required", CURLUSESSL_ALL}, {"opportunistic", CURLUSESSL_TRY}, {"off", CURLUSESSL_NONE}};

static bool refuse(struct tide_err *err, const char *what)
{
    return tide_err_set(err, TIDE_ERR_INVALID, false,
                        "smtp: %s; a URL is smtp://USER:PASSWORD@HOST:PORT, USER and PASSWORD "
                        "percent-encoded",
                        what);
}

/* A part as a string of our own, or NULL where there is none. */
static char *part(CURLU *url, CURLUPart what, unsigned flags)
{
    char *text = NULL, *copy = NULL;

    if (curl_url_get(url, what, &text, flags) == CURLUE_OK)
        copy = strdup(text);
    curl_free(text);
    return copy;
}

static bool is_this_machine(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
}

static bool set_tls(struct tide_smtp_options *options, const char *value, struct tide_err *err)
{
    if (strncmp(options->url, "smtps:", 6) == 0)
        return refuse(err, "smtps is TLS always: 'tls' is a parameter of smtp");
    for (size_t i = 0; i < sizeof tls_words / sizeof *tls_words; i++) {
        if (strcmp(value, tls_words[i].word) == 0) {
            options->starttls = tls_words[i].starttls;
            return true;
        }
    }
    return refuse(err, "'tls' is required, opportunistic or off");
}

static bool set_cacert(struct tide_smtp_options *options, const char *value, struct tide_err *err)
{
    free(options->cacert);
    options->cacert = curl_easy_unescape(NULL, value, 0, NULL);
    return (options->cacert && *options->cacert) || refuse(err, "'cacert' names no file");
}

static bool set_parameter(struct tide_smtp_options *options, const char *name, const char *value,
                          struct tide_err *err)
{
    if (strcmp(name, "tls") == 0)
        return set_tls(options, value, err);
    if (strcmp(name, "cacert") == 0)
        return set_cacert(options, value, err);
    return tide_err_set(err, TIDE_ERR_INVALID, false,
                        "smtp: unknown URL parameter '%.40s'; there are tls and cacert", name);
}

static bool set_parameters(struct tide_smtp_options *options, char *query, struct tide_err *err)
{
    char *rest = NULL;

    for (char *name = strtok_r(query, "&", &rest); name; name = strtok_r(NULL, "&", &rest)) {
        char *value = strchr(name, '=');

        if (value)
            *value++ = '\0';
        if (!set_parameter(options, name, value ? value : "", err))
            return false;
    }
    return true;
}

static char *join(const char *scheme, const char *host, const char *port)
{
    struct tide_buf buf;

    tide_buf_init(&buf, MAX_URL);
    tide_buf_printf(&buf, "%s://%s:%s", scheme, host, port ? port : strcmp(scheme, "smtps") ? "587" : "465");
    return tide_buf_take(&buf, NULL);
}

static bool take_address(struct tide_smtp_options *options, CURLU *url, struct tide_err *err)
{
    char *scheme = part(url, CURLUPART_SCHEME, 0), *host = part(url, CURLUPART_HOST, 0);
    char *port = part(url, CURLUPART_PORT, 0), *path = part(url, CURLUPART_PATH, 0);
    bool good = scheme && host && (!path || strcmp(path, "/") == 0);

    if (good) {
        options->url = join(scheme, host, port);
        options->starttls = is_this_machine(host) ? CURLUSESSL_NONE : CURLUSESSL_ALL;
    }
    free(scheme);
    free(host);
    free(port);
    free(path);
    return (good && options->url) || refuse(err, "the URL has a path");
}

static bool take_sign_in(struct tide_smtp_options *options, CURLU *url, struct tide_err *err)
{
    options->user = part(url, CURLUPART_USER, CURLU_URLDECODE);
    options->password = part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
    return !options->user == !options->password || refuse(err, "USER and PASSWORD come together");
}

static bool take(struct tide_smtp_options *options, CURLU *url, struct tide_err *err)
{
    char *query = part(url, CURLUPART_QUERY, 0);
    bool good = take_address(options, url, err) && take_sign_in(options, url, err) &&
                (!query || set_parameters(options, query, err));

    free(query);
    return good;
}

bool tide_smtp_options_parse(struct tide_smtp_options *options, const char *url, struct tide_err *err)
{
    CURLU *parsed = curl_url();
    bool good = false;

    *options = (struct tide_smtp_options){0};
    if (!parsed)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "smtp: out of memory");
    if (strlen(url) > MAX_URL / 2 || curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK)
        refuse(err, "this is no URL");
    else
        good = take(options, parsed, err);
    curl_url_cleanup(parsed);
    if (!good)
        tide_smtp_options_release(options);
    return good;
}

void tide_smtp_options_release(struct tide_smtp_options *options)
{
    free(options->url);
    free(options->user);
    free(options->password);
    curl_free(options->cacert);
    *options = (struct tide_smtp_options){0};
}
