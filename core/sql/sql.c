#include "sql/sql.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/driver.h"
#include "sql/call.h"

static const struct tide_driver_choice drivers[] = {
    {"sqlite", "sqlite:FILE", &tide_sql_sqlite, NULL},
    {"mysql", "mysql://USER:PASSWORD@HOST/DATABASE", NULL, "sql-mysql"},
};

static const struct tide_sql_driver *find_driver(const char *url, struct tide_err *err)
{
    return tide_driver_find("sql", drivers, sizeof drivers / sizeof *drivers, url, err);
}

bool tide_sql_check(const char *url, struct tide_err *err)
{
    const struct tide_sql_driver *driver = find_driver(url, err);

    return driver && driver->check(url, err);
}

struct tide_sql_db *tide_sql_open(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                  struct tide_err *err)
{
    const struct tide_sql_driver *driver = find_driver(url, err);

    return driver ? driver->open(loop, log, url, err) : NULL;
}

void tide_sql_close(struct tide_sql_db *db)
{
    if (db)
        db->driver->close(db);
}

bool tide_sql_ready(struct tide_sql_db *db, struct tide_err *err)
{
    return db->driver->ready(db, err);
}

const char *tide_sql_dialect(const struct tide_sql_db *db)
{
    return db->driver->dialect;
}

static struct tide_sql_statement statement_of(const char *text, const struct tide_sql_value *params,
                                              size_t count, int64_t timeout_ms)
{
    assert(text && (params || count == 0));
    return (struct tide_sql_statement){
        .text = text,
        .params = params,
        .count = count,
        .timeout_ms = timeout_ms > 0 ? timeout_ms : TIDE_SQL_TIMEOUT_MS,
    };
}

struct tide_sql_call *tide_sql_run(struct tide_sql_db *db, struct tide_sql_tx *tx, const char *statement,
                                   const struct tide_sql_value *params, size_t count, int64_t timeout_ms,
                                   tide_sql_cb *cb, void *arg, struct tide_err *err)
{
    struct tide_sql_statement prepared = statement_of(statement, params, count, timeout_ms);

    assert(cb && (!tx || tx->db == db));
    return db->driver->run(db, tx, &prepared, cb, arg, err);
}

void tide_sql_call_cancel(struct tide_sql_call *call)
{
    if (call)
        call->db->driver->cancel(call);
}

struct tide_sql_call *tide_sql_begin(struct tide_sql_db *db, tide_sql_begin_cb *cb, void *arg,
                                     struct tide_err *err)
{
    assert(cb);
    return db->driver->begin(db, cb, arg, err);
}

struct tide_sql_call *tide_sql_end(struct tide_sql_tx *tx, bool commit, tide_sql_cb *cb, void *arg,
                                   struct tide_err *err)
{
    assert(cb || !commit);
    (void)err; /* a transaction can always be ended: its failures come to cb */
    return tx->db->driver->end(tx, commit, cb, arg);
}

bool tide_sql_run_sync(struct tide_sql_db *db, const char *statement, const struct tide_sql_value *params,
                       size_t count, struct tide_sql_result *result, struct tide_err *err)
{
    struct tide_sql_statement prepared = statement_of(statement, params, count, 0);

    return db->driver->run_sync(db, &prepared, result, err);
}

bool tide_sql_script(struct tide_sql_db *db, const char *script, struct tide_err *err)
{
    int line;

    if (!db->driver->begin_sync(db, err))
        return false;
    if (db->driver->script_sync(db, script, &line, err))
        return db->driver->end_sync(db, true, err);
    (void)db->driver->end_sync(db, false, NULL); /* the first error is the one to tell */
    return tide_err_prefix(err, "line %d", line);
}

void tide_sql_result_release(struct tide_sql_result *result)
{
    for (size_t i = 0; i < result->columns && result->names; i++)
        free(result->names[i]);
    for (size_t i = 0; i < result->rows * result->columns && result->values; i++)
        free(result->values[i].text);
    free(result->names);
    free(result->values);
    *result = (struct tide_sql_result){0};
}
