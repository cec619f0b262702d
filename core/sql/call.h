/*
 * What the calls of every database driver are made of: what was asked, how long it may take, whom to tell.
 * Who uses it: the drivers. Loop thread. A driver's own struct begins with tide_sql_call, or tide_sql_tx.
 */
#ifndef TIDE_SQL_CALL_H
#define TIDE_SQL_CALL_H

#include "sql/driver.h"

enum tide_sql_kind { TIDE_SQL_RUN, TIDE_SQL_BEGIN, TIDE_SQL_END };

struct tide_sql_call {
    struct tide_sql_db *db;
    struct tide_sql_call *next; /* in its list */
    enum tide_sql_kind kind;
    struct tide_sql_tx *tx; /* NULL: on its own */
    struct tide_sql_statement statement;
    int64_t deadline_ms;
    bool commit;   /* END */
    bool detached; /* canceled: the callback must not run */
    bool done;     /* its outcome is known, only the callback is due */
    tide_sql_cb *cb;
    tide_sql_begin_cb *begin_cb;
    void *arg;
    bool ok;
    struct tide_sql_result result;
    struct tide_err err;
};

struct tide_sql_call_list {
    struct tide_sql_call *first, *last;
    size_t count;
};

struct tide_sql_tx {
    struct tide_sql_db *db;
    struct tide_sql_tx *next;  /* of the database */
    struct tide_sql_call *end; /* made with it, so that an end can't fail */
    int64_t deadline_ms;
    bool lost;   /* rolled back before its end: `why` tells */
    bool ending; /* tide_sql_end was called */
    struct tide_err why;
};

void tide_sql_list_push(struct tide_sql_call_list *list, struct tide_sql_call *call);
/* Nothing happens when it isn't in the list. */
void tide_sql_list_remove(struct tide_sql_call_list *list, struct tide_sql_call *call);

/* For a call that is part of something else. */
void tide_sql_call_init(struct tide_sql_call *call, struct tide_sql_db *db, enum tide_sql_kind kind,
                        int64_t timeout_ms);
/* One of `size` bytes, the driver's struct, with copies of what `from` holds. Only its beginning, the
 * tide_sql_call, is set. */
struct tide_sql_call *tide_sql_call_new(size_t size, struct tide_sql_db *db, struct tide_sql_tx *tx,
                                        const struct tide_sql_statement *from, tide_sql_cb *cb, void *arg,
                                        struct tide_err *err);
/* A call that begins a transaction, which it makes as well: the driver's structs of these sizes, in the
 * second of which the call of its end is at `end_at`. */
struct tide_sql_call *tide_sql_call_begin(size_t call_size, size_t tx_size, size_t end_at,
                                          struct tide_sql_db *db, tide_sql_begin_cb *cb, void *arg,
                                          struct tide_err *err);
/* The database is closing: the call has failed. */
void tide_sql_call_refuse(struct tide_sql_call *call);
/* Tells the caller, unless the call was canceled, and frees it; an end frees its transaction. */
void tide_sql_call_finish(struct tide_sql_call *call);

void tide_sql_tx_free(struct tide_sql_tx *tx);
/* Makes tx->end what tide_sql_end has asked for. */
struct tide_sql_call *tide_sql_tx_ask_end(struct tide_sql_tx *tx, bool commit, tide_sql_cb *cb, void *arg);
/* Rolled back before its end, for the reason of `err`. */
void tide_sql_tx_lose(struct tide_sql_tx *tx, const struct tide_err *err);

#endif
