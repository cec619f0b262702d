/* Transactions, and what others see of them. */
#include "sql/fixture.h"

static int set_up_table(void **state)
{
    set_up(state);
    assert_string_equal(run(*state, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)"), "ok");
    return 0;
}

static int64_t count(struct fixture *f)
{
    return number(f, "SELECT count(*) FROM t");
}

static void commit_shows_it_and_rollback_does_not(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *tx = begin_tx(f);

    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t (v) VALUES ('a')", NULL, 0), "ok");
    assert_int_equal(number_in(f, tx, "SELECT count(*) FROM t"), 1);
    assert_int_equal(count(f), 0); /* others read beside it and see nothing yet */
    assert_string_equal(end_tx(f, tx, true), "ok");
    assert_int_equal(count(f), 1);

    tx = begin_tx(f);
    assert_string_equal(run_in(f, tx, NULL, "DELETE FROM t", NULL, 0), "ok");
    assert_string_equal(end_tx(f, tx, false), "ok");
    assert_int_equal(count(f), 1);
}

static void one_at_a_time_in_their_order(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *first = begin_tx(f);
    struct begun second = {0};
    struct answer alone = {0}, last = {0};
    struct tide_err err;

    assert_non_null(tide_sql_begin(f->db, on_begun, &second, &err));
    assert_non_null(
        tide_sql_run(f->db, NULL, "INSERT INTO t (v) VALUES ('alone')", NULL, 0, 0, on_answer, &alone, &err));
    assert_string_equal(run_in(f, first, NULL, "INSERT INTO t (v) VALUES ('first')", NULL, 0), "ok");
    assert_false(second.called);
    assert_false(alone.called);
    assert_string_equal(end_tx(f, first, true), "ok");
    wait_for(f, &second.called);
    assert_false(alone.called);
    assert_non_null(tide_sql_end(second.tx, true, on_answer, &last, &err));
    wait_for(f, &alone.called);
    assert_true(last.called);
    assert_int_equal(count(f), 2);
    tide_sql_result_release(&alone.result);
    tide_sql_result_release(&last.result);
}

static void a_statement_that_fails_leaves_the_rest(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *tx = begin_tx(f);

    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t VALUES (1, 'a')", NULL, 0), "ok");
    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t VALUES (1, 'b')", NULL, 0), "exists");
    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t VALUES (2, 'c')", NULL, 0), "ok");
    assert_string_equal(end_tx(f, tx, true), "ok");
    assert_int_equal(count(f), 2);
}

/* SQLite rolls back as a whole when a statement that writes is interrupted. */
static void a_transaction_that_was_lost_says_so_to_its_end(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *tx = begin_tx(f);
    struct answer slow = {0};
    struct tide_err err;

    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t (v) VALUES ('a')", NULL, 0), "ok");
    assert_non_null(tide_sql_run(f->db, tx,
                                 "INSERT INTO t (v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                                 "FROM n) SELECT i FROM n",
                                 NULL, 0, 50, on_answer, &slow, &err));
    wait_for(f, &slow.called);
    assert_string_equal(slow.err.code, "timeout");
    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t (v) VALUES ('b')", NULL, 0), "conflict");
    assert_string_equal(end_tx(f, tx, true), "conflict");
    assert_int_equal(count(f), 0);
    assert_string_equal(run(f, "INSERT INTO t (v) VALUES ('c')"), "ok"); /* the lane is free again */
}

static void a_canceled_begin_holds_nothing(void **state)
{
    struct fixture *f = *state;
    struct begun begun = {0}, waiting = {0};
    struct tide_sql_call *calls[2];
    struct tide_err err;

    calls[0] = tide_sql_begin(f->db, on_begun, &begun, &err);   /* under way */
    calls[1] = tide_sql_begin(f->db, on_begun, &waiting, &err); /* waits for it */
    tide_sql_call_cancel(calls[0]);
    tide_sql_call_cancel(calls[1]);
    assert_string_equal(run(f, "INSERT INTO t (v) VALUES ('a')"), "ok");
    assert_false(begun.called);
    assert_false(waiting.called);
}

static void a_canceled_commit_is_a_commit(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *tx = begin_tx(f);
    struct answer answer = {0};
    struct tide_err err;

    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t (v) VALUES ('a')", NULL, 0), "ok");
    tide_sql_call_cancel(tide_sql_end(tx, true, on_answer, &answer, &err));
    assert_string_equal(run(f, "INSERT INTO t (v) VALUES ('b')"), "ok");
    assert_false(answer.called);
    assert_int_equal(count(f), 2);
}

static void close_rolls_back_what_is_open(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *tx = begin_tx(f);
    struct begun waiting = {0};
    struct tide_err err;

    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t (v) VALUES ('a')", NULL, 0), "ok");
    assert_non_null(tide_sql_begin(f->db, on_begun, &waiting, &err));
    tide_sql_close(f->db);
    assert_true(waiting.called);
    assert_string_equal(waiting.err.code, "canceled");
    open_db(f);
    assert_int_equal(count(f), 0);
}

static void close_hands_out_no_transaction(void **state)
{
    struct fixture *f = *state;
    struct begun begun = {0};
    struct tide_err err;

    assert_non_null(tide_sql_begin(f->db, on_begun, &begun, &err));
    uv_sleep(100); /* it has begun, the loop doesn't know yet */
    tide_sql_close(f->db);
    assert_true(begun.called);
    assert_null(begun.tx);
    assert_string_equal(begun.err.code, "canceled");
    open_db(f);
    assert_string_equal(run(f, "INSERT INTO t (v) VALUES ('a')"), "ok"); /* nothing holds it */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up_table, tear_down)
    const struct CMUnitTest tests[] = {
        T(commit_shows_it_and_rollback_does_not),  T(one_at_a_time_in_their_order),
        T(a_statement_that_fails_leaves_the_rest), T(a_transaction_that_was_lost_says_so_to_its_end),
        T(a_canceled_begin_holds_nothing),         T(a_canceled_commit_is_a_commit),
        T(close_rolls_back_what_is_open),          T(close_hands_out_no_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
