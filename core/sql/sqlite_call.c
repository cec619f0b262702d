#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sql/sqlite_db.h"

/* ---- lists ---- */

void tide_sqlite_list_push(struct call_list *list, struct call *call)
{
    call->next = NULL;
    if (list->last)
        list->last->next = call;
    else
        list->first = call;
    list->last = call;
    list->count++;
}

void tide_sqlite_list_remove(struct call_list *list, struct call *call)
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

void tide_sqlite_call_init(struct call *call, struct db *db, enum kind kind, int64_t timeout_ms)
{
    *call = (struct call){.base.db = &db->base, .kind = kind};
    call->statement.timeout_ms = timeout_ms;
    call->deadline_ms = tide_clock_monotonic_ms() + timeout_ms;
    atomic_init(&call->stop, false);
}

/* One block: the call, its parameters, and behind them their texts and the statement's. */
struct call *tide_sqlite_call_new(struct db *db, const struct tide_sql_statement *from, struct tide_err *err)
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
    tide_sqlite_call_init(call, db, RUN, from->timeout_ms);
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

void tide_sqlite_call_refuse(struct call *call)
{
    call->ok = tide_err_set(&call->err, TIDE_ERR_CANCELED, false, "sqlite: the database is closing");
}

void tide_sqlite_tx_free(struct tx *tx)
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
        (void)tide_sqlite_tx_end(&tx->base, false, NULL, NULL);
    } else if (call->ok) {
        call->begin_cb(call->arg, &tx->base, NULL);
    } else {
        tide_sqlite_tx_free(tx);
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
        tide_sqlite_tx_free(tx);
}

void tide_sqlite_call_finish(struct call *call)
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
