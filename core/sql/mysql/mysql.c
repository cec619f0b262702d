/*
 * The driver of MySQL and MariaDB (MariaDB Connector/C). Calls are made here, wait in pool.c for one of a
 * worker's connections, and run on it in slot.c by the connector's non-blocking calls (conn.c).
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/driver.h"
#include "sql/mysql/db.h"

#define CANCEL_MS 100 /* what is canceled may still end by itself, which spares its connection */
#define OPENERS 2     /* threads */

TIDE_MODULE_EXPORT extern const struct tide_sql_driver TIDE_MODULE_DRIVER;

/* ---- calls ---- */

static bool can_take(const struct tide_mysql_db *db, struct tide_err *err)
{
    if (db->closing)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "mysql: the database is closing");
    if (db->waiting.count + db->in_tx.count >= TIDE_SQL_MAX_WAITING)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "mysql: %d calls are waiting already",
                            TIDE_SQL_MAX_WAITING);
    return true;
}

/* Callbacks never run inside the call that asks. */
static void ask(struct tide_mysql_db *db, struct tide_sql_call_list *list, struct tide_mysql_call *call)
{
    bool asking = db->asking;

    call->slot = NULL;
    call->command = NULL;
    call->tries = 0;
    tide_sql_list_push(list, &call->base);
    db->asking = true;
    tide_mysql_pump(db);
    db->asking = asking;
}

static struct tide_sql_call *run(struct tide_sql_db *base, struct tide_sql_tx *tx,
                                 const struct tide_sql_statement *statement, tide_sql_cb *cb, void *arg,
                                 struct tide_err *err)
{
    struct tide_mysql_db *db = (struct tide_mysql_db *)base;
    struct tide_sql_call *call;

    if (!can_take(db, err))
        return NULL;
    call = tide_sql_call_new(sizeof(struct tide_mysql_call), base, tx, statement, cb, arg, err);
    if (call)
        ask(db, tx ? &db->in_tx : &db->waiting, (struct tide_mysql_call *)call);
    return call;
}

static struct tide_sql_call *begin(struct tide_sql_db *base, tide_sql_begin_cb *cb, void *arg,
                                   struct tide_err *err)
{
    struct tide_mysql_db *db = (struct tide_mysql_db *)base;
    struct tide_sql_call *call;

    if (!can_take(db, err))
        return NULL;
    call = tide_sql_call_begin(sizeof(struct tide_mysql_call), sizeof(struct tide_mysql_tx),
                               offsetof(struct tide_mysql_tx, end), base, cb, arg, err);
    if (call)
        ask(db, &db->waiting, (struct tide_mysql_call *)call);
    return call;
}

static struct tide_sql_call *end(struct tide_sql_tx *tx, bool commit, tide_sql_cb *cb, void *arg)
{
    struct tide_mysql_db *db = (struct tide_mysql_db *)tx->db;
    struct tide_sql_call *call = tide_sql_tx_ask_end(tx, commit, cb, arg);

    ask(db, &db->in_tx, (struct tide_mysql_call *)call);
    return call;
}

static void cancel(struct tide_sql_call *base)
{
    struct tide_mysql_call *call = (struct tide_mysql_call *)base;
    struct tide_mysql_db *db = (struct tide_mysql_db *)base->db;
    int64_t soon = tide_clock_monotonic_ms() + CANCEL_MS;

    base->detached = true;
    if (base->kind == TIDE_SQL_END || base->done) /* the transaction ends all the same */
        return;
    if (call->slot) {
        base->deadline_ms = base->deadline_ms < soon ? base->deadline_ms : soon;
        return;
    }
    tide_sql_list_remove(&db->waiting, base);
    tide_sql_list_remove(&db->in_tx, base);
    tide_sql_call_finish(base);
}

/* ---- open and close ---- */

void tide_mysql_warn(struct tide_mysql_db *db)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;

    if (db->url.verify || tide_mysql_url_is_local(&db->url) || atomic_flag_test_and_set(&told))
        return;
    tide_log_event(db->base.log, TIDE_LOG_WARN, "what is sent to the database is not encrypted",
                   tide_log_str("database", db->url.shown),
                   tide_log_str("instead", "?ssl_ca=FILE or ?ssl_mode=verify_identity in the setting sql"));
}

static void start_library(void)
{
    mysql_library_init(0, NULL, NULL);
}

static void free_timer(uv_handle_t *handle)
{
    free(handle);
}

static void db_free(struct tide_mysql_db *db)
{
    tide_mysql_conn_close(db->sync);
    if (db->timer)
        uv_close((uv_handle_t *)db->timer, free_timer);
    free(db->slots);
    tide_mysql_url_release(&db->url);
    free(db);
}

static bool set_up(struct tide_mysql_db *db, uv_loop_t *loop, const char *url, struct tide_err *err)
{
    if (!tide_mysql_url_parse(&db->url, url, err))
        return false;
    db->loop = loop;
    db->slots = calloc(db->url.connections, sizeof *db->slots);
    db->timer = malloc(sizeof *db->timer);
    if (!db->slots || !db->timer) {
        free(db->timer);
        db->timer = NULL;
        return tide_err_errno(err, ENOMEM, "mysql");
    }
    uv_timer_init(loop, db->timer);
    db->timer->data = db;
    for (unsigned i = 0; i < db->url.connections; i++)
        db->slots[i].db = db;
    db->pool = tide_pool_new(loop, "mysql", OPENERS, db->url.connections, err);
    return db->pool != NULL;
}

static bool check(const char *text, struct tide_err *err)
{
    struct tide_mysql_url url;
    bool ok = tide_mysql_url_parse(&url, text, err);

    tide_mysql_url_release(&url);
    return ok;
}

static struct tide_sql_db *db_open(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                   struct tide_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct tide_mysql_db *db = calloc(1, sizeof *db);

    pthread_once(&once, start_library);
    if (!db) {
        tide_err_errno(err, ENOMEM, "mysql");
        return NULL;
    }
    db->base.driver = &TIDE_MODULE_DRIVER;
    db->base.log = log;
    if (!set_up(db, loop, url, err)) {
        db_free(db);
        return NULL;
    }
    return &db->base;
}

static void db_close(struct tide_sql_db *base)
{
    struct tide_mysql_db *db = (struct tide_mysql_db *)base;

    tide_mysql_pool_close(db);
    db_free(db);
}

const struct tide_sql_driver TIDE_MODULE_DRIVER = {
    .dialect = "mysql",
    .check = check,
    .open = db_open,
    .close = db_close,
    .ready = tide_mysql_ready,
    .run = run,
    .cancel = cancel,
    .begin = begin,
    .end = end,
    .run_sync = tide_mysql_run_sync,
    .begin_sync = tide_mysql_begin_sync,
    .end_sync = tide_mysql_end_sync,
    .script_sync = tide_mysql_script_sync,
};
