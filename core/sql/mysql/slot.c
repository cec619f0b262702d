/*
 * What happens on one connection: it is opened, carries one call after the other, and is closed at the first
 * doubt. A call whose connection died is run again once when it only reads, and when the server has rolled it
 * back by itself.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sql/mysql/db.h"

#define OPEN_S 5           /* for a name, TCP, TLS and the login */
#define IDLE_PING_MS 30000 /* a connection that was idle for longer is asked whether it is still there */
#define PING_MS 2000
#define MAX_TRIES 3 /* of a call that was rolled back by itself */
#define BACKOFF_MS 100
#define BACKOFF_MAX_MS 1000

static void go(struct tide_mysql_slot *slot, int events);

/* ---- opening ---- */

static struct tide_mysql_slot *slot_of(struct tide_job *job)
{
    return (struct tide_mysql_slot *)((char *)job - offsetof(struct tide_mysql_slot, job));
}

static void open_work(struct tide_job *job) /* on a thread of the pool */
{
    struct tide_mysql_slot *slot = slot_of(job);

    slot->opened = tide_mysql_conn_open(&slot->db->url, OPEN_S, &slot->refused, &slot->err);
}

static void note_failure(struct tide_mysql_db *db, const struct tide_err *err)
{
    int64_t now = tide_clock_monotonic_ms(), backoff = db->backoff_ms ? db->backoff_ms * 2 : BACKOFF_MS;

    if (!db->failed_ms)
        tide_log_event(db->base.log, TIDE_LOG_WARN, "the database can't be reached",
                       tide_log_str("error", err->message));
    db->failed_ms = now;
    db->failure = *err;
    db->backoff_ms = backoff < BACKOFF_MAX_MS ? backoff : BACKOFF_MAX_MS;
    db->retry_ms = now + db->backoff_ms / 2 +
                   (int64_t)(uv_hrtime() % (uint64_t)(db->backoff_ms / 2)); /* workers don't come together */
}

static void note_success(struct tide_mysql_db *db)
{
    if (db->failed_ms)
        tide_log_event(db->base.log, TIDE_LOG_INFO, "the database is reached again",
                       tide_log_str("database", db->url.shown));
    db->failed_ms = db->backoff_ms = db->retry_ms = 0;
    db->refused = false;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static bool watch(struct tide_mysql_slot *slot)
{
    slot->poll = malloc(sizeof *slot->poll);
    if (!slot->poll || uv_poll_init(slot->db->loop, slot->poll, slot->conn->fd) != 0) {
        free(slot->poll);
        slot->poll = NULL;
        return tide_err_set(&slot->err, TIDE_ERR_UNAVAILABLE, true, "mysql: out of memory");
    }
    slot->poll->data = slot;
    uv_unref((uv_handle_t *)slot->poll);
    slot->polled = UV_READABLE;
    uv_poll_start(slot->poll, UV_READABLE, on_poll);
    return true;
}

static void open_done(struct tide_job *job)
{
    struct tide_mysql_slot *slot = slot_of(job);
    struct tide_mysql_db *db = slot->db;

    slot->opening = false;
    slot->conn = slot->opened;
    if (slot->conn && !db->closing && watch(slot)) {
        note_success(db);
        tide_mysql_warn(db);
        slot->used_ms = tide_clock_monotonic_ms();
    } else if (slot->conn) {
        tide_mysql_slot_drop(slot);
    } else {
        db->refused = slot->refused;
        note_failure(db, &slot->err);
    }
    tide_mysql_pump(db);
}

void tide_mysql_slot_open(struct tide_mysql_slot *slot)
{
    slot->job.work = open_work;
    slot->job.done = open_done;
    slot->refused = false;
    slot->opening = tide_pool_submit(slot->db->pool, &slot->job, &slot->err);
    if (!slot->opening)
        note_failure(slot->db, &slot->err);
}

/* ---- closing ---- */

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void tide_mysql_slot_drop(struct tide_mysql_slot *slot)
{
    if (slot->poll)
        uv_close((uv_handle_t *)slot->poll, free_handle);
    slot->poll = NULL;
    tide_mysql_conn_close(slot->conn);
    slot->conn = NULL;
    slot->pinging = false;
}

/* ---- transactions ---- */

static void let_go(struct tide_mysql_slot *slot)
{
    if (slot->tx)
        slot->tx->slot = NULL;
    slot->tx = NULL;
}

void tide_mysql_slot_lose(struct tide_mysql_slot *slot, const struct tide_err *err)
{
    struct tide_mysql_call *rollback = &slot->rollback;

    tide_sql_tx_lose(&slot->tx->base, err);
    let_go(slot);
    if (!slot->conn)
        return;
    tide_sql_call_init(&rollback->base, &slot->db->base, TIDE_SQL_END, TIDE_SQL_TIMEOUT_MS);
    rollback->command = "ROLLBACK";
    tide_mysql_slot_start(slot, rollback);
}

/* ---- the outcome of a call ---- */

/* Back to the front of those that wait. */
static void run_again(struct tide_mysql_call *call)
{
    struct tide_mysql_db *db = (struct tide_mysql_db *)call->base.db;

    call->tries++;
    call->base.next = db->waiting.first;
    db->waiting.first = &call->base;
    if (!db->waiting.last)
        db->waiting.last = &call->base;
    db->waiting.count++;
}

static bool may_run_again(const struct tide_mysql_call *call, bool lost, const struct tide_err *err)
{
    const struct tide_sql_call *base = &call->base;

    if (base->detached || base->kind != TIDE_SQL_RUN || base->tx || call->command)
        return false;
    if (lost)
        return call->tries == 0 && tide_mysql_kind_of(base->statement.text) == TIDE_MYSQL_READS;
    return call->tries < MAX_TRIES && err->code && strcmp(err->code, TIDE_ERR_CONFLICT) == 0;
}

static void explain_loss(const struct tide_mysql_call *call, struct tide_err *err)
{
    if (call->base.kind == TIDE_SQL_END && call->base.commit)
        tide_err_prefix(err, "whether the transaction was committed is not known");
}

static void take_begin(struct tide_mysql_slot *slot, struct tide_mysql_call *call)
{
    slot->tx = (struct tide_mysql_tx *)call->base.tx;
    slot->tx->slot = slot;
    slot->tx->base.deadline_ms = tide_clock_monotonic_ms() + TIDE_SQL_TX_MS;
}

/* The call has its outcome in `ok` and `err`; its connection may be gone. */
static void conclude(struct tide_mysql_slot *slot, struct tide_mysql_call *call, bool ok,
                     struct tide_err *err)
{
    bool lost = !slot->conn, conflict = !ok && strcmp(err->code, TIDE_ERR_CONFLICT) == 0;

    if (call == &slot->rollback) {
        if (!ok && !lost)
            tide_mysql_slot_drop(slot);
        return;
    }
    if (call->base.kind == TIDE_SQL_END && !call->base.commit)
        ok = true; /* without its connection, too */
    if (call->base.kind == TIDE_SQL_BEGIN && ok)
        take_begin(slot, call);
    if (lost)
        explain_loss(call, err);
    if (call->base.kind == TIDE_SQL_END)
        let_go(slot);
    else if (slot->tx && !ok && (lost || conflict))
        tide_mysql_slot_lose(slot, err);
    if (!ok && may_run_again(call, lost, err))
        run_again(call);
    else
        tide_mysql_settle(call, ok, err);
}

static void finished(struct tide_mysql_slot *slot)
{
    struct tide_mysql_call *call = slot->running;
    struct tide_err err = slot->conn->err;
    bool ok = slot->conn->ok;

    slot->running = NULL;
    call->slot = NULL;
    slot->used_ms = tide_clock_monotonic_ms();
    if (slot->conn->lost || (!ok && call->base.kind != TIDE_SQL_RUN)) /* a connection in an unknown state */
        tide_mysql_slot_drop(slot);
    conclude(slot, call, ok, &err);
}

/* ---- running ---- */

static int begin_call(struct tide_mysql_slot *slot, struct tide_mysql_call *call)
{
    struct tide_sql_call *base = &call->base;

    if (call->command)
        return tide_mysql_conn_command(slot->conn, call->command);
    if (base->kind == TIDE_SQL_BEGIN)
        return tide_mysql_conn_command(slot->conn, "START TRANSACTION");
    if (base->kind == TIDE_SQL_END)
        return tide_mysql_conn_command(slot->conn, base->commit ? "COMMIT" : "ROLLBACK");
    return tide_mysql_conn_run(slot->conn, &base->statement, base->tx != NULL, &base->result);
}

static void after_ping(struct tide_mysql_slot *slot)
{
    struct tide_mysql_call *call = slot->running;

    slot->pinging = false;
    if (slot->conn->ok) {
        go(slot, begin_call(slot, call));
        return;
    }
    slot->running = NULL;
    call->slot = NULL;
    tide_mysql_slot_drop(slot);
    run_again(call);
    call->tries--; /* it hasn't begun */
}

static void go(struct tide_mysql_slot *slot, int events)
{
    if (events && events != slot->polled)
        uv_poll_start(slot->poll, slot->polled = events, on_poll);
    if (events)
        return;
    if (slot->polled != UV_READABLE)
        uv_poll_start(slot->poll, slot->polled = UV_READABLE, on_poll);
    if (slot->pinging)
        after_ping(slot);
    else
        finished(slot);
}

void tide_mysql_slot_start(struct tide_mysql_slot *slot, struct tide_mysql_call *call)
{
    int64_t now = tide_clock_monotonic_ms();

    slot->running = call;
    call->slot = slot;
    slot->pinging = !slot->tx && call != &slot->rollback && now - slot->used_ms > IDLE_PING_MS;
    slot->used_ms = now;
    go(slot, slot->pinging ? tide_mysql_conn_ping(slot->conn) : begin_call(slot, call));
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct tide_mysql_slot *slot = poll->data;
    struct tide_mysql_db *db = slot->db;

    if (slot->running) {
        go(slot, tide_mysql_conn_go_on(slot->conn, status < 0 ? UV_READABLE | UV_WRITABLE : events));
    } else { /* a server speaks unasked only to say goodbye */
        struct tide_err err;

        tide_err_set(&err, TIDE_ERR_UNAVAILABLE, true, "mysql: the server closed the connection");
        tide_mysql_slot_drop(slot);
        if (slot->tx)
            tide_mysql_slot_lose(slot, &err);
    }
    tide_mysql_pump(db);
}

/* ---- time is up ---- */

void tide_mysql_kill(struct tide_mysql_db *db, unsigned long id)
{
    struct tide_mysql_call *kill = NULL;
    struct tide_sql_statement statement = {.timeout_ms = TIDE_SQL_TIMEOUT_MS};
    char text[48];

    snprintf(text, sizeof text, "KILL CONNECTION %lu", id);
    statement.text = text;
    kill = (struct tide_mysql_call *)tide_sql_call_new(sizeof *kill, &db->base, NULL, &statement, NULL, NULL,
                                                       NULL);
    if (!kill)
        return;
    kill->command = kill->base.statement.text;
    kill->slot = NULL;
    kill->base.detached = true;
    kill->tries = 0;
    run_again(kill);
}

void tide_mysql_slot_expire(struct tide_mysql_slot *slot)
{
    struct tide_mysql_call *call = slot->running;
    unsigned long id = slot->conn->id;
    struct tide_err err;

    tide_err_set(&err, TIDE_ERR_TIMEOUT, true, "mysql: the statement ran past its timeout");
    if (call->base.kind == TIDE_SQL_RUN && call->base.detached)
        tide_err_set(&err, TIDE_ERR_CANCELED, false, "mysql: stopped");
    tide_mysql_slot_drop(slot);
    slot->running = NULL;
    call->slot = NULL;
    call->tries = MAX_TRIES;
    conclude(slot, call, false, &err);
    tide_mysql_kill(slot->db, id);
}
