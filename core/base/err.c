#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool tide_err_set(struct tide_err *err, const char *code, bool retryable, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return false;
    err->code = code;
    err->retryable = retryable;
    va_start(args, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    return false;
}

bool tide_err_prefix(struct tide_err *err, const char *fmt, ...)
{
    char old[sizeof err->message];
    va_list args;
    int n;

    if (!err)
        return false;
    memcpy(old, err->message, sizeof old);
    va_start(args, fmt);
    n = vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->message)
        snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s", old);
    return false;
}

bool tide_err_errno(struct tide_err *err, int errnum, const char *what)
{
    const char *code = TIDE_ERR_INTERNAL;
    bool retryable = false;
    char text[128];

    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        code = TIDE_ERR_FULL;
        retryable = true;
        break;
    case ENOENT:
        code = TIDE_ERR_NOT_FOUND;
        break;
    case EEXIST:
        code = TIDE_ERR_EXISTS;
        break;
    case EMFILE:
    case ENFILE:
    case EAGAIN:
    case ENOMEM:
        code = TIDE_ERR_UNAVAILABLE;
        retryable = true;
        break;
    default:
        break;
    }
    return tide_err_set(err, code, retryable, "%s: %s", what, strerror_r(errnum, text, sizeof text));
}
