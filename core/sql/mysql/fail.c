#include "sql/mysql/fail.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stddef.h>

#define ER_QUERY_TIMEOUT_MYSQL 3024 /* max_execution_time */

static const struct {
    unsigned number;
    const char *code;
    bool retryable;
} meanings[] = {
    {ER_DUP_ENTRY, TIDE_ERR_EXISTS, false},
    {ER_DUP_KEY, TIDE_ERR_EXISTS, false},
    {ER_DUP_ENTRY_WITH_KEY_NAME, TIDE_ERR_EXISTS, false},
    {ER_DUP_UNIQUE, TIDE_ERR_EXISTS, false},
    {ER_LOCK_DEADLOCK, TIDE_ERR_CONFLICT, true},
    {ER_LOCK_WAIT_TIMEOUT, TIDE_ERR_CONFLICT, true},
    {ER_CHECKREAD, TIDE_ERR_CONFLICT, true},
    {ER_STATEMENT_TIMEOUT, TIDE_ERR_TIMEOUT, true},
    {ER_QUERY_TIMEOUT_MYSQL, TIDE_ERR_TIMEOUT, true},
    {ER_NET_PACKET_TOO_LARGE, TIDE_ERR_TOO_LARGE, false},
    {ER_RECORD_FILE_FULL, TIDE_ERR_FULL, true},
    {ER_DISK_FULL, TIDE_ERR_FULL, true},
    {ER_CON_COUNT_ERROR, TIDE_ERR_UNAVAILABLE, true},
    {ER_TOO_MANY_USER_CONNECTIONS, TIDE_ERR_UNAVAILABLE, true},
    {ER_USER_LIMIT_REACHED, TIDE_ERR_UNAVAILABLE, true},
    {ER_MAX_PREPARED_STMT_COUNT_REACHED, TIDE_ERR_UNAVAILABLE, true},
    {ER_NEED_REPREPARE, TIDE_ERR_UNAVAILABLE, true},
    {ER_OUTOFMEMORY, TIDE_ERR_UNAVAILABLE, true},
    {ER_OUT_OF_SORTMEMORY, TIDE_ERR_UNAVAILABLE, true},
    {ER_OUT_OF_RESOURCES, TIDE_ERR_UNAVAILABLE, true},
    {ER_OPTION_PREVENTS_STATEMENT, TIDE_ERR_UNAVAILABLE, true}, /* --read-only: a failover is under way */
    /* What the user may not do is said without the statement. */
    {ER_TABLEACCESS_DENIED_ERROR, TIDE_ERR_INVALID, false},
    {ER_COLUMNACCESS_DENIED_ERROR, TIDE_ERR_INVALID, false},
    {ER_SPECIFIC_ACCESS_DENIED_ERROR, TIDE_ERR_INVALID, false},
    {ER_QUERY_INTERRUPTED, TIDE_ERR_UNAVAILABLE, true},
};

bool tide_mysql_is_refused(unsigned number)
{
    return number == ER_ACCESS_DENIED_ERROR || number == ER_DBACCESS_DENIED_ERROR ||
           number == ER_BAD_DB_ERROR || number == ER_ACCESS_DENIED_NO_PASSWORD_ERROR ||
           number == ER_HOST_NOT_PRIVILEGED || number == ER_HOST_IS_BLOCKED ||
           number == CR_AUTH_PLUGIN_CANNOT_LOAD || number == CR_SSL_CONNECTION_ERROR;
}

/* A server that has become read-only may be the wrong one by now. */
bool tide_mysql_is_lost(unsigned number)
{
    return number == ER_SERVER_SHUTDOWN || number == ER_OPTION_PREVENTS_STATEMENT ||
           number == ER_CONNECTION_KILLED ||
           (number >= CR_MIN_ERROR && number <= CR_MYSQL_LAST_ERROR && number != CR_PARAMS_NOT_BOUND) ||
           number >= 5000;
}

static bool fail_connection(const struct tide_mysql_failure *failure, struct tide_err *err)
{
    if (failure->number == CR_NET_PACKET_TOO_LARGE)
        return tide_err_set(err, TIDE_ERR_LIMIT, false, "mysql: a row of more than 16 MiB");
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "mysql: %s (%u)", failure->message, failure->number);
}

bool tide_mysql_fail(const struct tide_mysql_failure *failure, const char *text, struct tide_err *err)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].number == failure->number)
            return tide_err_set(err, meanings[i].code, meanings[i].retryable, "mysql: %s (%u)",
                                failure->message, failure->number);
    if (tide_mysql_is_lost(failure->number))
        return fail_connection(failure, err);
    if (text)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "mysql: %.150s (%u), in: %.120s", failure->message,
                            failure->number, text);
    return tide_err_set(err, TIDE_ERR_INVALID, false, "mysql: %s (%u)", failure->message, failure->number);
}
