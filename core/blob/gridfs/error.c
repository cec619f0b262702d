#include <string.h>

#include "blob/gridfs/gridfs.h"

#define DUPLICATE_KEY 11000

/* The server's codes that mean more than "it didn't work". */
static const struct {
    uint32_t server;
    const char *code;
    bool retryable;
} meanings[] = {
    {DUPLICATE_KEY, TIDE_ERR_EXISTS, false},
    {13, TIDE_ERR_UNAVAILABLE, true},    /* Unauthorized: our rights, no fault of a job */
    {18, TIDE_ERR_UNAVAILABLE, true},    /* AuthenticationFailed */
    {11, TIDE_ERR_UNAVAILABLE, true},    /* UserNotFound */
    {14031, TIDE_ERR_FULL, true},        /* OutOfDiskSpace */
    {12501, TIDE_ERR_FULL, true},        /* a quota */
    {52, TIDE_ERR_INVALID, false},       /* DollarPrefixedFieldName */
    {57, TIDE_ERR_INVALID, false},       /* DottedFieldName */
    {10334, TIDE_ERR_INVALID, false},    /* BSONObjectTooLarge */
    {6, TIDE_ERR_UNAVAILABLE, true},     /* HostUnreachable */
    {7, TIDE_ERR_UNAVAILABLE, true},     /* HostNotFound */
    {50, TIDE_ERR_TIMEOUT, true},        /* MaxTimeMSExpired */
    {64, TIDE_ERR_UNAVAILABLE, true},    /* WriteConcernFailed */
    {79, TIDE_ERR_UNAVAILABLE, true},    /* UnknownReplWriteConcern */
    {89, TIDE_ERR_UNAVAILABLE, true},    /* NetworkTimeout */
    {91, TIDE_ERR_UNAVAILABLE, true},    /* ShutdownInProgress */
    {100, TIDE_ERR_UNAVAILABLE, true},   /* UnsatisfiableWriteConcern */
    {112, TIDE_ERR_UNAVAILABLE, true},   /* WriteConflict */
    {189, TIDE_ERR_UNAVAILABLE, true},   /* PrimarySteppedDown */
    {262, TIDE_ERR_TIMEOUT, true},       /* ExceededTimeLimit */
    {9001, TIDE_ERR_UNAVAILABLE, true},  /* SocketException */
    {10058, TIDE_ERR_UNAVAILABLE, true}, /* LegacyNotPrimary */
    {10107, TIDE_ERR_UNAVAILABLE, true}, /* NotWritablePrimary: also a member that is read-only */
    {11600, TIDE_ERR_UNAVAILABLE, true}, /* InterruptedAtShutdown */
    {11602, TIDE_ERR_UNAVAILABLE, true}, /* InterruptedDueToReplStateChange */
    {13435, TIDE_ERR_UNAVAILABLE, true}, /* NotPrimaryNoSecondaryOk */
    {13436, TIDE_ERR_UNAVAILABLE, true}, /* NotPrimaryOrSecondary */
};

static bool is_reply(const bson_error_t *error)
{
    return error->domain == MONGOC_ERROR_SERVER || error->domain == MONGOC_ERROR_WRITE_CONCERN;
}

/* Servers have no code of their own for these. */
static bool says(const bson_error_t *error, const char *words)
{
    return strstr(error->message, words) != NULL;
}

static bool fail_reply(struct tide_err *err, const char *what, const bson_error_t *error)
{
    if (says(error, "No space left") || says(error, "space quota"))
        return tide_err_set(err, TIDE_ERR_FULL, true, "gridfs: %s: %s", what, error->message);
    if (says(error, "read-only") || says(error, "readOnly"))
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "gridfs: %s: the server takes no writes: %s",
                            what, error->message);
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].server == error->code)
            return tide_err_set(err, meanings[i].code, meanings[i].retryable, "gridfs: %s: %s", what,
                                error->message);
    return tide_err_set(err, TIDE_ERR_INTERNAL, false, "gridfs: %s: %s (code %u)", what, error->message,
                        error->code);
}

/* ---- no server ---- */

/* libmongoc's words for what can be mended. */
static const struct {
    const char *says, *hint;
} hints[] = {
    {"certificate verify failed",
     "tlsCAFile has to name its authority, and the certificate to be for that host"},
    {"TLS handshake", "tls=true is for a server that speaks TLS"},
    {"Failed to read 4 bytes", "a server that speaks TLS wants tls=true"},
    {"Failed to connect", "nothing listens there"},
};

/* In the brackets of "No suitable servers found: ...: [cause]" stands the last failure of each server. */
static bool fail_selection(const struct tide_gridfs *gridfs, struct tide_err *err, const char *what,
                           const bson_error_t *error)
{
    const char *cause = strchr(error->message, '[');

    if (!cause)
        return tide_err_set(
            err, TIDE_ERR_UNAVAILABLE, true,
            "gridfs: %s: %s: no server answers that can be used (replicaSet, tls and hosts have to "
            "be right)",
            what, gridfs->shown);
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (says(error, hints[i].says))
            return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true,
                                "gridfs: %s: %s: no server can be used: %s: %s", what, gridfs->shown, cause,
                                hints[i].hint);
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "gridfs: %s: %s: no server can be used: %s", what,
                        gridfs->shown, cause);
}

static bool fail_stream(const struct tide_gridfs *gridfs, struct tide_err *err, const char *what)
{
    int32_t ms = mongoc_uri_get_option_as_int32(gridfs->uri, MONGOC_URI_SOCKETTIMEOUTMS, 0);

    return tide_err_set(
        err, TIDE_ERR_UNAVAILABLE, true,
        "gridfs: %s: %s: the connection broke, or no answer came within %d ms (socketTimeoutMS)", what,
        gridfs->shown, (int)ms);
}

bool tide_gridfs_fail(const struct tide_gridfs *gridfs, struct tide_err *err, const char *what,
                      const bson_error_t *error)
{
    if (is_reply(error))
        return fail_reply(err, what, error);
    if (error->domain == MONGOC_ERROR_SERVER_SELECTION)
        return fail_selection(gridfs, err, what, error);
    if (error->domain == MONGOC_ERROR_STREAM)
        return fail_stream(gridfs, err, what);
    if (error->domain == MONGOC_ERROR_SASL || error->domain == MONGOC_ERROR_SCRAM ||
        error->domain == MONGOC_ERROR_CLIENT || error->domain == MONGOC_ERROR_POOL)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "gridfs: %s: %s: %s", what, gridfs->shown,
                            error->message);
    return tide_err_set(err, TIDE_ERR_INTERNAL, false, "gridfs: %s: %s: %s", what, gridfs->shown,
                        error->message);
}

bool tide_gridfs_is_duplicate(const bson_error_t *error)
{
    return is_reply(error) && error->code == DUPLICATE_KEY;
}

bool tide_gridfs_is_network(const bson_error_t *error)
{
    return error->domain == MONGOC_ERROR_STREAM;
}
