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
    size_t n, room, len;
    va_list args;

    if (!err)
        return false;
    memcpy(old, err->message, sizeof old);
    va_start(args, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    n = strlen(err->message);
    room = sizeof err->message - 1 - n;
    if (room < 2)
        return false;
    memcpy(err->message + n, ": ", 2);
    len = strnlen(old, room - 2);
    memcpy(err->message + n + 2, old, len);
    err->message[n + 2 + len] = '\0';
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
    case EFBIG: /* a limit on file sizes */
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
