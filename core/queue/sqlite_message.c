#include <string.h>

#include "base/clock.h"
#include "queue/sqlite_store.h"

#define STEP_MS 1000 /* by which a clock is set back; less is taken for its being slowed down */
#define TAKE_BYTES (16 * 1024 * 1024) /* of payload in one take */

static void bind_text(sqlite3_stmt *stmt, int i, const char *text, size_t max)
{
    sqlite3_bind_text(stmt, i, text ? text : "", text ? (int)strnlen(text, max) : 0, SQLITE_STATIC);
}

static bool run(struct tide_store *store, sqlite3_stmt *stmt, int64_t *changes, struct tide_err *err)
{
    int rc = sqlite3_step(stmt);
    bool ok = rc == SQLITE_DONE || tide_store_fail(store, rc, err);

    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    if (ok && changes)
        *changes = sqlite3_changes64(store->db);
    return ok;
}

bool tide_store_publish(struct tide_store *store, const struct tide_queue_message *message,
                        struct tide_err *err)
{
    sqlite3_stmt *stmt = store->queries[TIDE_STORE_PUBLISH];
    int64_t now = tide_clock_now_ms();

    bind_text(stmt, 1, message->queue, TIDE_QUEUE_NAME_LEN);
    sqlite3_bind_int(stmt, 2, message->delay_ms > 0 ? TIDE_STORE_DELAYED : TIDE_STORE_READY);
    sqlite3_bind_int64(stmt, 3, now + message->delay_ms);
    sqlite3_bind_int64(stmt, 4, now);
    sqlite3_bind_blob(stmt, 5, message->len ? message->payload : "", (int)message->len, SQLITE_STATIC);
    return run(store, stmt, NULL, err);
}

bool tide_store_follow_clock(struct tide_store *store, struct tide_err *err)
{
    sqlite3_stmt *stmt = store->queries[TIDE_STORE_SET_BACK];
    int64_t now = tide_clock_now_ms(), ahead = now - tide_clock_monotonic_ms();

    if (ahead < store->ahead_ms - STEP_MS) {
        sqlite3_bind_int64(stmt, 1, now);
        if (!run(store, stmt, NULL, err))
            return false;
    }
    store->ahead_ms = ahead;
    return true;
}

bool tide_store_has_work(struct tide_store *store, const char *queue, bool *has, struct tide_err *err)
{
    sqlite3_stmt *stmt = store->queries[TIDE_STORE_HAS_WORK];
    int rc;

    bind_text(stmt, 1, queue, TIDE_QUEUE_NAME_LEN);
    sqlite3_bind_int64(stmt, 2, tide_clock_now_ms());
    sqlite3_bind_int64(stmt, 3, tide_clock_monotonic_ms());
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *has = sqlite3_column_int(stmt, 0) != 0;
    else
        tide_store_fail(store, rc, err);
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW;
}

static int64_t until(sqlite3_stmt *stmt, int column, int64_t now)
{
    int64_t ms;

    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        return INT64_MAX;
    ms = sqlite3_column_int64(stmt, column) - now;
    return ms > 0 ? ms : 0;
}

bool tide_store_next(struct tide_store *store, const char *queue, int64_t *ms, struct tide_err *err)
{
    sqlite3_stmt *stmt = store->queries[TIDE_STORE_NEXT];
    int rc;

    bind_text(stmt, 1, queue, TIDE_QUEUE_NAME_LEN);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        int64_t due = until(stmt, 0, tide_clock_now_ms()), lease = until(stmt, 1, tide_clock_monotonic_ms());

        *ms = due < lease ? due : lease;
    } else {
        tide_store_fail(store, rc, err);
    }
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW;
}

/* ---- taking ---- */

static bool move_due(struct tide_store *store, enum tide_store_query query, const char *queue, int64_t now,
                     int64_t *changes, struct tide_err *err)
{
    sqlite3_stmt *stmt = store->queries[query];

    bind_text(stmt, 1, queue, TIDE_QUEUE_NAME_LEN);
    sqlite3_bind_int64(stmt, 2, now);
    return run(store, stmt, changes, err);
}

/* Its attempts are used up and nobody who got it since then lived to reject it. */
static bool bury(struct tide_store *store, int64_t id, unsigned attempts, struct tide_err *err)
{
    sqlite3_stmt *stmt = store->queries[TIDE_STORE_BURY];

    sqlite3_bind_int64(stmt, 1, id);
    sqlite3_bind_int64(stmt, 2, tide_clock_now_ms());
    sqlite3_bind_int64(stmt, 3, attempts);
    return run(store, stmt, NULL, err);
}

static int take_next(struct tide_store *store, struct tide_store_take *take,
                     struct tide_store_message *message)
{
    sqlite3_stmt *stmt = store->queries[TIDE_STORE_TAKE];
    int rc;

    message->token = ++store->next_token;
    message->lease_end_ms = tide_clock_monotonic_ms() + take->lease_ms;
    sqlite3_bind_int64(stmt, 1, message->token);
    sqlite3_bind_text(stmt, 2, store->boot, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 3, message->lease_end_ms);
    bind_text(stmt, 4, take->queue, TIDE_QUEUE_NAME_LEN);
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW)
        return rc;
    message->id = sqlite3_column_int64(stmt, 0);
    message->published_ms = sqlite3_column_int64(stmt, 1);
    message->failed = (unsigned)sqlite3_column_int64(stmt, 2);
    message->lost = (unsigned)sqlite3_column_int64(stmt, 3);
    message->payload = sqlite3_column_blob(stmt, 4);
    message->len = (size_t)sqlite3_column_bytes(stmt, 4);
    message->code = (const char *)sqlite3_column_text(stmt, 5);
    message->reason = (const char *)sqlite3_column_text(stmt, 6);
    return rc;
}

static bool take_all(struct tide_store *store, struct tide_store_take *take, struct tide_err *err)
{
    sqlite3_stmt *stmt = store->queries[TIDE_STORE_TAKE];
    struct tide_store_message message;
    size_t bytes = 0;

    for (unsigned taken = 0; taken < take->want && bytes < TAKE_BYTES;) {
        int rc = take_next(store, take, &message);
        bool ok = rc == SQLITE_ROW || rc == SQLITE_DONE || tide_store_fail(store, rc, err);
        bool used_up = rc == SQLITE_ROW && tide_queue_used_up(message.failed, message.lost, take->attempts) >=
                                               take->attempts + TIDE_QUEUE_EXTRA;

        if (rc == SQLITE_ROW && !used_up) {
            ok = take->each(take->arg, &message, err);
            bytes += message.len;
            taken++;
        }
        sqlite3_reset(stmt);
        if (used_up) {
            ok = bury(store, message.id, take->attempts, err);
            take->buried++;
        }
        if (!ok || rc == SQLITE_DONE)
            return ok;
    }
    take->more = true;
    return true;
}

bool tide_store_take(struct tide_store *store, struct tide_store_take *take, struct tide_err *err)
{
    return move_due(store, TIDE_STORE_PROMOTE, take->queue, tide_clock_now_ms(), NULL, err) &&
           move_due(store, TIDE_STORE_EXPIRE, take->queue, tide_clock_monotonic_ms(), &take->expired, err) &&
           take_all(store, take, err);
}

/* ---- ending ---- */

static sqlite3_stmt *of_lease(struct tide_store *store, enum tide_store_query query,
                              const struct tide_store_lease *lease)
{
    sqlite3_bind_int64(store->queries[query], 1, lease->id);
    sqlite3_bind_int64(store->queries[query], 2, lease->token);
    return store->queries[query];
}

static bool run_lease(struct tide_store *store, sqlite3_stmt *stmt, bool *held, struct tide_err *err)
{
    int64_t changes;

    if (!run(store, stmt, &changes, err))
        return false;
    *held = changes > 0;
    return true;
}

bool tide_store_renew(struct tide_store *store, const struct tide_store_lease *lease, int64_t end_ms,
                      bool *held, struct tide_err *err)
{
    sqlite3_stmt *stmt = of_lease(store, TIDE_STORE_RENEW, lease);

    sqlite3_bind_int64(stmt, 3, end_ms);
    return run_lease(store, stmt, held, err);
}

bool tide_store_ack(struct tide_store *store, const struct tide_store_lease *lease, bool *held,
                    struct tide_err *err)
{
    return run_lease(store, of_lease(store, TIDE_STORE_ACK, lease), held, err);
}

bool tide_store_release(struct tide_store *store, const struct tide_store_lease *lease, bool *held,
                        struct tide_err *err)
{
    return run_lease(store, of_lease(store, TIDE_STORE_RELEASE, lease), held, err);
}

static void bind_failure(sqlite3_stmt *stmt, int64_t due, unsigned failed,
                         const struct tide_queue_ending *why)
{
    sqlite3_bind_int64(stmt, 3, due);
    sqlite3_bind_int64(stmt, 4, failed);
    bind_text(stmt, 5, why->code, TIDE_QUEUE_CODE_LEN);
    bind_text(stmt, 6, why->reason, TIDE_QUEUE_REASON_LEN);
}

bool tide_store_retry(struct tide_store *store, const struct tide_store_lease *lease, unsigned failed,
                      const struct tide_queue_ending *why, bool *held, struct tide_err *err)
{
    sqlite3_stmt *stmt = of_lease(store, TIDE_STORE_RETRY, lease);
    int64_t now = tide_clock_now_ms();

    bind_failure(stmt, now + why->delay_ms, failed, why);
    sqlite3_bind_int64(stmt, 7, now);
    return run_lease(store, stmt, held, err);
}

bool tide_store_reject(struct tide_store *store, const struct tide_store_lease *lease, unsigned failed,
                       const struct tide_queue_ending *why, bool *held, struct tide_err *err)
{
    sqlite3_stmt *stmt = of_lease(store, TIDE_STORE_REJECT, lease);

    bind_failure(stmt, tide_clock_now_ms(), failed, why);
    if (why->detail)
        bind_text(stmt, 7, why->detail, TIDE_QUEUE_DETAIL_LEN);
    return run_lease(store, stmt, held, err);
}
