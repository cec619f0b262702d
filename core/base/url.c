#include "base/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/percent.h"

/* ---- any URL ---- */

bool tide_url_check_credentials(const char *url, struct tide_err *err)
{
    const char *authority = strstr(url, "://");
    const char *at = authority ? strrchr(authority, '@') : NULL;

    if (!at || authority + 3 + strcspn(authority + 3, "/?#@") == at)
        return true;
    return tide_err_set(
        err, TIDE_ERR_INVALID, false,
        "the URL has an @ where none can be: in its user and password / is %%2F, @ is %%40, ? is %%3F, # is "
        "%%23, : is %%3A, %% is %%25");
}

void tide_url_redact(const char *url, struct tide_buf *out)
{
    const char *scheme = strchr(url, ':');
    const char *at = strrchr(url, '@'); /* the last one: a password may hold one that is not encoded */
    const char *colon = scheme && at > scheme ? memchr(scheme + 1, ':', (size_t)(at - scheme - 1)) : NULL;

    if (colon) {
        tide_buf_append(out, url, (size_t)(colon - url) + 1);
        tide_buf_puts(out, "***");
        url = at;
    }
    tide_buf_puts(out, url);
}

bool tide_url_is_local(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

/* ---- the parts ---- */

static bool refuse(const char *form, const char *what, struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_INVALID, false, "%s; it is written %s", what, form);
}

static bool decode(char *text)
{
    return !text || tide_percent_decode(text, strlen(text), text);
}

/* Ends *text at the first of `marks` and returns what is behind it, NULL when there is none. */
static char *cut(char *text, const char *marks)
{
    char *at = strpbrk(text, marks);

    if (!at)
        return NULL;
    *at = '\0';
    return at + 1;
}

bool tide_url_number(const char *text, unsigned least, unsigned most, unsigned *number)
{
    size_t len = strlen(text);
    unsigned long value;

    if (len == 0 || len > 9 || strspn(text, "0123456789") < len)
        return false;
    value = strtoul(text, NULL, 10);
    *number = (unsigned)value;
    return value >= least && value <= most;
}

/* HOST[:PORT] */
static bool take_host(struct tide_url *url, char *text, const char *form, struct tide_err *err)
{
    char *end = *text == '[' ? cut(text, "]") : NULL, *port;

    url->host = end ? text + 1 : text;
    port = cut(end ? end : text, ":");
    if (!*url->host || (end && *end) ||
        strspn(url->host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-") <
            strlen(url->host))
        return refuse(form, "the URL's host is not the name or address of one", err);
    return !port || tide_url_number(port, 1, 65535, &url->port) ||
           refuse(form, "the URL's port is not a number from 1 to 65535", err);
}

static bool take_parts(struct tide_url *url, const char *form, struct tide_err *err)
{
    char *authority = strstr(url->text, "://"), *host;

    if (!authority)
        return refuse(form, "the URL has no ://", err);
    *authority = '\0';
    url->scheme = url->text;
    authority += 3;
    url->query = cut(authority, "?");
    url->path = cut(authority, "/");
    host = cut(authority, "@");
    if (host) {
        url->user = authority;
        url->password = cut(authority, ":");
    }
    if (!decode(url->user) || !decode(url->password) || !decode(url->path))
        return refuse(form, "a % in the URL needs two hexadecimal digits behind it (% itself is %25)", err);
    return take_host(url, host ? host : authority, form, err);
}

char *tide_url_show(const char *text)
{
    struct tide_buf shown;

    tide_buf_init(&shown, 1024);
    tide_url_redact(text, &shown);
    if (shown.data)
        cut(shown.data, "?");
    return tide_buf_take(&shown, NULL);
}

bool tide_url_parse(struct tide_url *url, const char *text, const char *form, struct tide_err *err)
{
    *url = (struct tide_url){0};
    if (!tide_url_check_credentials(text, err))
        return false;
    url->text = strdup(text);
    url->shown = tide_url_show(text);
    if (!url->text || !url->shown)
        tide_err_errno(err, ENOMEM, "URL");
    else if (take_parts(url, form, err))
        return true;
    tide_url_release(url);
    return false;
}

void tide_url_release(struct tide_url *url)
{
    if (url->password)
        explicit_bzero(url->password, strlen(url->password));
    free(url->text);
    free(url->shown);
    *url = (struct tide_url){0};
}

/* ---- parameters ---- */

static bool refuse_unknown(const char *name, const struct tide_url_parameter *known, size_t count,
                           struct tide_err *err)
{
    struct tide_buf names;

    tide_buf_init(&names, 256);
    for (size_t i = 0; i < count; i++)
        tide_buf_printf(&names, "%s%s", i ? ", " : "", known[i].name);
    tide_err_set(err, TIDE_ERR_INVALID, false, "the URL has no parameter '%.40s'; there are %s", name,
                 names.data ? names.data : "none");
    tide_buf_release(&names);
    return false;
}

static bool set_parameter(const char *name, const char *value, const struct tide_url_parameter *known,
                          size_t count, void *target, struct tide_err *err)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].set(target, value) ||
                   tide_err_set(err, TIDE_ERR_INVALID, false, "the URL's parameter '%s' is not %s", name,
                                known[i].allowed);
    return refuse_unknown(name, known, count, err);
}

bool tide_url_parameters(struct tide_url *url, const struct tide_url_parameter *known, size_t count,
                         void *target, struct tide_err *err)
{
    char *next;

    for (char *name = url->query; name && *name; name = next) {
        char *value;

        next = cut(name, "&");
        value = cut(name, "=");
        if (!value || !decode(name) || !decode(value))
            return tide_err_set(
                err, TIDE_ERR_INVALID, false,
                "the URL's parameter '%.40s' is not written NAME=VALUE, with %%XX for what is "
                "special",
                name);
        if (!set_parameter(name, value, known, count, target, err))
            return false;
    }
    return true;
}
