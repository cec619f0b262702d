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
    if (call->kind == BEGIN && db->closing)
        tide_sqlite_call_refuse(call); /* what it began goes with the database */
    if (call->kind == BEGIN && call->ok) {
        db->tx = call->tx;
        db->tx->deadline_ms = tide_clock_monotonic_ms() + TIDE_SQL_TX_MS;
    } else if (call->kind == END) {
        db->tx = NULL;
    }
    tide_sqlite_pump(db); /* first: the next statement runs while the callback does */
    tide_sqlite_call_finish(call);
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

static void finish_late(struct db *db, struct call *call)
{
    call->done = true;
    tide_sqlite_list_push(&db->late, call);
}

static void start(struct lane *lane, struct call_list *from, struct call *call)
{
    tide_sqlite_list_remove(from, call);
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

void tide_sqlite_pump(struct db *db)
{
    struct call *call;

    while (!db->closing && !db->lanes[WRITER].running && (call = next_write(db)))
        start(&db->lanes[WRITER], &db->writes, call);
    for (int i = WRITER + 1; i < LANES; i++)
        while (!db->closing && !db->lanes[i].running && (call = db->reads.first))
            start(&db->lanes[i], &db->reads, call);
    tide_sqlite_arm(db);
}

/* ---- deadlines ---- */

static void expire_waiting(struct db *db, struct call_list *list, int64_t now)
{
    struct call *next;

    for (struct call *call = list->first; call; call = next) {
        next = call->next;
        if (call->kind == END || call->deadline_ms > now)
            continue;
        tide_sqlite_list_remove(list, call);
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
    tide_sqlite_call_init(&tx->give_up, db, END, TIDE_SQL_TIMEOUT_MS);
    tx->give_up.tx = tx;
    tide_sqlite_list_push(&db->writes, &tx->give_up);
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

        tide_sqlite_call_finish(due);
        due = next;
    }
    tide_sqlite_pump(db);
}
