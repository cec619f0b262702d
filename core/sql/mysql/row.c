#include "sql/mysql/row.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define EXACT_DIGITS 15 /* of a decimal number that a double gives back as they are */

struct tide_mysql_cell {
    union {
        int64_t integer;
        double number;
        char text[256]; /* the beginning, and mostly all of it */
    } as;
    unsigned long len; /* of the whole text */
    my_bool null, error;
};

void tide_mysql_rows_release(struct tide_mysql_rows *rows)
{
    tide_mysql_rows_end(rows);
    free(rows->params);
    free(rows->columns);
    free(rows->cells);
    *rows = (struct tide_mysql_rows){0};
}

static bool fail_memory(struct tide_err *err)
{
    return tide_err_errno(err, ENOMEM, "mysql");
}

/* ---- parameters ---- */

static bool room_for_params(struct tide_mysql_rows *rows, size_t count)
{
    if (count > rows->param_room) {
        free(rows->params);
        rows->params = malloc(count * sizeof *rows->params);
        rows->param_room = rows->params ? count : 0;
    }
    return count <= rows->param_room;
}

static void bind_param(MYSQL_BIND *bind, const struct tide_sql_value *value)
{
    switch (value->type) {
    case TIDE_SQL_INT:
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = (void *)&value->integer;
        break;
    case TIDE_SQL_NUMBER:
        bind->buffer_type = MYSQL_TYPE_DOUBLE;
        bind->buffer = (void *)&value->number;
        break;
    case TIDE_SQL_TEXT: /* text compares by the column's collation; other bytes would be refused as text */
        bind->buffer_type = tide_utf8_valid(value->text, value->len) ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
        bind->buffer = value->len ? value->text : "";
        bind->buffer_length = value->len;
        break;
    default:
        bind->buffer_type = MYSQL_TYPE_NULL;
    }
}

bool tide_mysql_rows_bind(struct tide_mysql_rows *rows, MYSQL_STMT *stmt,
                          const struct tide_sql_statement *statement, struct tide_err *err)
{
    size_t wanted = mysql_stmt_param_count(stmt);

    if (wanted != statement->count)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "mysql: the statement takes %zu parameter%s, %zu given: %.120s", wanted,
                            wanted == 1 ? "" : "s", statement->count, statement->text);
    if (wanted == 0)
        return true;
    if (!room_for_params(rows, wanted))
        return fail_memory(err);
    memset(rows->params, 0, wanted * sizeof *rows->params);
    for (size_t i = 0; i < wanted; i++)
        bind_param(&rows->params[i], &statement->params[i]);
    return !mysql_stmt_bind_param(stmt, rows->params) ||
           tide_err_set(err, TIDE_ERR_INTERNAL, false, "mysql: %s", mysql_stmt_error(stmt));
}

/* ---- columns ---- */

static bool room_for_columns(struct tide_mysql_rows *rows, size_t count)
{
    if (count > rows->column_room) {
        free(rows->columns);
        free(rows->cells);
        rows->columns = malloc(count * sizeof *rows->columns);
        rows->cells = malloc(count * sizeof *rows->cells);
        rows->column_room = rows->columns && rows->cells ? count : 0;
    }
    return count <= rows->column_room;
}

static void bind_column(MYSQL_BIND *bind, struct tide_mysql_cell *cell, const MYSQL_FIELD *field)
{
    switch (field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_YEAR:
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->is_unsigned = (field->flags & UNSIGNED_FLAG) != 0;
        bind->buffer_length = sizeof cell->as.integer;
        break;
    case MYSQL_TYPE_FLOAT:
    case MYSQL_TYPE_DOUBLE:
        bind->buffer_type = MYSQL_TYPE_DOUBLE;
        bind->buffer_length = sizeof cell->as.number;
        break;
    default:
        bind->buffer_type = MYSQL_TYPE_STRING;
        bind->buffer_length = sizeof cell->as.text;
    }
    bind->buffer = &cell->as;
    bind->length = &cell->len;
    bind->is_null = &cell->null;
    bind->error = &cell->error;
}

static char *copy_text(const char *text, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

static bool take_names(struct tide_mysql_rows *rows, const MYSQL_FIELD *fields, size_t count)
{
    struct tide_sql_result *result = rows->result;

    result->names = calloc(count, sizeof *result->names);
    if (!result->names)
        return false;
    result->columns = count;
    for (size_t i = 0; i < count; i++) {
        result->names[i] = copy_text(fields[i].name, fields[i].name_length);
        if (!result->names[i])
            return false;
        rows->bytes += fields[i].name_length + sizeof(char *);
    }
    return true;
}

bool tide_mysql_rows_begin(struct tide_mysql_rows *rows, MYSQL_STMT *stmt, struct tide_sql_result *result,
                           struct tide_err *err)
{
    size_t count = mysql_stmt_field_count(stmt);
    const MYSQL_FIELD *fields;

    rows->stmt = stmt;
    rows->result = result;
    rows->bytes = rows->room = 0;
    rows->over = false;
    rows->fields = mysql_stmt_result_metadata(stmt);
    if (!rows->fields || !room_for_columns(rows, count))
        return fail_memory(err);
    fields = mysql_fetch_fields(rows->fields);
    memset(rows->columns, 0, count * sizeof *rows->columns);
    for (size_t i = 0; i < count; i++)
        bind_column(&rows->columns[i], &rows->cells[i], &fields[i]);
    if (!take_names(rows, fields, count))
        return fail_memory(err);
    return !mysql_stmt_bind_result(stmt, rows->columns) ||
           tide_err_set(err, TIDE_ERR_INTERNAL, false, "mysql: %s", mysql_stmt_error(stmt));
}

void tide_mysql_rows_end(struct tide_mysql_rows *rows)
{
    if (rows->fields)
        mysql_free_result(rows->fields);
    rows->fields = NULL;
    rows->stmt = NULL;
    rows->result = NULL;
}

/* ---- values ---- */

/* SQLite would give a number. One whose digits a double doesn't hold stays the text that it is. */
static void turn_decimal(struct tide_sql_value *value, unsigned decimals)
{
    size_t digits = value->len - (*value->text == '-') - (decimals > 0);
    char *text = value->text, *end;

    errno = 0;
    value->integer = strtoll(text, &end, 10);
    if (errno == 0 && *end == '\0')
        value->type = TIDE_SQL_INT;
    else if (digits <= EXACT_DIGITS)
        value->type = TIDE_SQL_NUMBER;
    else
        return;
    value->number = strtod(text, NULL);
    value->text = NULL;
    value->len = 0;
    free(text);
}

static void take_bits(struct tide_sql_value *value, const struct tide_mysql_cell *cell)
{
    uint64_t bits = 0;

    for (unsigned long i = 0; i < cell->len; i++)
        bits = bits << 8 | (unsigned char)cell->as.text[i];
    value->type = TIDE_SQL_INT;
    value->integer = (int64_t)bits;
}

static bool take_text(struct tide_mysql_rows *rows, size_t column, struct tide_sql_value *value)
{
    struct tide_mysql_cell *cell = &rows->cells[column];
    MYSQL_BIND whole = rows->columns[column];

    value->type = TIDE_SQL_TEXT;
    value->len = cell->len;
    rows->bytes += cell->len;
    if (rows->bytes > TIDE_SQL_MAX_BYTES)
        return true; /* the row is dropped as a whole, so don't copy it */
    if (cell->len <= sizeof cell->as.text) {
        value->text = copy_text(cell->as.text, cell->len);
        return value->text != NULL;
    }
    value->text = malloc(cell->len + 1);
    if (!value->text)
        return false;
    whole.buffer = value->text;
    whole.buffer_length = cell->len;
    value->text[cell->len] = '\0';
    return mysql_stmt_fetch_column(rows->stmt, &whole, (unsigned)column, 0) == 0;
}

/* An integer beyond 2^63 stays text, too. */
static bool take_unsigned(struct tide_sql_value *value, int64_t integer)
{
    value->type = TIDE_SQL_TEXT;
    value->len = (size_t)asprintf(&value->text, "%" PRIu64, (uint64_t)integer);
    return value->text != NULL;
}

static bool take_value(struct tide_mysql_rows *rows, size_t column, const MYSQL_FIELD *field,
                       struct tide_sql_value *value)
{
    struct tide_mysql_cell *cell = &rows->cells[column];
    MYSQL_BIND *bind = &rows->columns[column];

    rows->bytes += sizeof *value;
    if (cell->null || field->type == MYSQL_TYPE_NULL) {
        value->type = TIDE_SQL_NULL;
    } else if (bind->buffer_type == MYSQL_TYPE_LONGLONG) {
        value->type = TIDE_SQL_INT;
        value->integer = cell->as.integer;
        if (bind->is_unsigned && cell->as.integer < 0)
            return take_unsigned(value, cell->as.integer);
    } else if (bind->buffer_type == MYSQL_TYPE_DOUBLE) {
        value->type = TIDE_SQL_NUMBER;
        value->number = cell->as.number;
    } else if (field->type == MYSQL_TYPE_BIT) {
        take_bits(value, cell);
    } else if (!take_text(rows, column, value)) {
        return false;
    } else if (field->type == MYSQL_TYPE_NEWDECIMAL && value->text) {
        turn_decimal(value, field->decimals);
    }
    return true;
}

/* ---- rows ---- */

static struct tide_sql_value *new_row(struct tide_mysql_rows *rows)
{
    struct tide_sql_result *result = rows->result;
    struct tide_sql_value *row;

    if (result->rows == rows->room) {
        size_t room = rows->room ? rows->room * 2 : 4;
        void *values = realloc(result->values, room * result->columns * sizeof *row);

        if (!values)
            return NULL;
        result->values = values;
        rows->room = room;
    }
    row = &result->values[result->rows++ * result->columns];
    memset(row, 0, result->columns * sizeof *row);
    return row;
}

bool tide_mysql_rows_take(struct tide_mysql_rows *rows, struct tide_err *err)
{
    const MYSQL_FIELD *fields = mysql_fetch_fields(rows->fields);
    struct tide_sql_value *row;

    rows->over = rows->over || rows->result->rows == TIDE_SQL_MAX_ROWS;
    if (rows->over)
        return true;
    row = new_row(rows);
    if (!row)
        return fail_memory(err);
    for (size_t i = 0; i < rows->result->columns; i++)
        if (!take_value(rows, i, &fields[i], &row[i]))
            return fail_memory(err);
    rows->over = rows->bytes > TIDE_SQL_MAX_BYTES;
    return true;
}

bool tide_mysql_rows_check(const struct tide_mysql_rows *rows, struct tide_err *err)
{
    if (!rows->over)
        return true;
    if (rows->bytes > TIDE_SQL_MAX_BYTES)
        return tide_err_set(err, TIDE_ERR_LIMIT, false, "mysql: a result of more than %zu MiB: add a LIMIT",
                            TIDE_SQL_MAX_BYTES >> 20);
    return tide_err_set(err, TIDE_ERR_LIMIT, false, "mysql: more than %d rows: add a LIMIT",
                        TIDE_SQL_MAX_ROWS);
}
