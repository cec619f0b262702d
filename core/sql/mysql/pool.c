/* Who runs next on which connection, and who has waited for too long. */
#include "base/clock.h"
#include "sql/mysql/db.h"

#define TICK_MS 50        /* how often calls and transactions are checked for their deadline */
#define UNREACHED_MS 2000 /* a call waits for so long for a server that can't be reached */
#define CLOSE_MS 1000
#define IDLE_TICK_MS 10000
#define IDLE_CLOSE_MS 60000 /* a connection that nobody has needed for so long is closed */

static void on_tick(uv_timer_t *timer);

/* ---- outcomes ---- */

static void arm(struct tide_mysql_db *db);

static void finish_late(struct tide_mysql_db *db, struct tide_sql_call *call)
{
    call->done = true;
    tide_sql_list_push(&db->late, call);
}

void tide_mysql_settle(struct tide_mysql_call *call, bool ok, const struct tide_err *err)
{
    call->base.ok = ok;
    if (!ok)
        call->base.err = *err;
    finish_late((struct tide_mysql_db *)call->base.db, &call->base);
}

/* Calls of a transaction that is gone have nothing to run. */
static void settle_lost(struct tide_mysql_db *db)
{
    struct tide_sql_call *next;

    for (struct tide_sql_call *call = db->in_tx.first; call; call = next) {
        next = call->next;
        if (!call->tx->lost)
            continue;
        tide_sql_list_remove(&db->in_tx, call);
        tide_mysql_settle((struct tide_mysql_call *)call, call->kind == TIDE_SQL_END && !call->commit,
                          &call->tx->why);
    }
}

static void tell_late(struct tide_mysql_db *db)
{
    while (db->late.first && !db->asking && !db->closing) {
        struct tide_sql_call *call = db->late.first;

        tide_sql_list_remove(&db->late, call);
        tide_sql_call_finish(call);
    }
}

/* ---- starting ---- */

static struct tide_sql_call *next_for(struct tide_mysql_db *db, struct tide_mysql_slot *slot,
                                      struct tide_sql_call_list **list)
{
    *list = slot->tx ? &db->in_tx : &db->waiting;
    if (!slot->tx)
        return db->waiting.first;
    for (struct tide_sql_call *call = db->in_tx.first; call; call = call->next)
        if (call->tx == &slot->tx->base)
            return call;
    return NULL;
}

static bool start_on(struct tide_mysql_db *db, struct tide_mysql_slot *slot)
{
    struct tide_sql_call_list *list;
    struct tide_sql_call *call = slot->conn && !slot->running ? next_for(db, slot, &list) : NULL;

    if (!call)
        return false;
    tide_sql_list_remove(list, call);
    tide_mysql_slot_start(slot, (struct tide_mysql_call *)call);
    return true;
}

static void open_more(struct tide_mysql_db *db)
{
    size_t wanted = db->waiting.count;

    if (db->retry_ms > tide_clock_monotonic_ms())
        return;
    if (db->failed_ms && wanted > 1)
        wanted = 1; /* one tries */
    for (unsigned i = 0; i < db->url.connections; i++)
        if (db->slots[i].opening && wanted > 0)
            wanted--;
    for (unsigned i = 0; i < db->url.connections && wanted > 0; i++) {
        struct tide_mysql_slot *slot = &db->slots[i];

        if (slot->conn || slot->opening)
            continue;
        tide_mysql_slot_open(slot);
        wanted--;
    }
}

void tide_mysql_pump(struct tide_mysql_db *db)
{
    if (db->closing)
        return;
    settle_lost(db);
    for (unsigned i = 0; i < db->url.connections; i++)
        while (start_on(db, &db->slots[i]))
            ;
    settle_lost(db);
    open_more(db);
    tell_late(db);
    arm(db);
}

/* ---- deadlines ---- */

/* Whether there is any connection that a waiting call could get. */
static bool is_reached(const struct tide_mysql_db *db)
{
    for (unsigned i = 0; i < db->url.connections; i++)
        if (db->slots[i].conn)
            return true;
    return !db->failed_ms;
}

static void expire_waiting(struct tide_mysql_db *db, int64_t now)
{
    struct tide_sql_call *next;
    struct tide_err err;
    bool reached = is_reached(db);
    int64_t patience = db->refused ? 0 : UNREACHED_MS;

    tide_err_set(&err, TIDE_ERR_TIMEOUT, true, "mysql: no connection was free within the timeout");
    for (struct tide_sql_call *call = db->waiting.first; call; call = next) {
        bool given_up = !reached && now - (call->deadline_ms - call->statement.timeout_ms) >= patience;

        next = call->next;
        if (!given_up && call->deadline_ms > now)
            continue;
        tide_sql_list_remove(&db->waiting, call);
        tide_mysql_settle((struct tide_mysql_call *)call, false, given_up ? &db->failure : &err);
    }
}

static void expire_slot(struct tide_mysql_slot *slot, int64_t now)
{
    struct tide_err err;

    if (slot->running && now >= slot->running->base.deadline_ms) {
        tide_mysql_slot_expire(slot);
        return;
    }
    if (!slot->tx || slot->tx->base.ending || now < slot->tx->base.deadline_ms)
        return;
    tide_err_set(&err, TIDE_ERR_CONFLICT, false, "mysql: %d s without an end", TIDE_SQL_TX_MS / 1000);
    if (slot->running)
        tide_mysql_slot_expire(slot);
    else
        tide_mysql_slot_lose(slot, &err);
}

static void close_idle(struct tide_mysql_slot *slot, int64_t now)
{
    if (slot->conn && !slot->running && !slot->tx && now - slot->used_ms > IDLE_CLOSE_MS)
        tide_mysql_slot_drop(slot);
}

static void on_tick(uv_timer_t *timer)
{
    struct tide_mysql_db *db = timer->data;
    int64_t now = tide_clock_monotonic_ms();

    expire_waiting(db, now);
    for (unsigned i = 0; i < db->url.connections; i++) {
        expire_slot(&db->slots[i], now);
        close_idle(&db->slots[i], now);
    }
    tide_mysql_pump(db);
}

static void set_timer(struct tide_mysql_db *db, uint64_t ms, bool keeps_loop)
{
    if (keeps_loop)
        uv_ref((uv_handle_t *)db->timer);
    else
        uv_unref((uv_handle_t *)db->timer);
    /* Left alone while it ticks: a busy database would never see its tick. */
    if (!uv_is_active((uv_handle_t *)db->timer) || uv_timer_get_due_in(db->timer) > ms)
        uv_timer_start(db->timer, on_tick, ms, 0);
}

/* Runs the timer while there is something whose time may run out, and at once when a callback is due. */
static void arm(struct tide_mysql_db *db)
{
    bool open = false, busy = db->waiting.first || db->in_tx.first;

    for (unsigned i = 0; i < db->url.connections; i++) {
        open = open || db->slots[i].conn;
        busy = busy || db->slots[i].running || db->slots[i].tx || db->slots[i].opening;
    }
    if (db->late.first)
        set_timer(db, 0, true);
    else if (busy)
        set_timer(db, TICK_MS, true);
    else if (open)
        set_timer(db, IDLE_TICK_MS, false);
    else
        uv_timer_stop(db->timer);
}

/* ---- closing ---- */

static void refuse(struct tide_sql_call_list *list)
{
    while (list->first) {
        struct tide_sql_call *call = list->first;

        tide_sql_list_remove(list, call);
        if (!call->done || call->kind == TIDE_SQL_BEGIN)
            tide_sql_call_refuse(call);
        tide_sql_call_finish(call);
    }
}

/* An end that is under way is waited for: its outcome has to be known. */
static void stop_running(struct tide_mysql_slot *slot)
{
    struct tide_mysql_call *call = slot->running;
    unsigned long id = slot->conn->id;

    slot->running = NULL;
    if (call->base.kind != TIDE_SQL_END) {
        tide_sql_call_refuse(&call->base);
        finish_late(slot->db, &call->base);
        tide_mysql_slot_drop(slot);
        tide_mysql_kill(slot->db, id);
        return;
    }
    call->base.ok = tide_mysql_conn_wait(slot->conn, slot->polled, tide_clock_monotonic_ms() + CLOSE_MS);
    call->base.err = slot->conn->err;
    if (call != &slot->rollback)
        finish_late(slot->db, &call->base);
}

/* What was cut off would run on, and hold its locks. */
static void send_kills(struct tide_mysql_db *db)
{
    int64_t deadline = tide_clock_monotonic_ms() + CLOSE_MS;
    struct tide_mysql_conn *own = NULL, *by = NULL;
    struct tide_err err;

    for (unsigned i = 0; i < db->url.connections; i++)
        if (db->slots[i].conn && !db->slots[i].conn->lost)
            by = db->slots[i].conn;
    for (struct tide_sql_call *call = db->waiting.first; call; call = call->next) {
        const char *command = ((struct tide_mysql_call *)call)->command;

        if (!command)
            continue;
        if (!by)
            own = by = tide_mysql_conn_open(&db->url, 1, NULL, &err);
        if (!by || by->lost)
            break;
        (void)tide_mysql_conn_wait(by, tide_mysql_conn_command(by, command), deadline);
    }
    tide_mysql_conn_close(own);
}

void tide_mysql_pool_close(struct tide_mysql_db *db)
{
    db->closing = true;
    tide_pool_free(db->pool);
    for (unsigned i = 0; i < db->url.connections; i++)
        if (db->slots[i].running)
            stop_running(&db->slots[i]);
    send_kills(db);
    for (unsigned i = 0; i < db->url.connections; i++)
        tide_mysql_slot_drop(&db->slots[i]);
    refuse(&db->late);
    refuse(&db->in_tx);
    refuse(&db->waiting);
    while (db->base.txs)
        tide_sql_tx_free(db->base.txs);
}
