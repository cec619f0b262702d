/*
 * The embedded database: SQLite in WAL mode. Calls are made here and run by lanes (sqlite_lane.c).
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/driver.h"
#include "sql/sqlite_db.h"

/* ---- the driver's calls ---- */

/* Anything but a plain query goes to the writing lane; there a query is merely slower. */
static bool only_reads(const char *text)
{
    for (;;) {
        text += strspn(text, " \t\r\n\f(");
        if (text[0] != '-' || text[1] != '-')
            break;
        text += strcspn(text, "\n");
    }
    return strncasecmp(text, "select", 6) == 0 || strncasecmp(text, "values", 6) == 0 ||
           strncasecmp(text, "explain", 7) == 0;
}

static bool can_take(const struct db *db, struct tide_err *err)
{
    if (db->closing)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "sqlite: the database is closing");
    if (db->writes.count + db->reads.count >= TIDE_SQL_MAX_WAITING)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "sqlite: %d calls are waiting already",
                            TIDE_SQL_MAX_WAITING);
    return true;
}

static void set_own(struct tide_sql_call *base)
{
    struct call *call = (struct call *)base;

    call->lane = NULL;
    atomic_init(&call->stop, false);
}

static struct tide_sql_call *run(struct tide_sql_db *base, struct tide_sql_tx *tx,
                                 const struct tide_sql_statement *statement, tide_sql_cb *cb, void *arg,
                                 struct tide_err *err)
{
    struct db *db = (struct db *)base;
    struct tide_sql_call *call;

    if (!can_take(db, err))
        return NULL;
    call = tide_sql_call_new(sizeof(struct call), base, tx, statement, cb, arg, err);
    if (!call)
        return NULL;
    set_own(call);
    tide_sql_list_push(!tx && only_reads(statement->text) ? &db->reads : &db->writes, call);
    tide_sqlite_pump(db);
    return call;
}

static struct tide_sql_call *begin(struct tide_sql_db *base, tide_sql_begin_cb *cb, void *arg,
                                   struct tide_err *err)
{
    struct db *db = (struct db *)base;
    struct tide_sql_call *call;

    if (!can_take(db, err))
        return NULL;
    call = tide_sql_call_begin(sizeof(struct call), sizeof(struct tx), offsetof(struct tx, end), base, cb,
                               arg, err);
    if (!call)
        return NULL;
    set_own(call);
    tide_sql_list_push(&db->writes, call);
    tide_sqlite_pump(db);
    return call;
}

static struct tide_sql_call *end(struct tide_sql_tx *tx, bool commit, tide_sql_cb *cb, void *arg)
{
    struct db *db = (struct db *)tx->db;
    struct tide_sql_call *call = tide_sql_tx_ask_end(tx, commit, cb, arg);

    set_own(call);
    tide_sql_list_push(&db->writes, call);
    tide_sqlite_pump(db);
    return call;
}

static void cancel(struct tide_sql_call *base)
{
    struct call *call = (struct call *)base;
    struct db *db = (struct db *)base->db;
    bool waiting = !call->lane && !base->done;

    base->detached = true;
    if (base->kind == TIDE_SQL_END) /* the transaction ends all the same */
        return;
    atomic_store(&call->stop, true);
    if (!waiting)
        return;
    tide_sql_list_remove(&db->writes, base);
    tide_sql_list_remove(&db->reads, base);
    tide_sql_call_finish(base);
    tide_sqlite_arm(db);
}

/* ---- what blocks ---- */

static bool run_sync(struct tide_sql_db *base, const struct tide_sql_statement *statement,
                     struct tide_sql_result *result, struct tide_err *err)
{
    struct db *db = (struct db *)base;

    tide_sqlite_conn_limit(db->sync, tide_clock_monotonic_ms() + statement->timeout_ms, NULL);
    return tide_sqlite_conn_run(db->sync, statement, result, err);
}

static bool begin_sync(struct tide_sql_db *base, struct tide_err *err)
{
    struct db *db = (struct db *)base;

    tide_sqlite_conn_limit(db->sync, tide_clock_monotonic_ms() + TIDE_SQL_TIMEOUT_MS, NULL);
    return tide_sqlite_conn_begin(db->sync, err);
}

static bool end_sync(struct tide_sql_db *base, bool commit, struct tide_err *err)
{
    return tide_sqlite_conn_end(((struct db *)base)->sync, commit, err);
}

static bool script_sync(struct tide_sql_db *base, const char *script, int *line, struct tide_err *err)
{
    struct db *db = (struct db *)base;

    /* A schema change over a large table may take its time. */
    tide_sqlite_conn_limit(db->sync, tide_clock_monotonic_ms() + 60 * TIDE_SQL_TIMEOUT_MS, NULL);
    return tide_sqlite_conn_script(db->sync, script, line, err);
}

static bool ready(struct tide_sql_db *base, struct tide_err *err)
{
    struct tide_sql_statement probe = {.text = "SELECT count(*) FROM sqlite_schema", .timeout_ms = 100};
    struct tide_sql_result result;
    struct stat st;

    if (stat(((struct db *)base)->path, &st) != 0) {
        tide_err_errno(err, errno, ((struct db *)base)->path);
        return tide_err_prefix(err, "sqlite");
    }
    if (!run_sync(base, &probe, &result, err))
        return false;
    tide_sql_result_release(&result);
    return true;
}

/* ---- open and close ---- */

static bool check(const char *url, struct tide_err *err)
{
    const char *path = tide_driver_location(url);

    if (path[0] == '\0' || path[0] == ':')
        return tide_err_set(
            err, TIDE_ERR_INVALID, false,
            "sqlite: '%s' is not a file; write sqlite:DIR/NAME.db (there is no in-memory database)", path);
    if (path[0] == '/' && path[1] == '/' && path[2] != '/')
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "sqlite: write sqlite:DIR/NAME.db or sqlite:/DIR/NAME.db");
    return true;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

static void db_free(struct db *db)
{
    for (int i = 0; i < LANES; i++)
        tide_sqlite_conn_free(db->lanes[i].conn);
    tide_sqlite_conn_free(db->sync);
    if (db->timer)
        uv_close((uv_handle_t *)db->timer, on_timer_closed);
    free(db->path);
    free(db);
}

static bool set_up(struct db *db, uv_loop_t *loop, const char *path, struct tide_err *err)
{
    db->timer = malloc(sizeof *db->timer);
    db->path = strdup(path);
    if (!db->timer || !db->path) {
        free(db->timer);
        db->timer = NULL;
        return tide_err_errno(err, ENOMEM, "sqlite");
    }
    uv_timer_init(loop, db->timer);
    db->timer->data = db;
    db->sync = tide_sqlite_conn_open(path, false, err);
    if (!db->sync)
        return false;
    for (int i = 0; i < LANES; i++)
        db->lanes[i].db = db;
    db->pool = tide_pool_new(loop, "sql", LANES, LANES, err);
    return db->pool != NULL;
}

static struct tide_sql_db *db_open(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                   struct tide_err *err)
{
    struct db *db;

    if (!check(url, err))
        return NULL;
    db = calloc(1, sizeof *db);
    if (!db) {
        tide_err_errno(err, ENOMEM, "sqlite");
        return NULL;
    }
    db->base.driver = &tide_sql_sqlite;
    db->base.log = log;
    if (!set_up(db, loop, tide_driver_location(url), err)) {
        db_free(db);
        return NULL;
    }
    return &db->base;
}

static void drop(struct tide_sql_call_list *list)
{
    while (list->first) {
        struct tide_sql_call *call = list->first;

        tide_sql_list_remove(list, call);
        if (!call->done)
            tide_sql_call_refuse(call);
        tide_sql_call_finish(call);
    }
}

static void db_close(struct tide_sql_db *base)
{
    struct db *db = (struct db *)base;

    db->closing = true;
    for (int i = 0; i < LANES; i++)
        if (db->lanes[i].running && db->lanes[i].running->base.kind != TIDE_SQL_END)
            atomic_store(&db->lanes[i].running->stop, true);
    tide_pool_free(db->pool);
    drop(&db->late);
    drop(&db->reads);
    drop(&db->writes);
    while (base->txs)
        tide_sql_tx_free(base->txs);
    db_free(db);
}

const struct tide_sql_driver tide_sql_sqlite = {
    .dialect = "sqlite",
    .check = check,
    .open = db_open,
    .close = db_close,
    .ready = ready,
    .run = run,
    .cancel = cancel,
    .begin = begin,
    .end = end,
    .run_sync = run_sync,
    .begin_sync = begin_sync,
    .end_sync = end_sync,
    .script_sync = script_sync,
};
