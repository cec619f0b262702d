/* What the connector's and the server's error numbers mean to a caller. Any thread. */
#ifndef TIDE_SQL_MYSQL_FAIL_H
#define TIDE_SQL_MYSQL_FAIL_H

#include <stdbool.h>

#include "base/err.h"

struct tide_mysql_failure {
    unsigned number; /* of the server, or from 2000 to 2999 and from 5000 on of the connector */
    const char *message;
};

/* Fills *err. `text`: the statement at fault, or NULL. Returns false. */
bool tide_mysql_fail(const struct tide_mysql_failure *failure, const char *text, struct tide_err *err);

/* Whether nothing more can be done with the connection. */
bool tide_mysql_is_lost(unsigned number);

/* Whether the server refuses us for a reason that lasts until somebody mends it. */
bool tide_mysql_is_refused(unsigned number);

#endif
