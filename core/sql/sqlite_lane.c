/*
 * Lanes: one connection that writes and a few that only read, each opened by its first job. What blocks runs
 * on a pool with a thread a lane, so that no job ever waits for another inside the pool.
 */
#include <stddef.h>

#include "base/clock.h"
#include "sql/sqlite_db.h"

#define TICK_MS 50 /* how often waiting calls and transactions are checked for their deadline */

/* ---- jobs (on a pool thread) ---- */

static bool open_lane(struct lane *lane, struct tide_err *err)
{
    if (!lane->conn)
        lane->conn = tide_sqlite_conn_open(lane->db->path, lane != &lane->db->lanes[WRITER], err);
    return lane->conn != NULL;
}

static void work(struct tide_job *job)
{
    struct call *own = (struct call *)((char *)job - offsetof(struct call, job));
    struct tide_sql_call *call = &own->base;
    struct lane *lane = own->lane;

    if (!open_lane(lane, &call->err))
        return;
    tide_sqlite_conn_limit(lane->conn, call->deadline_ms, &own->stop);
    if (call->kind == TIDE_SQL_BEGIN)
        call->ok = tide_sqlite_conn_begin(lane->conn, &call->err);
    else if (call->kind == TIDE_SQL_END)
        call->ok = tide_sqlite_conn_end(lane->conn, call->commit, &call->err);
    else
        call->ok = tide_sqlite_conn_run(lane->conn, &call->statement, &call->result, &call->err);
}

/* ---- back on the loop ---- */

/* A statement that was stopped or met a full disk may have taken the whole transaction with it. */
static void note_loss(struct db *db, struct tide_sql_call *call)
{
    struct tide_sql_tx *tx = call->tx;

    if (call->kind != TIDE_SQL_RUN || !tx || call->ok)
        return;
    if (!tx->lost && !tide_sqlite_conn_in_tx(db->lanes[WRITER].conn)) {
        tide_sql_tx_lose(tx, &call->err);
        db->tx = NULL;
    } else if (tx->lost) {
        call->err = tx->why;
    }
}

static void done(struct tide_job *job)
{
    struct call *own = (struct call *)((char *)job - offsetof(struct call, job));
    struct tide_sql_call *call = &own->base;
    struct db *db = own->lane->db;

    own->lane->running = NULL;
    own->lane = NULL;
    note_loss(db, call);
    if (call->kind == TIDE_SQL_BEGIN && db->closing)
        tide_sql_call_refuse(call); /* what it began goes with the database */
    if (call->kind == TIDE_SQL_BEGIN && call->ok) {
        db->tx = call->tx;
        db->tx->deadline_ms = tide_clock_monotonic_ms() + TIDE_SQL_TX_MS;
    } else if (call->kind == TIDE_SQL_END) {
        db->tx = NULL;
    }
    tide_sqlite_pump(db); /* first: the next statement runs while the callback does */
    tide_sql_call_finish(call);
}

static void on_tick(uv_timer_t *timer);

void tide_sqlite_arm(struct db *db)
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

static void finish_late(struct db *db, struct tide_sql_call *call)
{
    call->done = true;
    tide_sql_list_push(&db->late, call);
}

static void start(struct lane *lane, struct tide_sql_call_list *from, struct tide_sql_call *call)
{
    struct call *own = (struct call *)call;
    struct tx *tx = (struct tx *)call->tx;

    tide_sql_list_remove(from, call);
    own->lane = lane;
    own->job.work = work;
    own->job.done = done;
    /* For calls of a transaction that is gone there is nothing to run. */
    if (tx && tx->base.lost && own != &tx->give_up) {
        call->ok = call->kind == TIDE_SQL_END && !call->commit;
        call->err = tx->base.why;
        finish_late(lane->db, call);
    } else if (!tide_pool_submit(lane->db->pool, &own->job, &call->err)) {
        finish_late(lane->db, call);
    } else {
        lane->running = own;
    }
}

static struct tide_sql_call *next_write(const struct db *db)
{
    for (struct tide_sql_call *call = db->writes.first; call; call = call->next) {
        struct tide_sql_tx *tx = call->kind == TIDE_SQL_BEGIN ? NULL : call->tx;

        if (tx == db->tx || (tx && tx->lost))
            return call;
    }
    return NULL;
}

void tide_sqlite_pump(struct db *db)
{
    struct tide_sql_call *call;

    while (!db->closing && !db->lanes[WRITER].running && (call = next_write(db)))
        start(&db->lanes[WRITER], &db->writes, call);
    for (int i = WRITER + 1; i < LANES; i++)
        while (!db->closing && !db->lanes[i].running && (call = db->reads.first))
            start(&db->lanes[i], &db->reads, call);
    tide_sqlite_arm(db);
}

/* ---- deadlines ---- */

static void expire_waiting(struct db *db, struct tide_sql_call_list *list, int64_t now)
{
    struct tide_sql_call *next;

    for (struct tide_sql_call *call = list->first; call; call = next) {
        next = call->next;
        if (call->kind == TIDE_SQL_END || call->deadline_ms > now)
            continue;
        tide_sql_list_remove(list, call);
        tide_err_set(&call->err, TIDE_ERR_TIMEOUT, true, "sqlite: no connection was free within the timeout");
        finish_late(db, call);
    }
}

static void expire_tx(struct db *db, int64_t now)
{
    struct tide_sql_tx *tx = db->tx;
    struct call *give_up = tx ? &((struct tx *)tx)->give_up : NULL;

    if (!tx || tx->ending || give_up->base.db || now < tx->deadline_ms)
        return;
    tx->lost = true;
    tide_err_set(&tx->why, TIDE_ERR_CONFLICT, false,
                 "sqlite: the transaction was rolled back after %d s without an end", TIDE_SQL_TX_MS / 1000);
    if (db->lanes[WRITER].running)
        atomic_store(&db->lanes[WRITER].running->stop, true);
    tide_sql_call_init(&give_up->base, &db->base, TIDE_SQL_END, TIDE_SQL_TIMEOUT_MS);
    give_up->base.tx = tx;
    tide_sql_list_push(&db->writes, &give_up->base);
}

static void on_tick(uv_timer_t *timer)
{
    struct db *db = timer->data;
    int64_t now = tide_clock_monotonic_ms();
    struct tide_sql_call *due;

    expire_waiting(db, &db->writes, now);
    expire_waiting(db, &db->reads, now);
    expire_tx(db, now);
    due = db->late.first;
    db->late = (struct tide_sql_call_list){0};
    while (due) {
        struct tide_sql_call *next = due->next;

        tide_sql_call_finish(due);
        due = next;
    }
    tide_sqlite_pump(db);
}
