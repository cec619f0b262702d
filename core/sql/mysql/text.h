/* What has to be known of a statement's text before a server sees it. The session's sql_mode is that of
 * sql/mysql/conn.c: no backslash escapes, double quotes around names. Any thread. */
#ifndef TIDE_SQL_MYSQL_TEXT_H
#define TIDE_SQL_MYSQL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum tide_mysql_kind {
    TIDE_MYSQL_READS,  /* changes nothing: may be run again */
    TIDE_MYSQL_WRITES, /* rows */
    TIDE_MYSQL_OTHER,  /* CREATE and the like, which commit by themselves */
    TIDE_MYSQL_DENIED, /* would change the connection, which is shared, or more than one result */
};

enum tide_mysql_kind tide_mysql_kind_of(const char *text);

/* The next statement from *at on, without blanks, comments and semicolons around it; *at is behind it then.
 * False: there is none. */
bool tide_mysql_next_statement(const char **at, const char **begin, size_t *len);

#endif
