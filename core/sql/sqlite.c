/*
 * Lanes: one connection that writes and a few that only read, each opened by its first job. A call goes to
 * the lane its statement needs and waits in order for it; a transaction keeps the writing lane until it ends.
 * What blocks runs on a pool with a thread a lane, so that no job ever waits for another inside the pool.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "loop/pool.h"
#include "sql/sqlite_conn.h"

#define READERS 3
#define LANES (READERS + 1)
#define WRITER 0
#define TICK_MS 50 /* how often waiting calls and transactions are checked for their deadline */

enum kind { RUN, BEGIN, END };

struct db;
struct tx;

struct call {
    struct tide_sql_call base;
    struct tide_job job;
    struct call *next;
    enum kind kind;
    struct lane *lane; /* while running */
    struct tx *tx;     /* NULL: on its own */
    struct tide_sql_statement statement;
    int64_t deadline_ms;
    bool commit;   /* END */
    bool detached; /* canceled: the callback must not run */
    bool done;     /* its outcome is known, only the callback is due */
    atomic_bool stop;
    tide_sql_cb *cb;
    tide_sql_begin_cb *begin_cb;
    void *arg;
    bool ok;
    struct tide_sql_result result;
    struct tide_err err;
};

struct call_list {
    struct call *first, *last;
    size_t count;
};

struct tx {
    struct tide_sql_tx base;
    struct tx *next;
    int64_t deadline_ms;
    bool lost;   /* rolled back before its end: `why` tells */
    bool ending; /* tide_sql_end was called */
    struct tide_err why;
    struct call end;     /* made here, so that an end can't fail */
    struct call give_up; /* the rollback after 30 s */
};

struct lane {
    struct db *db;
    struct tide_sqlite_conn *conn; /* NULL until its first job */
    struct call *running;
};

struct db {
    struct tide_sql_db base;
    uv_timer_t *timer;
    struct tide_pool *pool;
    char *path;
    struct lane lanes[LANES];
    struct tide_sqlite_conn *sync;  /* for what blocks; made at open */
    struct call_list writes, reads; /* waiting */
    struct call_list late;          /* outcome known, callback due at the next turn of the loop */
    struct tx *tx;                  /* holds the writing lane */
    struct tx *txs;                 /* all that were not freed yet */
    bool closing;
};

static void pump(struct db *db);
static struct tide_sql_call *end(struct tide_sql_tx *base, bool commit, tide_sql_cb *cb, void *arg);

/* ---- lists ---- */

static void list_push(struct call_list *list, struct call *call)
{
    call->next = NULL;
    if (list->last)
        list->last->next = call;
    else
        list->first = call;
    list->last = call;
    list->count++;
}

static void list_remove(struct call_list *list, struct call *call)
{
    struct call *before = NULL;

    for (struct call *at = list->first; at != call; at = at->next) {
        if (!at)
            return;
        before = at;
    }
    if (before)
        before->next = call->next;
    else
        list->first = call->next;
    if (list->last == call)
        list->last = before;
    list->count--;
}

/* ---- calls ---- */

static void call_init(struct call *call, struct db *db, enum kind kind, int64_t timeout_ms)
{
    *call = (struct call){.base.db = &db->base, .kind = kind};
    call->statement.timeout_ms = timeout_ms;
    call->deadline_ms = tide_clock_monotonic_ms() + timeout_ms;
    atomic_init(&call->stop, false);
}

/* One block: the call, its parameters, and behind them their texts and the statement's. */
static struct call *call_new(struct db *db, const struct tide_sql_statement *from, struct tide_err *err)
{
    size_t text_len = strlen(from->text) + 1, size = sizeof(struct call) + text_len;
    struct tide_sql_value *params;
    struct call *call;
    char *at;

    for (size_t i = 0; i < from->count; i++)
        size += sizeof *params + (from->params[i].type == TIDE_SQL_TEXT ? from->params[i].len : 0);
    call = malloc(size);
    if (!call) {
        tide_err_errno(err, ENOMEM, "sqlite");
        return NULL;
    }
    call_init(call, db, RUN, from->timeout_ms);
    params = (struct tide_sql_value *)(call + 1);
    at = (char *)(params + from->count);
    for (size_t i = 0; i < from->count; i++) {
        params[i] = from->params[i];
        if (params[i].type != TIDE_SQL_TEXT)
            continue;
        params[i].text = at;
        if (params[i].len)
            memcpy(at, from->params[i].text, params[i].len);
        at += params[i].len;
    }
    memcpy(at, from->text, text_len);
    call->statement.text = at;
    call->statement.params = params;
    call->statement.count = from->count;
    return call;
}

static void tx_free(struct tx *tx)
{
    struct db *db = (struct db *)tx->base.db;
    struct tx **at = &db->txs;

    while (*at != tx)
        at = &(*at)->next;
    *at = tx->next;
    free(tx);
}

static void finish_begin(struct call *call)
{
    struct tx *tx = call->tx;

    if (call->ok && call->detached) {
        (void)end(&tx->base, false, NULL, NULL);
    } else if (call->ok) {
        call->begin_cb(call->arg, &tx->base, NULL);
    } else {
        tx_free(tx);
        if (!call->detached)
            call->begin_cb(call->arg, NULL, &call->err);
    }
    free(call);
}

static void finish_end(struct call *call)
{
    struct tx *tx = call->tx;

    if (call->cb && !call->detached) {
        if (call->ok)
            call->cb(call->arg, &call->result, NULL);
        else
            call->cb(call->arg, NULL, &call->err);
    }
    if (call == &tx->end)
        tx_free(tx);
}

/* Tells the caller and frees the call. */
static void finish(struct call *call)
{
    if (call->kind == BEGIN) {
        finish_begin(call);
        return;
    }
    if (call->kind == END) {
        finish_end(call);
        return;
    }
    if (!call->detached) {
        if (call->ok)
            call->cb(call->arg, &call->result, NULL);
        else
            call->cb(call->arg, NULL, &call->err);
    }
    tide_sql_result_release(&call->result);
    free(call);
}

/* ---- jobs (on a pool thread) ---- */

static bool open_lane(struct lane *lane, struct tide_err *err)
{
    if (!lane->conn)
        lane->conn = tide_sqlite_conn_open(lane->db->path, lane != &lane->db->lanes[WRITER], err);
    return lane->conn != NULL;
}

static void work(struct tide_job *job)
{
    struct call *call = (struct call *)((char *)job - offsetof(struct call, job));
    struct lane *lane = call->lane;

    if (!open_lane(lane, &call->err))
        return;
    tide_sqlite_conn_limit(lane->conn, call->deadline_ms, &call->stop);
    if (call->kind == BEGIN)
        call->ok = tide_sqlite_conn_begin(lane->conn, &call->err);
    else if (call->kind == END)
        call->ok = tide_sqlite_conn_end(lane->conn, call->commit, &call->err);
    else
        call->ok = tide_sqlite_conn_run(lane->conn, &call->statement, &call->result, &call->err);
}

/* ---- back on the loop ---- */

/* A statement that was stopped or met a full disk may have taken the whole transaction with it. */
static void note_loss(struct db *db, struct call *call)
{
    struct tx *tx = call->tx;

    if (call->kind != RUN || !tx || call->ok)
        return;
    if (!tx->lost && !tide_sqlite_conn_in_tx(db->lanes[WRITER].conn)) {
        tx->lost = true;
        tx->why = call->err;
        tx->why.code = TIDE_ERR_CONFLICT;
        tide_err_prefix(&tx->why, "the transaction was rolled back");
        db->tx = NULL;
    } else if (tx->lost) {
        call->err = tx->why;
    }
}

static void done(struct tide_job *job)
{
    struct call *call = (struct call *)((char *)job - offsetof(struct call, job));
    struct db *db = call->lane->db;

    call->lane->running = NULL;
    call->lane = NULL;
    note_loss(db, call);
    if (call->kind == BEGIN && call->ok) {
        db->tx = call->tx;
        db->tx->deadline_ms = tide_clock_monotonic_ms() + TIDE_SQL_TX_MS;
    } else if (call->kind == END) {
        db->tx = NULL;
    }
    pump(db); /* first: the next statement runs while the callback does */
    finish(call);
}

static void on_tick(uv_timer_t *timer);

/* Runs while there is something whose time may run out, and at once when a callback is due. */
static void arm(struct db *db)
{
    bool needed = db->writes.first || db->reads.first || db->tx;

    if (db->closing)
        return;
    if (db->late.first)
        uv_timer_start(db->timer, on_tick, 0, 0);
    else if (!needed)
        uv_timer_stop(db->timer);
    else if (!uv_is_active((uv_handle_t *)db->timer))
        uv_timer_start(db->timer, on_tick, TICK_MS, 0);
}

static void finish_late(struct db *db, struct call *call)
{
    call->done = true;
    list_push(&db->late, call);
}

static void start(struct lane *lane, struct call_list *from, struct call *call)
{
    list_remove(from, call);
    call->lane = lane;
    call->job.work = work;
    call->job.done = done;
    /* For calls of a transaction that is gone there is nothing to run. */
    if (call->tx && call->tx->lost && call != &call->tx->give_up) {
        call->ok = call->kind == END && !call->commit;
        call->err = call->tx->why;
        finish_late(lane->db, call);
    } else if (!tide_pool_submit(lane->db->pool, &call->job, &call->err)) {
        finish_late(lane->db, call);
    } else {
        lane->running = call;
    }
}

static struct call *next_write(const struct db *db)
{
    for (struct call *call = db->writes.first; call; call = call->next) {
        struct tx *tx = call->kind == BEGIN ? NULL : call->tx;

        if (tx == db->tx || (tx && tx->lost))
            return call;
    }
    return NULL;
}

static void pump(struct db *db)
{
    struct call *call;

    while (!db->closing && !db->lanes[WRITER].running && (call = next_write(db)))
        start(&db->lanes[WRITER], &db->writes, call);
    for (int i = WRITER + 1; i < LANES; i++)
        while (!db->closing && !db->lanes[i].running && (call = db->reads.first))
            start(&db->lanes[i], &db->reads, call);
    arm(db);
}

/* ---- deadlines ---- */

static void expire_waiting(struct db *db, struct call_list *list, int64_t now)
{
    struct call *next;

    for (struct call *call = list->first; call; call = next) {
        next = call->next;
        if (call->kind == END || call->deadline_ms > now)
            continue;
        list_remove(list, call);
        tide_err_set(&call->err, TIDE_ERR_TIMEOUT, true, "sqlite: no connection was free within the timeout");
        finish_late(db, call);
    }
}

static void expire_tx(struct db *db, int64_t now)
{
    struct tx *tx = db->tx;

    if (!tx || tx->ending || tx->give_up.base.db || now < tx->deadline_ms)
        return;
    tx->lost = true;
    tide_err_set(&tx->why, TIDE_ERR_CONFLICT, false,
                 "sqlite: the transaction was rolled back after %d s without an end", TIDE_SQL_TX_MS / 1000);
    if (db->lanes[WRITER].running)
        atomic_store(&db->lanes[WRITER].running->stop, true);
    call_init(&tx->give_up, db, END, TIDE_SQL_TIMEOUT_MS);
    tx->give_up.tx = tx;
    list_push(&db->writes, &tx->give_up);
}

static void on_tick(uv_timer_t *timer)
{
    struct db *db = timer->data;
    int64_t now = tide_clock_monotonic_ms();
    struct call *due;

    expire_waiting(db, &db->writes, now);
    expire_waiting(db, &db->reads, now);
    expire_tx(db, now);
    due = db->late.first;
    db->late = (struct call_list){0};
    while (due) {
        struct call *next = due->next;

        finish(due);
        due = next;
    }
    pump(db);
}

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

static struct tide_sql_call *run(struct tide_sql_db *base, struct tide_sql_tx *tx,
                                 const struct tide_sql_statement *statement, tide_sql_cb *cb, void *arg,
                                 struct tide_err *err)
{
    struct db *db = (struct db *)base;
    struct call *call;

    if (!can_take(db, err))
        return NULL;
    call = call_new(db, statement, err);
    if (!call)
        return NULL;
    call->tx = (struct tx *)tx;
    call->cb = cb;
    call->arg = arg;
    assert(!call->tx || !call->tx->ending);
    list_push(!tx && only_reads(statement->text) ? &db->reads : &db->writes, call);
    pump(db);
    return &call->base;
}

static struct tide_sql_call *begin(struct tide_sql_db *base, tide_sql_begin_cb *cb, void *arg,
                                   struct tide_err *err)
{
    struct db *db = (struct db *)base;
    struct call *call;
    struct tx *tx;

    if (!can_take(db, err))
        return NULL;
    call = malloc(sizeof *call);
    tx = calloc(1, sizeof *tx);
    if (!call || !tx) {
        free(call);
        free(tx);
        tide_err_errno(err, ENOMEM, "sqlite");
        return NULL;
    }
    tx->base.db = base;
    tx->next = db->txs;
    db->txs = tx;
    call_init(call, db, BEGIN, TIDE_SQL_TIMEOUT_MS);
    call->tx = tx;
    call->begin_cb = cb;
    call->arg = arg;
    list_push(&db->writes, call);
    pump(db);
    return &call->base;
}

static struct tide_sql_call *end(struct tide_sql_tx *base, bool commit, tide_sql_cb *cb, void *arg)
{
    struct tx *tx = (struct tx *)base;
    struct db *db = (struct db *)base->db;
    struct call *call = &tx->end;

    assert(!tx->ending);
    tx->ending = true;
    call_init(call, db, END, TIDE_SQL_TIMEOUT_MS);
    call->tx = tx;
    call->commit = commit;
    call->cb = cb;
    call->arg = arg;
    list_push(&db->writes, call);
    pump(db);
    return &call->base;
}

static void cancel(struct tide_sql_call *base)
{
    struct call *call = (struct call *)base;
    struct db *db = (struct db *)base->db;
    bool waiting = !call->lane && !call->done;

    call->detached = true;
    if (call->kind == END) /* the transaction ends all the same */
        return;
    atomic_store(&call->stop, true);
    if (!waiting)
        return;
    list_remove(&db->writes, call);
    list_remove(&db->reads, call);
    finish(call);
    arm(db);
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

static bool script_sync(struct tide_sql_db *base, const char *script, struct tide_err *err)
{
    struct db *db = (struct db *)base;

    /* A schema change over a large table may take its time. */
    tide_sqlite_conn_limit(db->sync, tide_clock_monotonic_ms() + 60 * TIDE_SQL_TIMEOUT_MS, NULL);
    return tide_sqlite_conn_script(db->sync, script, err);
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

static bool check_path(const char *path, struct tide_err *err)
{
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

static struct tide_sql_db *db_open(uv_loop_t *loop, const struct tide_log *log, const char *path,
                                   struct tide_err *err)
{
    struct db *db;

    if (!check_path(path, err))
        return NULL;
    db = calloc(1, sizeof *db);
    if (!db) {
        tide_err_errno(err, ENOMEM, "sqlite");
        return NULL;
    }
    db->base.driver = &tide_sql_sqlite;
    db->base.log = log;
    if (!set_up(db, loop, path, err)) {
        db_free(db);
        return NULL;
    }
    return &db->base;
}

static void drop(struct call_list *list)
{
    while (list->first) {
        struct call *call = list->first;

        list_remove(list, call);
        if (!call->done)
            tide_err_set(&call->err, TIDE_ERR_CANCELED, false, "sqlite: the database is closing");
        finish(call);
    }
}

static void db_close(struct tide_sql_db *base)
{
    struct db *db = (struct db *)base;

    db->closing = true;
    for (int i = 0; i < LANES; i++)
        if (db->lanes[i].running && db->lanes[i].running->kind != END)
            atomic_store(&db->lanes[i].running->stop, true);
    tide_pool_free(db->pool);
    drop(&db->late);
    drop(&db->reads);
    drop(&db->writes);
    while (db->txs)
        tx_free(db->txs);
    db_free(db);
}

const struct tide_sql_driver tide_sql_sqlite = {
    .scheme = "sqlite",
    .dialect = "sqlite",
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
