/*
 * The one error value of the engine: small, copied by value, crosses threads and processes.
 *
 * A function that can fail for a reason outside the program returns bool and takes a `struct tide_err *`
 * last; on false the error is filled, on true it is untouched. Bugs are asserts, not errors.
 * `code` has static storage and is one of the words of TIDE_ERR_* (or a media code, media/media.h).
 */
#ifndef TIDE_BASE_ERR_H
#define TIDE_BASE_ERR_H

#include <stdbool.h>

#define TIDE_WARN_UNUSED __attribute__((warn_unused_result))
#define TIDE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Codes that scripts, logs and clients see. */
#define TIDE_ERR_INVALID "invalid"         /* the input is wrong; the same call fails again */
#define TIDE_ERR_NOT_FOUND "not_found"     /* no such thing */
#define TIDE_ERR_EXISTS "exists"           /* it is there already (unique id or key) */
#define TIDE_ERR_CONFLICT "conflict"       /* it is not in the expected state */
#define TIDE_ERR_DENIED "denied"           /* credentials refused */
#define TIDE_ERR_LIMIT "limit"             /* a configured limit was reached */
#define TIDE_ERR_TOO_LARGE "too_large"     /* input over its size limit */
#define TIDE_ERR_FULL "full"               /* no space left */
#define TIDE_ERR_TIMEOUT "timeout"         /* retryable */
#define TIDE_ERR_UNAVAILABLE "unavailable" /* retryable: a server or resource cannot be used now */
#define TIDE_ERR_CANCELED "canceled"       /* the caller went away */
#define TIDE_ERR_INTERNAL "internal"       /* a bug or corruption on our side */

struct tide_err {
    const char *code; /* static storage; NULL while nothing failed */
    bool retryable;   /* the same call may succeed later */
    char message[320];
};

/* Fills *err (NULL is allowed) and returns false, so that callers can `return tide_err_set(...)`.
 * The message is cut at its end when too long. */
bool tide_err_set(struct tide_err *err, const char *code, bool retryable, const char *fmt, ...)
    TIDE_PRINTF(4, 5);

/* Prefixes the message with "context: ". Returns false. */
bool tide_err_prefix(struct tide_err *err, const char *fmt, ...) TIDE_PRINTF(2, 3);

/* The error for an errno value: ENOSPC, EDQUOT and EFBIG become TIDE_ERR_FULL, ENOENT not_found, EEXIST
 * exists, EMFILE, ENFILE, EAGAIN and ENOMEM unavailable, else internal. Returns false. */
bool tide_err_errno(struct tide_err *err, int errnum, const char *what);

#endif
