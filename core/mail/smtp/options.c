#include "mail/smtp/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORM "smtp://USER:PASSWORD@HOST[:PORT]"

static const struct {
    const char *word;
    long starttls;
} tls_words[] = {{"required", CURLUSESSL_ALL}, {"opportunistic", CURLUSESSL_TRY}, {"off", CURLUSESSL_NONE}};

/* ---- parameters ---- */

static bool set_tls(void *target, const char *value)
{
    struct tide_smtp_options *options = target;

    for (size_t i = 0; i < sizeof tls_words / sizeof *tls_words; i++) {
        if (strcmp(value, tls_words[i].word) == 0) {
            options->starttls = tls_words[i].starttls;
            return strcmp(options->parts.scheme, "smtp") == 0;
        }
    }
    return false;
}

static bool set_cacert(void *target, const char *value)
{
    struct tide_smtp_options *options = target;

    options->cacert = value;
    return *value;
}

static const struct tide_url_parameter parameters[] = {
    {"tls", "required, opportunistic or off, with smtp: (smtps: is TLS always)", set_tls},
    {"cacert", "a file", set_cacert},
};

/* ---- the whole ---- */

static bool refuse(struct tide_err *err, const char *what)
{
    return tide_err_set(err, TIDE_ERR_INVALID, false, "%s; it is written %s", what, FORM);
}

static bool make_url(struct tide_smtp_options *options, struct tide_err *err)
{
    const struct tide_url *parts = &options->parts;
    unsigned port = parts->port ? parts->port : strcmp(parts->scheme, "smtps") == 0 ? 465 : 587;
    bool brackets = strchr(parts->host, ':') != NULL;

    if (asprintf(&options->url, "%s://%s%s%s:%u", parts->scheme, brackets ? "[" : "", parts->host,
                 brackets ? "]" : "", port) >= 0)
        return true;
    options->url = NULL;
    return tide_err_errno(err, ENOMEM, "URL");
}

static bool take(struct tide_smtp_options *options, struct tide_err *err)
{
    struct tide_url *parts = &options->parts;

    if (parts->path && *parts->path)
        return refuse(err, "the URL has a path");
    if (!parts->user != !parts->password)
        return refuse(err, "the URL has a user without a password");
    options->user = parts->user;
    options->password = parts->password;
    options->starttls = tide_url_is_local(parts->host) ? CURLUSESSL_NONE : CURLUSESSL_ALL;
    return tide_url_parameters(parts, parameters, sizeof parameters / sizeof *parameters, options, err) &&
           make_url(options, err);
}

bool tide_smtp_options_parse(struct tide_smtp_options *options, const char *url, struct tide_err *err)
{
    *options = (struct tide_smtp_options){0};
    if (tide_url_parse(&options->parts, url, FORM, err) && take(options, err))
        return true;
    tide_smtp_options_release(options);
    return tide_err_prefix(err, "smtp");
}

void tide_smtp_options_release(struct tide_smtp_options *options)
{
    tide_url_release(&options->parts);
    free(options->url);
    *options = (struct tide_smtp_options){0};
}
