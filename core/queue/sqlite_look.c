/* What the command line asks of the queue's file; each call opens it for itself. Blocks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "queue/sqlite_store.h"

static int state_number(const char *state)
{
    static const char *const names[] = {"ready", "delayed", "leased", "dead"};

    for (int i = 0; i < 4; i++)
        if (strcmp(names[i], state) == 0)
            return i;
    return -1;
}

static sqlite3_stmt *prepare(struct tide_store *store, const char *text, struct tide_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(store->db, text, -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        tide_store_fail(store, rc, err);
    return stmt;
}

/* ---- stats ---- */

static struct tide_queue_stat *find(struct tide_queue_stat *stats, int count, const char *queue)
{
    for (int i = 0; i < count; i++)
        if (strcmp(stats[i].queue, queue) == 0)
            return &stats[i];
    return NULL;
}

/* Into the one of that name, or behind the last where there is room. */
static int read_stat(sqlite3_stmt *stmt, struct tide_queue_stat *stats, int count, int max)
{
    const char *queue = (const char *)sqlite3_column_text(stmt, 0);
    struct tide_queue_stat *stat = find(stats, count, queue);

    if (!stat && count == max)
        return count;
    if (!stat) {
        stat = &stats[count++];
        *stat = (struct tide_queue_stat){0};
        strncpy(stat->queue, queue, sizeof stat->queue - 1);
    }
    stat->ready = sqlite3_column_int64(stmt, 1);
    stat->delayed = sqlite3_column_int64(stmt, 2);
    stat->leased = sqlite3_column_int64(stmt, 3);
    stat->dead = sqlite3_column_int64(stmt, 4);
    return count;
}

static int read_stats(struct tide_store *store, sqlite3_stmt *stmt, struct tide_queue_stat *stats, int named,
                      int max, struct tide_err *err)
{
    int count = named, rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        count = read_stat(stmt, stats, count, max);
    if (rc == SQLITE_DONE)
        return count;
    tide_store_fail(store, rc, err);
    return -1;
}

int tide_store_stats(const char *path, struct tide_queue_stat *stats, int named, int max,
                     struct tide_err *err)
{
    struct tide_store *store = tide_store_open(path, err);
    sqlite3_stmt *stmt;
    int count = -1;

    if (!store)
        return -1;
    stmt = prepare(store,
                   "SELECT queue, sum(state = 0), sum(state = 1), sum(state = 2), sum(state = 3) FROM message"
                   " GROUP BY queue ORDER BY queue",
                   err);
    if (stmt)
        count = read_stats(store, stmt, stats, named, max, err);
    sqlite3_finalize(stmt);
    tide_store_free(store);
    return count;
}

/* ---- list ---- */

static char *text_of(sqlite3_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);

    return text ? strdup((const char *)text) : NULL;
}

static bool read_message(sqlite3_stmt *stmt, struct tide_queue_dead *message)
{
    message->id = sqlite3_column_int64(stmt, 0);
    message->attempts = (unsigned)sqlite3_column_int(stmt, 1);
    message->published_ms = sqlite3_column_int64(stmt, 2);
    message->died_ms = sqlite3_column_int64(stmt, 3);
    message->code = text_of(stmt, 4);
    message->reason = text_of(stmt, 5);
    message->detail = text_of(stmt, 6);
    message->len = (size_t)sqlite3_column_bytes(stmt, 7);
    message->payload = calloc(1, message->len + 1);
    if (message->payload && message->len)
        memcpy(message->payload, sqlite3_column_blob(stmt, 7), message->len);
    return message->payload != NULL;
}

static int read_messages(struct tide_store *store, sqlite3_stmt *stmt, int max, struct tide_queue_dead *list,
                         struct tide_err *err)
{
    int count = 0, rc = SQLITE_DONE;

    while (count < max && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (!read_message(stmt, &list[count++])) {
            rc = SQLITE_NOMEM;
            break;
        }
    }
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return count;
    tide_store_fail(store, rc, err);
    tide_queue_dead_free(list, count);
    return -1;
}

static int list_messages(struct tide_store *store, const char *queue, const char *state, int max,
                         struct tide_queue_dead **list, struct tide_err *err)
{
    sqlite3_stmt *stmt =
        prepare(store,
                "SELECT id, failed, published, due, code, reason, detail, payload FROM message"
                " WHERE queue = ? AND state = ? ORDER BY id LIMIT ?",
                err);
    int count = -1;

    if (!stmt)
        return -1;
    *list = calloc((size_t)max + 1, sizeof **list);
    if (*list) {
        sqlite3_bind_text(stmt, 1, queue, -1, SQLITE_STATIC);
        sqlite3_bind_int(stmt, 2, state_number(state));
        sqlite3_bind_int(stmt, 3, max);
        count = read_messages(store, stmt, max, *list, err);
    } else {
        tide_err_errno(err, ENOMEM, "queue");
    }
    sqlite3_finalize(stmt);
    return count;
}

int tide_store_list(const char *path, const char *queue, const char *state, int max,
                    struct tide_queue_dead **list, struct tide_err *err)
{
    struct tide_store *store = tide_store_open(path, err);
    int count = store ? list_messages(store, queue, state, max, list, err) : -1;

    tide_store_free(store);
    return count;
}

/* ---- mend ---- */

static int64_t change(const char *path, const char *text, const char *queue, int64_t first, int64_t second,
                      struct tide_err *err)
{
    struct tide_store *store = tide_store_open(path, err);
    sqlite3_stmt *stmt = store ? prepare(store, text, err) : NULL;
    int64_t changes = -1;
    int rc;

    if (stmt) {
        sqlite3_bind_text(stmt, 1, queue, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, first);
        if (sqlite3_bind_parameter_count(stmt) > 2)
            sqlite3_bind_int64(stmt, 3, second);
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_DONE)
            changes = sqlite3_changes64(store->db);
        else
            tide_store_fail(store, rc, err);
    }
    sqlite3_finalize(stmt);
    tide_store_free(store);
    return changes;
}

int64_t tide_store_dead_retry(const char *path, const char *queue, int64_t id, struct tide_err *err)
{
    return change(
        path,
        "UPDATE message SET state = 0, due = ?3, failed = 0, lost = 0, code = '', reason = '', detail = NULL"
        " WHERE queue = ?1 AND state = 3 AND (?2 = 0 OR id = ?2)",
        queue, id, tide_clock_now_ms(), err);
}

int64_t tide_store_purge(const char *path, const char *queue, const char *state, struct tide_err *err)
{
    return change(path, "DELETE FROM message WHERE queue = ?1 AND state = ?2", queue, state_number(state), 0,
                  err);
}
