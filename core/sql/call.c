#include "sql/call.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* ---- lists ---- */

void tide_sql_list_push(struct tide_sql_call_list *list, struct tide_sql_call *call)
{
    call->next = NULL;
    if (list->last)
        list->last->next = call;
    else
        list->first = call;
    list->last = call;
    list->count++;
}

void tide_sql_list_remove(struct tide_sql_call_list *list, struct tide_sql_call *call)
{
    struct tide_sql_call *before = NULL;

    for (struct tide_sql_call *at = list->first; at != call; at = at->next) {
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

void tide_sql_call_init(struct tide_sql_call *call, struct tide_sql_db *db, enum tide_sql_kind kind,
                        int64_t timeout_ms)
{
    *call = (struct tide_sql_call){.db = db, .kind = kind};
    call->statement.timeout_ms = timeout_ms;
    call->deadline_ms = tide_clock_monotonic_ms() + timeout_ms;
}

/* One block: the call, its parameters, and behind them their texts and the statement's. */
struct tide_sql_call *tide_sql_call_new(size_t call_size, struct tide_sql_db *db, struct tide_sql_tx *tx,
                                        const struct tide_sql_statement *from, tide_sql_cb *cb, void *arg,
                                        struct tide_err *err)
{
    size_t text_len = strlen(from->text) + 1, size = call_size + text_len;
    struct tide_sql_value *params;
    struct tide_sql_call *call;
    char *at;

    for (size_t i = 0; i < from->count; i++)
        size += sizeof *params + (from->params[i].type == TIDE_SQL_TEXT ? from->params[i].len : 0);
    call = malloc(size);
    if (!call) {
        tide_err_errno(err, ENOMEM, db->driver->dialect);
        return NULL;
    }
    assert(!tx || !tx->ending);
    tide_sql_call_init(call, db, TIDE_SQL_RUN, from->timeout_ms);
    call->tx = tx;
    call->cb = cb;
    call->arg = arg;
    params = (struct tide_sql_value *)((char *)call + call_size);
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

/* It is one of its database's until it is freed. */
static void tx_init(struct tide_sql_tx *tx, struct tide_sql_db *db, struct tide_sql_call *end)
{
    *tx = (struct tide_sql_tx){.db = db, .next = db->txs, .end = end};
    db->txs = tx;
}

struct tide_sql_call *tide_sql_call_begin(size_t call_size, size_t tx_size, size_t end_at,
                                          struct tide_sql_db *db, tide_sql_begin_cb *cb, void *arg,
                                          struct tide_err *err)
{
    struct tide_sql_call *call = malloc(call_size);
    struct tide_sql_tx *tx = calloc(1, tx_size);

    if (!call || !tx) {
        free(call);
        free(tx);
        tide_err_errno(err, ENOMEM, db->driver->dialect);
        return NULL;
    }
    tx_init(tx, db, (struct tide_sql_call *)((char *)tx + end_at));
    tide_sql_call_init(call, db, TIDE_SQL_BEGIN, TIDE_SQL_TIMEOUT_MS);
    call->tx = tx;
    call->begin_cb = cb;
    call->arg = arg;
    return call;
}

void tide_sql_call_refuse(struct tide_sql_call *call)
{
    call->ok = tide_err_set(&call->err, TIDE_ERR_CANCELED, false, "%s: the database is closing",
                            call->db->driver->dialect);
}

static void tell(struct tide_sql_call *call)
{
    if (!call->cb || call->detached)
        return;
    if (call->ok)
        call->cb(call->arg, &call->result, NULL);
    else
        call->cb(call->arg, NULL, &call->err);
}

static void finish_begin(struct tide_sql_call *call)
{
    struct tide_sql_tx *tx = call->tx;

    if (call->ok && call->detached) {
        (void)call->db->driver->end(tx, false, NULL, NULL);
    } else if (call->ok) {
        call->begin_cb(call->arg, tx, NULL);
    } else {
        tide_sql_tx_free(tx);
        if (!call->detached)
            call->begin_cb(call->arg, NULL, &call->err);
    }
    free(call);
}

void tide_sql_call_finish(struct tide_sql_call *call)
{
    if (call->kind == TIDE_SQL_BEGIN) {
        finish_begin(call);
        return;
    }
    tell(call);
    if (call->kind == TIDE_SQL_RUN) {
        tide_sql_result_release(&call->result);
        free(call);
    } else if (call == call->tx->end) {
        tide_sql_tx_free(call->tx);
    }
}

/* ---- transactions ---- */

void tide_sql_tx_free(struct tide_sql_tx *tx)
{
    struct tide_sql_tx **at = &tx->db->txs;

    while (*at != tx)
        at = &(*at)->next;
    *at = tx->next;
    free(tx);
}

struct tide_sql_call *tide_sql_tx_ask_end(struct tide_sql_tx *tx, bool commit, tide_sql_cb *cb, void *arg)
{
    assert(!tx->ending);
    tx->ending = true;
    tide_sql_call_init(tx->end, tx->db, TIDE_SQL_END, TIDE_SQL_TIMEOUT_MS);
    tx->end->tx = tx;
    tx->end->commit = commit;
    tx->end->cb = cb;
    tx->end->arg = arg;
    return tx->end;
}

void tide_sql_tx_lose(struct tide_sql_tx *tx, const struct tide_err *err)
{
    tx->lost = true;
    tx->why = *err;
    tx->why.code = TIDE_ERR_CONFLICT;
    tide_err_prefix(&tx->why, "the transaction was rolled back");
}
