#include <sqlite3.h>
#include <sys/wait.h>

#include "sql/fixture.h"

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

/* There is one writer. */
static void test_transactions_come_one_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *first;
    struct begun second = {0};
    struct answer alone = {0}, last = {0};
    struct tide_err err;

    assert_string_equal(run(f, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)"), "ok");
    first = begin_tx(f);
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
    assert_int_equal(number(f, "SELECT count(*) FROM t"), 2);
    tide_sql_result_release(&alone.result);
    tide_sql_result_release(&last.result);
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_wrong_statements_are_named),
        TEST(test_what_a_statement_may_not_do),
        TEST(test_limits_of_a_result),
        TEST(test_returning_over_the_limit_writes_nothing),
        TEST(test_waiting_for_a_connection_has_the_timeout_too),
        TEST(test_a_lock_elsewhere_is_waited_for_until_the_timeout),
        TEST(test_another_process_leaves_the_log),
        TEST(test_transactions_come_one_at_a_time),
        TEST(test_urls),
        TEST(test_ready_sees_a_removed_file),
        TEST(test_a_file_that_is_no_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
