#include <sqlite3.h>
#include <sys/wait.h>

#include "sql/fixture.h"

static void test_values_come_back_as_they_went(void **state)
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

static void test_affected_and_last_id(void **state)
{
    struct fixture *f = *state;
    struct answer a;

    assert_string_equal(run(f, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)"), "ok");
    assert_string_equal(run_in(f, NULL, &a, "INSERT INTO t (v) VALUES ('a'), ('b'), ('c')", NULL, 0), "ok");
    assert_int_equal(a.result.affected, 3);
    assert_int_equal(a.result.last_id, 3);
    assert_string_equal(run_in(f, NULL, &a, "UPDATE t SET v = 'z' WHERE id < 3", NULL, 0), "ok");
    assert_int_equal(a.result.affected, 2);
    assert_int_equal(a.result.last_id, 0);
    assert_string_equal(run_in(f, NULL, &a, "CREATE TABLE u (id INTEGER)", NULL, 0), "ok");
    assert_int_equal(a.result.affected, 0);
    assert_string_equal(run_in(f, NULL, &a, "DELETE FROM t WHERE id = 9", NULL, 0), "ok");
    assert_int_equal(a.result.affected, 0);
    assert_int_equal(number(f, "SELECT count(*) FROM t"), 3);
}

static void test_unique_violation_is_exists(void **state)
{
    struct fixture *f = *state;

    run(f, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE, w TEXT NOT NULL)");
    assert_string_equal(run(f, "INSERT INTO t VALUES (1, 'a', 'w')"), "ok");
    assert_string_equal(run(f, "INSERT INTO t VALUES (1, 'b', 'w')"), TIDE_ERR_EXISTS);
    assert_string_equal(run(f, "INSERT INTO t VALUES (2, 'a', 'w')"), TIDE_ERR_EXISTS);
    assert_string_equal(run(f, "INSERT INTO t VALUES (3, 'c', NULL)"), TIDE_ERR_INVALID);
}

static void expect_invalid(struct fixture *f, const char *statement, const char *part)
{
    struct answer a;

    assert_string_equal(run_in(f, NULL, &a, statement, NULL, 0), TIDE_ERR_INVALID);
    assert_false(a.err.retryable);
    if (!strstr(a.err.message, part))
        fail_msg("'%s' lacks '%s'", a.err.message, part);
}

static void test_wrong_statements_are_named(void **state)
{
    struct fixture *f = *state;

    expect_invalid(f, "SELEC 1", "SELEC");
    expect_invalid(f, "SELECT * FROM nowhere", "nowhere");
    expect_invalid(f, "SELECT 1; SELECT 2", "SELECT 2");
    expect_invalid(f, "  -- nothing", "empty");
    expect_invalid(f, "SELECT ?", "takes 1 parameter, 0 given");
    expect_invalid(f, "SELECT \"no_such_column\"", "no_such_column");
    assert_string_equal(run(f, "SELECT 1; -- a comment behind is fine\n /* this too */ ;"), "ok");
}

static void test_what_a_statement_may_not_do(void **state)
{
    static const char *const denied[] = {"ATTACH '/tmp/tide-elsewhere.db' AS x",
                                         "BEGIN",
                                         "COMMIT",
                                         "SAVEPOINT s",
                                         "VACUUM INTO '/tmp/tide-elsewhere.db'",
                                         "PRAGMA synchronous = OFF",
                                         "PRAGMA user_version = 3",
                                         "SELECT load_extension('x.so')",
                                         "PRAGMA writable_schema = ON"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++) {
        struct answer a;

        if (strcmp(run_in(f, NULL, &a, denied[i], NULL, 0), TIDE_ERR_INVALID) != 0)
            fail_msg("%s: %s", denied[i], a.err.message);
    }
    assert_int_equal(access("/tmp/tide-elsewhere.db", F_OK), -1);
    assert_string_equal(run(f, "PRAGMA table_info(t)"), "ok");
}

static const char *run_counted(struct fixture *f, int rows, const char *what)
{
    char statement[256];

    snprintf(statement, sizeof statement,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT %s FROM n",
             rows, what);
    return run(f, statement);
}

static void test_limits_of_a_result(void **state)
{
    assert_string_equal(run_counted(*state, 10000, "i"), "ok");
    assert_string_equal(run_counted(*state, 10001, "i"), TIDE_ERR_LIMIT);
    assert_string_equal(run_counted(*state, 15, "zeroblob(1048576)"), "ok");
    assert_string_equal(run_counted(*state, 17, "zeroblob(1048576)"), TIDE_ERR_LIMIT);
}

/* SQLite has done all of it before the first row is seen. */
static void test_returning_over_the_limit_writes_nothing(void **state)
{
    struct fixture *f = *state;

    run(f, "CREATE TABLE t (i INTEGER)");
    assert_string_equal(run(f,
                            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001) "
                            "INSERT INTO t SELECT i FROM n RETURNING i"),
                        TIDE_ERR_LIMIT);
    assert_int_equal(number(f, "SELECT count(*) FROM t"), 0);
    assert_int_equal(number(f, "INSERT INTO t VALUES (7) RETURNING i"), 7);
    assert_int_equal(number(f, "SELECT count(*) FROM t"), 1);
}

#define ENDLESS "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

static void test_a_statement_stops_at_its_timeout(void **state)
{
    struct fixture *f = *state;
    int64_t started = tide_clock_monotonic_ms();
    struct answer a = {0};
    struct tide_err err;

    assert_non_null(tide_sql_run(f->db, NULL, ENDLESS, NULL, 0, 100, on_answer, &a, &err));
    wait_for(f, &a.called);
    assert_string_equal(a.err.code, TIDE_ERR_TIMEOUT);
    assert_true(a.err.retryable);
    assert_in_range(tide_clock_monotonic_ms() - started, 95, 3000);
    assert_int_equal(number(f, "SELECT 5"), 5);
}

static void test_cancel_interrupts_and_is_silent(void **state)
{
    struct fixture *f = *state;
    struct answer running[3] = {0}, waiting = {0};
    struct tide_sql_call *calls[4];
    struct tide_err err;
    int64_t started = tide_clock_monotonic_ms();

    for (int i = 0; i < 3; i++)
        calls[i] = tide_sql_run(f->db, NULL, "SELECT * FROM (" ENDLESS ")", NULL, 0, 60000, on_answer,
                                &running[i], &err);
    calls[3] = tide_sql_run(f->db, NULL, "SELECT 1", NULL, 0, 60000, on_answer, &waiting, &err);
    for (int i = 0; i < 20; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    for (int i = 3; i >= 0; i--)
        tide_sql_call_cancel(calls[i]);
    assert_int_equal(number(f, "SELECT 5"), 5); /* the connections are free again */
    assert_true(tide_clock_monotonic_ms() - started < 10000);
    for (int i = 0; i < 3; i++)
        assert_false(running[i].called);
    assert_false(waiting.called);
}

static void test_waiting_for_a_connection_has_the_timeout_too(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *tx = begin_tx(f);
    struct answer a = {0};
    struct tide_err err;

    assert_non_null(tide_sql_run(f->db, NULL, "CREATE TABLE u (i)", NULL, 0, 100, on_answer, &a, &err));
    wait_for(f, &a.called);
    assert_string_equal(a.err.code, TIDE_ERR_TIMEOUT);
    assert_int_equal(number(f, "SELECT 5"), 5); /* reading goes on meanwhile */
    assert_string_equal(end_tx(f, tx, false), "ok");
    assert_string_equal(run(f, "CREATE TABLE u (i)"), "ok");
}

/* Another process that writes: a second database object has its own connections. */
static void test_a_lock_elsewhere_is_waited_for_until_the_timeout(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_db *other;
    struct tide_sql_tx *tx;
    struct answer a = {0};
    struct tide_err err;

    run(f, "CREATE TABLE t (i INTEGER)");
    other = tide_sql_open(&f->loop, NULL, f->url, &err);
    assert_non_null(other);
    tx = begin_tx(f);
    assert_non_null(tide_sql_run(other, NULL, "INSERT INTO t VALUES (1)", NULL, 0, 150, on_answer, &a, &err));
    wait_for(f, &a.called);
    assert_string_equal(a.err.code, TIDE_ERR_TIMEOUT);
    a = (struct answer){0};
    assert_non_null(
        tide_sql_run(other, NULL, "INSERT INTO t VALUES (2)", NULL, 0, 5000, on_answer, &a, &err));
    assert_string_equal(end_tx(f, tx, true), "ok");
    wait_for(f, &a.called);
    assert_null(a.err.code);
    tide_sql_close(other);
    assert_int_equal(number(f, "SELECT sum(i) FROM t"), 2);
}

/* Reads `path` once a byte comes; forked before this process opens it, as SQLite's memory of locks is
 * inherited. */
static pid_t start_reader(const char *path, int go)
{
    pid_t child = fork();
    sqlite3 *db;
    char byte;

    if (child == 0) {
        bool good = read(go, &byte, 1) == 1 && sqlite3_open(path, &db) == SQLITE_OK &&
                    sqlite3_exec(db, "SELECT * FROM t", NULL, NULL, NULL) == SQLITE_OK;
        _exit(good && sqlite3_close(db) == SQLITE_OK ? 0 : 1);
    }
    return child;
}

/* The last connection of all removes the write-ahead log as it closes. One of another process takes itself
 * for the last when ours have lost their locks. */
static void test_another_process_leaves_the_log(void **state)
{
    struct fixture *f = *state;
    char log[160];
    pid_t child;
    int go[2], ended;

    tide_sql_close(f->db);
    assert_int_equal(pipe(go), 0);
    child = start_reader(f->path, go[0]);
    open_db(f);
    run(f, "CREATE TABLE t (i INTEGER)");
    assert_int_equal(number(f, "SELECT count(*) FROM t"), 0); /* on a connection for reading */
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    snprintf(log, sizeof log, "%s-wal", f->path);
    assert_int_equal(access(log, F_OK), 0);
    close(go[0]);
    close(go[1]);
}

static void test_foreign_keys_hold(void **state)
{
    struct fixture *f = *state;

    run(f, "CREATE TABLE p (id INTEGER PRIMARY KEY)");
    run(f, "CREATE TABLE c (p INTEGER NOT NULL REFERENCES p(id))");
    assert_string_equal(run(f, "INSERT INTO c VALUES (1)"), TIDE_ERR_INVALID);
}

static void test_more_statements_than_the_cache_holds(void **state)
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

static void test_urls(void **state)
{
    static const char *const wrong[] = {"sqlite:", "sqlite::memory:", "sqlite://host/x", "oracle:x",
                                        "",        "nothing"};
    struct fixture *f = *state;
    struct tide_err err;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        err = (struct tide_err){0};
        assert_null(tide_sql_open(&f->loop, NULL, wrong[i], &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
    }
    assert_null(tide_sql_open(&f->loop, NULL, "sqlite:/nonexistent/dir/t.db", &err));
    assert_non_null(strstr(err.message, "/nonexistent/dir/t.db"));
    assert_string_equal(tide_sql_dialect(f->db), "sqlite");
}

static void test_ready_sees_a_removed_file(void **state)
{
    struct fixture *f = *state;
    struct tide_err err;

    assert_true(tide_sql_ready(f->db, &err));
    assert_int_equal(unlink(f->path), 0);
    assert_false(tide_sql_ready(f->db, &err));
}

static void test_a_file_that_is_no_database(void **state)
{
    struct fixture *f = *state;
    struct tide_err err;
    char path[160], url[200];
    FILE *file;

    snprintf(path, sizeof path, "%s/text.db", f->dir);
    snprintf(url, sizeof url, "sqlite:%s", path);
    file = fopen(path, "w");
    for (int i = 0; i < 100; i++)
        fputs("this is not a database at all\n", file);
    fclose(file);
    assert_null(tide_sql_open(&f->loop, NULL, url, &err));
    assert_string_equal(err.code, TIDE_ERR_INTERNAL);
    assert_non_null(strstr(err.message, path));
}

static void test_sync_calls(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_value id = integer(2);
    struct tide_sql_result result;
    struct tide_err err;

    assert_true(tide_sql_script(f->db,
                                "CREATE TABLE t (i INTEGER);\nINSERT INTO t VALUES (1);\n"
                                "INSERT INTO t VALUES (2); -- end\n",
                                &err));
    assert_true(tide_sql_run_sync(f->db, "SELECT i FROM t WHERE i = ?", &id, 1, &result, &err));
    assert_int_equal(result.rows, 1);
    tide_sql_result_release(&result);
    assert_false(
        tide_sql_script(f->db, "INSERT INTO t VALUES (3);\n\nINSERT INTO nowhere VALUES (4);", &err));
    assert_non_null(strstr(err.message, "statement 2 (line 3)"));
    assert_int_equal(number(f, "SELECT count(*) FROM t"), 2);
}

static void test_close_answers_what_waits(void **state)
{
    struct fixture *f = *state;
    struct answer a[8] = {0};
    struct tide_err err;

    for (int i = 0; i < 8; i++)
        tide_sql_run(f->db, NULL, "SELECT * FROM (" ENDLESS ")", NULL, 0, 60000, on_answer, &a[i], &err);
    tide_sql_close(f->db);
    for (int i = 0; i < 8; i++) {
        assert_true(a[i].called);
        assert_string_equal(a[i].err.code, TIDE_ERR_CANCELED);
    }
    open_db(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_values_come_back_as_they_went),
        TEST(test_affected_and_last_id),
        TEST(test_unique_violation_is_exists),
        TEST(test_wrong_statements_are_named),
        TEST(test_what_a_statement_may_not_do),
        TEST(test_limits_of_a_result),
        TEST(test_returning_over_the_limit_writes_nothing),
        TEST(test_a_statement_stops_at_its_timeout),
        TEST(test_cancel_interrupts_and_is_silent),
        TEST(test_waiting_for_a_connection_has_the_timeout_too),
        TEST(test_a_lock_elsewhere_is_waited_for_until_the_timeout),
        TEST(test_another_process_leaves_the_log),
        TEST(test_foreign_keys_hold),
        TEST(test_more_statements_than_the_cache_holds),
        TEST(test_urls),
        TEST(test_ready_sees_a_removed_file),
        TEST(test_a_file_that_is_no_database),
        TEST(test_sync_calls),
        TEST(test_close_answers_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
