/*
 * What every driver of core/sql has to do: on SQLite always, on the server of MYSQL_URL when there is one.
 * What is one driver's own is in its test.
 */
#include "sql/fixture.h"

/* ---- statements ---- */

static void values_come_back_as_they_went(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_value in[] = {{.type = TIDE_SQL_NULL},
                                  integer(INT64_MIN),
                                  {.type = TIDE_SQL_NUMBER, .number = 0.1},
                                  text(""),
                                  text("x")};
    char bytes[] = {'a', 0, (char)0xff, 'b'};
    struct answer a;

    in[4].text = bytes;
    in[4].len = sizeof bytes;
    assert_string_equal(run_in(f, NULL, &a, "SELECT ? AS n, ? AS i, ? AS d, ? AS e, ? AS b", in, 5), "ok");
    assert_int_equal(a.result.rows, 1);
    assert_int_equal(a.result.columns, 5);
    assert_string_equal(a.result.names[4], "b");
    assert_int_equal(a.result.values[0].type, TIDE_SQL_NULL);
    assert_true(a.result.values[1].integer == INT64_MIN);
    assert_int_equal(a.result.values[1].type, TIDE_SQL_INT);
    assert_true(a.result.values[2].number == 0.1);
    assert_int_equal(a.result.values[2].type, TIDE_SQL_NUMBER);
    assert_int_equal(a.result.values[3].type, TIDE_SQL_TEXT);
    assert_int_equal(a.result.values[3].len, 0);
    assert_string_equal(a.result.values[3].text, "");
    assert_int_equal(a.result.values[4].len, sizeof bytes);
    assert_memory_equal(a.result.values[4].text, bytes, sizeof bytes);
    tide_sql_result_release(&a.result);
}

/* The types of one statement's parameters and results change from call to call. */
static void a_parameter_may_be_of_any_type(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_value in[] = {
        integer(7), text("seven"), {.type = TIDE_SQL_NULL}, text("\xc3\xa9"), integer(8)};

    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        struct answer a;

        assert_string_equal(run_in(f, NULL, &a, "SELECT ? AS v", &in[i], 1), "ok");
        assert_int_equal(a.result.values[0].type, in[i].type);
        if (in[i].type == TIDE_SQL_INT)
            assert_true(a.result.values[0].integer == in[i].integer);
        if (in[i].type == TIDE_SQL_TEXT)
            assert_string_equal(a.result.values[0].text, in[i].text);
        tide_sql_result_release(&a.result);
    }
}

static void large_values_are_whole(void **state)
{
    static const size_t sizes[] = {255, 256, 257, 65536, 5 << 20};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct tide_sql_value in = {.type = TIDE_SQL_TEXT, .len = sizes[i], .text = malloc(sizes[i])};
        struct answer a;

        for (size_t k = 0; k < in.len; k++)
            in.text[k] = (char)('a' + k % 23);
        assert_string_equal(run_in(f, NULL, &a, "SELECT ? AS v, 5 AS n", &in, 1), "ok");
        assert_int_equal(a.result.values[0].len, in.len);
        assert_memory_equal(a.result.values[0].text, in.text, in.len);
        assert_true(a.result.values[1].integer == 5);
        tide_sql_result_release(&a.result);
        free(in.text);
    }
}

static void make_table(struct fixture *f, const char *rest)
{
    char statement[256];

    snprintf(statement, sizeof statement, "CREATE TABLE t (id %s, %s)", f->key, rest);
    assert_string_equal(run(f, statement), "ok");
}

static void affected_and_last_id(void **state)
{
    struct fixture *f = *state;
    struct answer a;

    make_table(f, "v VARCHAR(20)");
    assert_string_equal(run(f, "INSERT INTO t (v) VALUES ('a'), ('b')"), "ok");
    assert_string_equal(run_in(f, NULL, &a, "INSERT INTO t (v) VALUES ('c')", NULL, 0), "ok");
    assert_int_equal(a.result.affected, 1);
    assert_int_equal(a.result.last_id, 3);
    assert_string_equal(run_in(f, NULL, &a, "UPDATE t SET v = 'z' WHERE id < 3", NULL, 0), "ok");
    assert_int_equal(a.result.affected, 2);
    assert_int_equal(a.result.last_id, 0);
    assert_string_equal(run_in(f, NULL, &a, "UPDATE t SET v = 'z' WHERE id < 3", NULL, 0), "ok");
    assert_int_equal(a.result.affected, 2); /* rows met, although nothing changes */
    assert_string_equal(run_in(f, NULL, &a, "CREATE TABLE u (id INTEGER)", NULL, 0), "ok");
    assert_int_equal(a.result.affected, 0);
    assert_string_equal(run_in(f, NULL, &a, "DELETE FROM t WHERE id = 9", NULL, 0), "ok");
    assert_int_equal(a.result.affected, 0);
    assert_int_equal(number(f, "SELECT count(*) FROM t"), 3);
}

static void unique_violation_is_exists(void **state)
{
    struct fixture *f = *state;

    run(f, "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20) UNIQUE, w VARCHAR(20) NOT NULL)");
    assert_string_equal(run(f, "INSERT INTO t VALUES (1, 'a', 'w')"), "ok");
    assert_string_equal(run(f, "INSERT INTO t VALUES (1, 'b', 'w')"), TIDE_ERR_EXISTS);
    assert_string_equal(run(f, "INSERT INTO t VALUES (2, 'a', 'w')"), TIDE_ERR_EXISTS);
    assert_string_equal(run(f, "INSERT INTO t VALUES (3, 'c', NULL)"), TIDE_ERR_INVALID);
}

static void foreign_keys_hold(void **state)
{
    struct fixture *f = *state;

    run(f, "CREATE TABLE p (id INTEGER PRIMARY KEY)");
    run(f, "CREATE TABLE c (p INTEGER NOT NULL, FOREIGN KEY (p) REFERENCES p(id))");
    assert_string_equal(run(f, "INSERT INTO c VALUES (1)"), TIDE_ERR_INVALID);
}

static void expect_invalid(struct fixture *f, const char *statement, const char *part)
{
    struct answer a;

    if (strcmp(run_in(f, NULL, &a, statement, NULL, 0), TIDE_ERR_INVALID) != 0)
        fail_msg("%s: %s", statement, a.err.message);
    assert_false(a.err.retryable);
    if (!strstr(a.err.message, part))
        fail_msg("'%s' lacks '%s'", a.err.message, part);
}

static void wrong_statements_are_named(void **state)
{
    static const char *const denied[] = {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", " /* x */ begin"};
    struct fixture *f = *state;

    expect_invalid(f, "SELEC 1", "SELEC");
    expect_invalid(f, "SELECT * FROM nowhere", "nowhere");
    expect_invalid(f, "SELECT 1; SELECT 2", "SELECT 2");
    expect_invalid(f, "  -- nothing", "empty");
    expect_invalid(f, "", "empty");
    expect_invalid(f, "SELECT ?", "takes 1 parameter, 0 given");
    expect_invalid(f, "SELECT \"no_such_column\"", "no_such_column");
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
        expect_invalid(f, denied[i], "a statement may not");
    assert_string_equal(run(f, "SELECT 1; -- a comment behind is fine\n /* this too */ ;"), "ok");
    assert_int_equal(number(f, "SELECT '\\' = '\\' || ''"), 1); /* no escapes, and || joins */
}

static void more_statements_than_the_cache_holds(void **state)
{
    struct fixture *f = *state;
    char statement[64];

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 150; i++) {
            snprintf(statement, sizeof statement, "SELECT %d + 1", i);
            assert_int_equal(number(f, statement), i + 1);
        }
    run(f, "CREATE TABLE t (i INTEGER)");
    assert_int_equal(number(f, "SELECT count(*) FROM t"), 0);
    run(f, "ALTER TABLE t ADD COLUMN j INTEGER"); /* cached statements see it */
    run(f, "INSERT INTO t VALUES (1, 2)");
    assert_int_equal(number(f, "SELECT count(*) FROM t"), 1);
}

static void a_cached_statement_sees_new_columns(void **state)
{
    struct fixture *f = *state;
    struct answer a;

    run(f, "CREATE TABLE t (i INTEGER)");
    run(f, "INSERT INTO t VALUES (1)");
    for (int i = 0; i < 3; i++)
        assert_int_equal(number(f, "SELECT * FROM t"), 1);
    run(f, "ALTER TABLE t ADD COLUMN j INTEGER DEFAULT 2");
    assert_string_equal(run_in(f, NULL, &a, "SELECT * FROM t", NULL, 0), "ok");
    assert_int_equal(a.result.columns, 2);
    assert_true(a.result.values[1].integer == 2);
    tide_sql_result_release(&a.result);
}

/* ---- limits ---- */

/* The rows 0 to 9; so many joined with themselves are more than there is time for. */
#define ENDLESS "SELECT count(*) AS n FROM d a, d b, d c, d e, d f, d g, d h, d i, d j, d k, d l, d m"

static void make_digits(struct fixture *f)
{
    assert_string_equal(run(f, "CREATE TABLE d (i INTEGER)"), "ok");
    assert_string_equal(run(f, "INSERT INTO d VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)"),
                        "ok");
}

static void results_have_limits(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_value megabyte = {.type = TIDE_SQL_TEXT, .len = 1 << 20, .text = calloc(1, 1 << 20)};

    memset(megabyte.text, 'x', megabyte.len);
    make_digits(f);
    assert_string_equal(run(f, "SELECT a.i FROM d a, d b, d c, d e"), "ok");
    assert_string_equal(run(f, "SELECT a.i FROM d a, d b, d c, d e UNION ALL SELECT 1"), TIDE_ERR_LIMIT);
    assert_string_equal(run_in(f, NULL, NULL, "SELECT ? AS v FROM d", &megabyte, 1), "ok");
    assert_string_equal(run_in(f, NULL, NULL, "SELECT ? AS v FROM d a, d b", &megabyte, 1), TIDE_ERR_LIMIT);
    assert_int_equal(number(f, "SELECT count(*) FROM d"), 10);
    free(megabyte.text);
}

static void parameters_have_limits(void **state)
{
    struct tide_sql_value in = {.type = TIDE_SQL_TEXT, .len = 17 << 20, .text = calloc(1, 17 << 20)};

    assert_string_equal(run_in(*state, NULL, NULL, "SELECT ? AS v", &in, 1), TIDE_ERR_TOO_LARGE);
    assert_int_equal(number(*state, "SELECT 5"), 5);
    free(in.text);
}

static void a_statement_stops_at_its_timeout(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    struct tide_err err;

    make_digits(f);
    assert_non_null(tide_sql_run(f->db, NULL, ENDLESS, NULL, 0, 100, on_answer, &a, &err));
    wait_for(f, &a.called);
    assert_string_equal(a.err.code, TIDE_ERR_TIMEOUT);
    assert_true(a.err.retryable);
    assert_int_equal(number(f, "SELECT 5"), 5);
}

static void cancel_interrupts_and_is_silent(void **state)
{
    struct fixture *f = *state;
    struct answer running[8] = {0}, waiting = {0};
    struct tide_sql_call *calls[9];
    struct tide_err err;

    make_digits(f);
    for (int i = 0; i < 8; i++)
        calls[i] = tide_sql_run(f->db, NULL, ENDLESS, NULL, 0, 60000, on_answer, &running[i], &err);
    calls[8] = tide_sql_run(f->db, NULL, "SELECT 1", NULL, 0, 60000, on_answer, &waiting, &err);
    for (int i = 0; i < 100; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    for (int i = 8; i >= 0; i--)
        if (!waiting.called || i < 8)
            tide_sql_call_cancel(calls[i]);
    tide_sql_result_release(&waiting.result);
    assert_int_equal(number(f, "SELECT 5"), 5); /* the connections are free again */
    for (int i = 0; i < 8; i++)
        assert_false(running[i].called);
}

static void close_answers_what_waits(void **state)
{
    struct fixture *f = *state;
    struct answer a[12] = {0};
    struct tide_err err;

    make_digits(f);
    for (int i = 0; i < 12; i++)
        tide_sql_run(f->db, NULL, ENDLESS, NULL, 0, 60000, on_answer, &a[i], &err);
    tide_sql_close(f->db);
    for (int i = 0; i < 12; i++) {
        assert_true(a[i].called);
        assert_string_equal(a[i].err.code, TIDE_ERR_CANCELED);
    }
    open_db(f);
}

/* ---- what blocks ---- */

static void sync_calls(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_value id = integer(2);
    struct tide_sql_result result;
    struct tide_err err;

    assert_true(tide_sql_ready(f->db, &err));
    if (!tide_sql_script(f->db,
                         "CREATE TABLE t (i INTEGER, v VARCHAR(20));\n-- first; the rows\n"
                         "INSERT INTO t VALUES (1, 'a;\n''b');\nINSERT INTO t VALUES (2, NULL) -- end\n",
                         &err))
        fail_msg("%s", err.message);
    assert_true(tide_sql_run_sync(f->db, "SELECT i FROM t WHERE i = ?", &id, 1, &result, &err));
    assert_int_equal(result.rows, 1);
    tide_sql_result_release(&result);
    assert_int_equal(number(f, "SELECT count(*) FROM t WHERE v LIKE 'a;%''b'"), 1);
    assert_false(
        tide_sql_script(f->db, "INSERT INTO t (i) VALUES (3);\n\nINSERT INTO nowhere VALUES (4);", &err));
    assert_non_null(strstr(err.message, "line 3: "));
    assert_int_equal(number(f, "SELECT count(*) FROM t"), 2);
}

/* ---- transactions ---- */

static int64_t count(struct fixture *f)
{
    return number(f, "SELECT count(*) FROM t");
}

static void commit_shows_it_and_rollback_does_not(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *tx;

    make_table(f, "v VARCHAR(20)");
    tx = begin_tx(f);
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

static void a_statement_that_fails_leaves_the_rest(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *tx;

    make_table(f, "v VARCHAR(20)");
    tx = begin_tx(f);
    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t VALUES (1, 'a')", NULL, 0), "ok");
    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t VALUES (1, 'b')", NULL, 0), "exists");
    assert_string_equal(run_in(f, tx, NULL, "SELECT wrong", NULL, 0), "invalid");
    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t VALUES (2, 'c')", NULL, 0), "ok");
    assert_string_equal(end_tx(f, tx, true), "ok");
    assert_int_equal(count(f), 2);
}

/* A statement that writes and is stopped takes the whole transaction with it. */
static void a_transaction_that_was_lost_says_so_to_its_end(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *tx;
    struct answer slow = {0};
    struct tide_err err;

    make_table(f, "v VARCHAR(20)");
    make_digits(f);
    tx = begin_tx(f);
    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t (v) VALUES ('a')", NULL, 0), "ok");
    assert_non_null(
        tide_sql_run(f->db, tx,
                     "INSERT INTO t (v) SELECT a.i FROM d a, d b, d c, d e, d f, d g, d h, d i, d j, "
                     "d k, d l, d m",
                     NULL, 0, 50, on_answer, &slow, &err));
    wait_for(f, &slow.called);
    assert_string_equal(slow.err.code, "timeout");
    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t (v) VALUES ('b')", NULL, 0), "conflict");
    assert_string_equal(end_tx(f, tx, true), "conflict");
    assert_int_equal(count(f), 0);
    assert_string_equal(run(f, "INSERT INTO t (v) VALUES ('c')"), "ok"); /* nothing is locked any more */
}

static void a_canceled_begin_holds_nothing(void **state)
{
    struct fixture *f = *state;
    struct begun begun = {0}, waiting = {0};
    struct tide_sql_call *calls[2];
    struct tide_err err;

    make_table(f, "v VARCHAR(20)");
    calls[0] = tide_sql_begin(f->db, on_begun, &begun, &err);
    calls[1] = tide_sql_begin(f->db, on_begun, &waiting, &err);
    tide_sql_call_cancel(calls[0]);
    tide_sql_call_cancel(calls[1]);
    assert_string_equal(run(f, "INSERT INTO t (v) VALUES ('a')"), "ok");
    assert_false(begun.called);
    assert_false(waiting.called);
}

static void a_canceled_commit_is_a_commit(void **state)
{
    struct fixture *f = *state;
    struct answer answer = {0};
    struct tide_sql_tx *tx;
    struct tide_err err;

    make_table(f, "v VARCHAR(20)");
    tx = begin_tx(f);
    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t (v) VALUES ('a')", NULL, 0), "ok");
    tide_sql_call_cancel(tide_sql_end(tx, true, on_answer, &answer, &err));
    assert_string_equal(run(f, "INSERT INTO t (v) VALUES ('b')"), "ok");
    for (int i = 0; i < 1000 && count(f) < 2; i++) /* the other connection may still be at it */
        uv_sleep(10);
    assert_false(answer.called);
    assert_int_equal(count(f), 2);
}

static void close_rolls_back_what_is_open(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *tx;
    struct begun waiting = {0};
    struct tide_err err;

    make_table(f, "v VARCHAR(20)");
    tx = begin_tx(f);
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

    make_table(f, "v VARCHAR(20)");
    assert_non_null(tide_sql_begin(f->db, on_begun, &begun, &err));
    uv_sleep(100); /* it has begun, the loop doesn't know yet */
    tide_sql_close(f->db);
    assert_true(begun.called);
    assert_null(begun.tx);
    assert_string_equal(begun.err.code, "canceled");
    open_db(f);
    assert_string_equal(run(f, "INSERT INTO t (v) VALUES ('a')"), "ok"); /* nothing holds it */
}

#define CONTRACT(set_up)                                                                                     \
    {                                                                                                        \
        T(values_come_back_as_they_went, set_up), T(a_parameter_may_be_of_any_type, set_up),                 \
            T(large_values_are_whole, set_up), T(affected_and_last_id, set_up),                              \
            T(unique_violation_is_exists, set_up), T(foreign_keys_hold, set_up),                             \
            T(wrong_statements_are_named, set_up), T(more_statements_than_the_cache_holds, set_up),          \
            T(a_cached_statement_sees_new_columns, set_up), T(results_have_limits, set_up),                  \
            T(parameters_have_limits, set_up), T(a_statement_stops_at_its_timeout, set_up),                  \
            T(cancel_interrupts_and_is_silent, set_up), T(close_answers_what_waits, set_up),                 \
            T(sync_calls, set_up), T(commit_shows_it_and_rollback_does_not, set_up),                         \
            T(a_statement_that_fails_leaves_the_rest, set_up),                                               \
            T(a_transaction_that_was_lost_says_so_to_its_end, set_up),                                       \
            T(a_canceled_begin_holds_nothing, set_up), T(a_canceled_commit_is_a_commit, set_up),             \
            T(close_rolls_back_what_is_open, set_up), T(close_hands_out_no_transaction, set_up),             \
    }
#define T(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest on_sqlite[] = CONTRACT(set_up);
    const struct CMUnitTest on_server[] = CONTRACT(set_up_server);
    int failed = cmocka_run_group_tests_name("sqlite", on_sqlite, NULL, NULL);

    if (!getenv("MYSQL_URL")) {
        puts("mysql: skipped, there is no server: MYSQL_URL is not set");
        return failed;
    }
    return failed + cmocka_run_group_tests_name("mysql", on_server, NULL, NULL);
}
