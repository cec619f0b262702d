/*
 * Parameters into a prepared statement, and rows out of it, one at a time. Who uses it: sql/mysql/conn.c. The
 * buffers are a connection's; they are reused from statement to statement.
 */
#ifndef TIDE_SQL_MYSQL_ROW_H
#define TIDE_SQL_MYSQL_ROW_H

#include <mysql.h>

#include "sql/driver.h"

struct tide_mysql_cell;

struct tide_mysql_rows {
    MYSQL_BIND *params, *columns;
    size_t param_room, column_room;
    struct tide_mysql_cell *cells; /* column_room */
    /* of the statement that runs */
    MYSQL_STMT *stmt;
    MYSQL_RES *fields;
    struct tide_sql_result *result;
    size_t bytes, room; /* of the result so far; rows that fit */
    bool over;          /* a limit was passed: what is left is read and dropped */
};

void tide_mysql_rows_release(struct tide_mysql_rows *rows);

/* Binds the parameters, which must stay until the statement was executed. */
TIDE_WARN_UNUSED bool tide_mysql_rows_bind(struct tide_mysql_rows *rows, MYSQL_STMT *stmt,
                                           const struct tide_sql_statement *statement, struct tide_err *err);
/* The statement was executed and has rows, which go into *result. */
TIDE_WARN_UNUSED bool tide_mysql_rows_begin(struct tide_mysql_rows *rows, MYSQL_STMT *stmt,
                                            struct tide_sql_result *result, struct tide_err *err);
/* Takes the row just fetched. A row over a limit is not taken: see `over`, and tide_mysql_rows_check. */
TIDE_WARN_UNUSED bool tide_mysql_rows_take(struct tide_mysql_rows *rows, struct tide_err *err);
/* All rows were fetched: false when there were more than the limits allow. */
TIDE_WARN_UNUSED bool tide_mysql_rows_check(const struct tide_mysql_rows *rows, struct tide_err *err);
void tide_mysql_rows_end(struct tide_mysql_rows *rows);

#endif
