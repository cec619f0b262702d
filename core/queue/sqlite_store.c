#include "queue/sqlite_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"

#define VERSION 2
#define VERSION_SET "PRAGMA user_version = 2"
#define LOCK_MS 5000

static const char schema[] =
    "CREATE TABLE message ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT," /* never used again: people name dead letters by it */
    " queue TEXT NOT NULL,"
    " state INTEGER NOT NULL,"
    " due INTEGER NOT NULL,"
    /* leased: due before the lease, for the message's place in the order; delayed: since when */
    " ready_at INTEGER NOT NULL DEFAULT 0,"
    " published INTEGER NOT NULL,"
    " failed INTEGER NOT NULL DEFAULT 0,"
    " lost INTEGER NOT NULL DEFAULT 0,"
    " token INTEGER,"
    " boot TEXT,"
    " code TEXT NOT NULL DEFAULT '',"
    " reason TEXT NOT NULL DEFAULT '',"
    " detail TEXT,"
    " payload BLOB NOT NULL) STRICT;"
    "CREATE INDEX message_order ON message (queue, state, due)";
static const char from_1_to_2[] = "ALTER TABLE message ADD COLUMN lost INTEGER NOT NULL DEFAULT 0";

/* States as in enum tide_store_state: 0 ready, 1 delayed, 2 leased, 3 dead. */
static const char *const texts[TIDE_STORE_QUERIES] = {
    [TIDE_STORE_BEGIN] = "BEGIN IMMEDIATE",
    [TIDE_STORE_COMMIT] = "COMMIT",
    [TIDE_STORE_ROLLBACK] = "ROLLBACK",
    [TIDE_STORE_PUBLISH] = "INSERT INTO message (queue, state, due, ready_at, published, payload) VALUES "
                           "(?1, ?2, ?3, ?4, ?4, ?5)",
    [TIDE_STORE_HAS_WORK] = "SELECT EXISTS (SELECT 1 FROM message WHERE queue = ?1 AND state = 0)"
                            " OR EXISTS (SELECT 1 FROM message WHERE queue = ?1 AND state = 1 AND due <= ?2)"
                            " OR EXISTS (SELECT 1 FROM message WHERE queue = ?1 AND state = 2 AND due <= ?3)",
    [TIDE_STORE_NEXT] = "SELECT (SELECT min(due) FROM message WHERE queue = ?1 AND state = 1),"
                        " (SELECT min(due) FROM message WHERE queue = ?1 AND state = 2)",
    [TIDE_STORE_PROMOTE] = "UPDATE message SET state = 0 WHERE queue = ? AND state = 1 AND due <= ?",
    [TIDE_STORE_EXPIRE] =
        "UPDATE message SET state = 0, due = ready_at, lost = lost + 1, token = NULL, boot = NULL,"
        " code = 'lease_expired', reason = 'its holder died or stood still'"
        " WHERE queue = ? AND state = 2 AND due <= ?",
    [TIDE_STORE_SET_BACK] =
        "UPDATE message SET due = ?1 + due - ready_at, ready_at = ?1 WHERE state = 1 AND ready_at > ?1",
    [TIDE_STORE_TAKE] =
        "UPDATE message SET state = 2, token = ?, boot = ?, ready_at = due, due = ? WHERE id ="
        " (SELECT id FROM message WHERE queue = ? AND state = 0 ORDER BY due, id LIMIT 1)"
        " RETURNING id, published, failed, lost, payload, code, reason",
    [TIDE_STORE_RENEW] = "UPDATE message SET due = ?3 WHERE id = ?1 AND token = ?2",
    [TIDE_STORE_ACK] = "DELETE FROM message WHERE id = ?1 AND token = ?2",
    [TIDE_STORE_RELEASE] = "UPDATE message SET state = 0, due = ready_at, token = NULL, boot = NULL"
                           " WHERE id = ?1 AND token = ?2",
    [TIDE_STORE_RETRY] =
        "UPDATE message SET state = 1, due = ?3, failed = ?4, code = ?5, reason = ?6, ready_at = ?7,"
        " token = NULL, boot = NULL WHERE id = ?1 AND token = ?2",
    [TIDE_STORE_REJECT] =
        "UPDATE message SET state = 3, due = ?3, failed = ?4, code = ?5, reason = ?6, detail = ?7,"
        " token = NULL, boot = NULL WHERE id = ?1 AND token = ?2",
    [TIDE_STORE_BURY] =
        "UPDATE message SET state = 3, due = ?2, failed = ?3, token = NULL, boot = NULL WHERE id = ?1",
};

/* ---- errors and locks ---- */

static int on_busy(void *arg, int count)
{
    const struct tide_store *store = arg;
    struct timespec nap = {.tv_nsec = count < 8 ? 300000L : 2000000L};

    if (tide_clock_monotonic_ms() >= store->deadline_ms)
        return 0;
    nanosleep(&nap, NULL);
    return 1;
}

bool tide_store_fail(struct tide_store *store, int rc, struct tide_err *err)
{
    const char *message = sqlite3_errmsg(store->db);
    int system = sqlite3_system_errno(store->db);

    switch (rc & 0xff) {
    case SQLITE_FULL:
        return tide_err_set(err, TIDE_ERR_FULL, true, "queue: no space left: %s", message);
    case SQLITE_IOERR:
        if (system == ENOSPC || system == EDQUOT || system == EFBIG)
            return tide_err_set(err, TIDE_ERR_FULL, true, "queue: no space left: %s", message);
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: %s: %s", message, strerror(system));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return tide_err_set(err, TIDE_ERR_TIMEOUT, true, "queue: locked by another process for %d ms",
                            LOCK_MS);
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: %s", message);
    default:
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "queue: %s (%d)", message, rc);
    }
}

static void start_clock(struct tide_store *store)
{
    store->deadline_ms = tide_clock_monotonic_ms() + LOCK_MS;
}

/* ---- opening ---- */

static bool read_number(struct tide_store *store, const char *query, int64_t *number, struct tide_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(store->db, query, -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *number = sqlite3_column_int64(stmt, 0);
    else
        tide_store_fail(store, rc, err);
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW;
}

static bool exec(struct tide_store *store, const char *statements, struct tide_err *err)
{
    int rc = sqlite3_exec(store->db, statements, NULL, NULL, NULL);

    return rc == SQLITE_OK || tide_store_fail(store, rc, err);
}

static bool read_version(struct tide_store *store, int64_t *version, struct tide_err *err)
{
    int64_t tables;

    if (!read_number(store, "PRAGMA user_version", version, err) ||
        !read_number(store, "SELECT count(*) FROM sqlite_schema", &tables, err))
        return false;
    if (*version > VERSION)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "queue: written by a newer tidemill (schema %lld, this one knows %d)",
                            (long long)*version, VERSION);
    if (*version == 0 && tables > 0)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "queue: a database of something else, not of queues");
    return true;
}

static bool bring_to_version(struct tide_store *store, int64_t version, struct tide_err *err)
{
    if (version == VERSION)
        return true;
    return exec(store, version == 0 ? schema : from_1_to_2, err) && exec(store, VERSION_SET, err);
}

/* Looks once more inside a transaction, since worker processes start together. */
static bool make_schema(struct tide_store *store, struct tide_err *err)
{
    int64_t version;

    if (!exec(store, "BEGIN IMMEDIATE", err))
        return false;
    if (read_version(store, &version, err) && bring_to_version(store, version, err) &&
        exec(store, "COMMIT", err))
        return true;
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

/* Takes no lock on a file that is as it should be: readiness and the command line open it time and again.
 * Without a version another process may be making the schema just now: only its lock tells. */
static bool check_schema(struct tide_store *store, struct tide_err *err)
{
    int64_t version;

    if (!read_number(store, "PRAGMA user_version", &version, err))
        return false;
    return version >= VERSION ? read_version(store, &version, err) : make_schema(store, err);
}

static bool read_boot_id(struct tide_store *store, struct tide_err *err)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    bool ok = file && fgets(store->boot, sizeof store->boot, file);

    if (file)
        fclose(file);
    if (!ok)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: cannot read the kernel's boot_id");
    store->boot[strspn(store->boot, "0123456789abcdef-")] = '\0';
    return true;
}

static bool set_up(struct tide_store *store, struct tide_err *err)
{
    int rc;

    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_busy_handler(store->db, on_busy, store);
    /* The switch to WAL takes an exclusive lock that the busy handler isn't asked about. */
    for (int count = 0;; count++) {
        rc = sqlite3_exec(store->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if ((rc & 0xff) != SQLITE_BUSY || !on_busy(store, count))
            break;
    }
    if (rc != SQLITE_OK)
        return tide_store_fail(store, rc, err);
    return exec(store,
                "PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF; PRAGMA cache_size = -2048;"
                "PRAGMA journal_size_limit = 16777216",
                err) &&
           check_schema(store, err);
}

static bool prepare_all(struct tide_store *store, struct tide_err *err)
{
    for (int i = 0; i < TIDE_STORE_QUERIES; i++) {
        int rc =
            sqlite3_prepare_v3(store->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &store->queries[i], NULL);

        if (rc != SQLITE_OK)
            return tide_store_fail(store, rc, err);
    }
    return true;
}

static bool make_token(struct tide_store *store, struct tide_err *err)
{
    if (getrandom(&store->next_token, sizeof store->next_token, 0) != sizeof store->next_token)
        return tide_err_errno(err, errno, "queue: getrandom");
    store->next_token &= INT64_MAX >> 1; /* counted up from here, a token per lease */
    return true;
}

struct tide_store *tide_store_open(const char *path, struct tide_err *err)
{
    struct tide_store *store;

    if (!tide_file_make_private(path, err)) {
        tide_err_prefix(err, "queue");
        return NULL;
    }
    store = calloc(1, sizeof *store);
    if (!store) {
        tide_err_errno(err, ENOMEM, "queue");
        return NULL;
    }
    start_clock(store);
    store->durable = true;
    store->ahead_ms = INT64_MAX; /* it may have been set back before */
    if (sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "queue: cannot open the file");
    } else if (read_boot_id(store, err) && make_token(store, err) && set_up(store, err) &&
               prepare_all(store, err)) {
        return store;
    }
    tide_err_prefix(err, "%s", path);
    tide_store_free(store);
    return NULL;
}

bool tide_store_end_old_leases(struct tide_store *store, struct tide_err *err)
{
    char statement[320];

    snprintf(
        statement, sizeof statement,
        "UPDATE message SET state = 0, due = ready_at, lost = lost + 1, token = NULL, boot = NULL,"
        " code = 'lease_expired', reason = 'the machine was started anew' WHERE state = 2 AND boot <> '%s'",
        store->boot);
    start_clock(store);
    return exec(store, statement, err);
}

void tide_store_free(struct tide_store *store)
{
    if (!store)
        return;
    for (int i = 0; i < TIDE_STORE_QUERIES; i++)
        sqlite3_finalize(store->queries[i]);
    sqlite3_close_v2(store->db);
    free(store);
}

/* ---- transactions ---- */

static int step(struct tide_store *store, enum tide_store_query query)
{
    int rc = sqlite3_step(store->queries[query]);

    sqlite3_reset(store->queries[query]);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

bool tide_store_begin(struct tide_store *store, bool durable, struct tide_err *err)
{
    int rc;

    start_clock(store);
    if (durable != store->durable) {
        if (!exec(store, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err))
            return false;
        store->durable = durable;
    }
    rc = step(store, TIDE_STORE_BEGIN);
    return rc == SQLITE_OK || tide_store_fail(store, rc, err);
}

bool tide_store_end(struct tide_store *store, bool commit, struct tide_err *err)
{
    int rc = commit ? step(store, TIDE_STORE_COMMIT) : SQLITE_OK;

    if (rc != SQLITE_OK)
        tide_store_fail(store, rc, err);
    if (!sqlite3_get_autocommit(store->db))
        step(store, TIDE_STORE_ROLLBACK);
    return rc == SQLITE_OK;
}
