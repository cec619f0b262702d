/* What is MySQL's own. The server is that of MYSQL_URL; without it only what needs none is tested. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "sql/fixture.h"

/* ---- the URL ---- */

static void wrong_urls_are_named(void **state)
{
    static const struct {
        const char *url, *part;
    } wrong[] = {
        {"mysql:x", "no ://"},
        {"mysql://host/db", "no user"},
        {"mysql://user@host", "no database"},
        {"mysql://user:secret@/db", "host"},
        {"mysql://user:secret@host:0/db", "port"},
        {"mysql://user:secret@host:70000/db", "port"},
        {"mysql://user:se%ret@host/db", "%25"},
        {"mysql://user:secret@host/db?sslmode=require", "'sslmode'; there are ssl_ca"},
        {"mysql://user:secret@host/db?ssl_mode=required", "'ssl_mode' is not disabled or"},
        {"mysql://user:secret@host/db?ssl_ca=x&ssl_mode=disabled", "of no use"},
        {"mysql://user:secret@host/db?connections=0", "from 1 to 64"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct tide_err err = {0};

        assert_null(tide_sql_open(&f->loop, NULL, wrong[i].url, &err));
        if (strcmp(err.code, TIDE_ERR_INVALID) != 0 || !strstr(err.message, wrong[i].part))
            fail_msg("%s: %s", wrong[i].url, err.message);
        assert_null(strstr(err.message, "secret"));
    }
}

/* ---- no server ---- */

static void open_url(struct fixture *f, const char *url)
{
    struct tide_err err;

    f->db = tide_sql_open(&f->loop, NULL, url, &err);
    if (!f->db)
        fail_msg("%s", err.message);
}

static void a_server_that_is_away_is_told(void **state)
{
    struct fixture *f = *state;
    struct begun begun = {0};
    struct answer a;
    struct tide_err err;

    open_url(f, "mysql://user:secret@127.0.0.1:1/db?connections=2");
    assert_false(tide_sql_ready(f->db, &err));
    assert_string_equal(err.code, TIDE_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "mysql://user:***@127.0.0.1:1/db"));
    assert_string_equal(run_in(f, NULL, &a, "SELECT 1", NULL, 0), TIDE_ERR_UNAVAILABLE);
    assert_true(a.err.retryable);
    assert_non_null(strstr(a.err.message, "mysql://user:***@127.0.0.1:1/db"));
    assert_null(strstr(a.err.message, "secret"));
    assert_non_null(tide_sql_begin(f->db, on_begun, &begun, &err));
    wait_for(f, &begun.called);
    assert_string_equal(begun.err.code, TIDE_ERR_UNAVAILABLE);
    tide_sql_close(f->db);
}

/* A host that takes the connection and says nothing. */
static void a_server_that_is_silent_is_not_waited_for(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct fixture *f = *state;
    struct tide_sql_call *call;
    struct answer a = {0};
    struct tide_err err;
    char url[128];

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(url, sizeof url, "mysql://user:secret@127.0.0.1:%d/db", ntohs(address.sin_port));
    open_url(f, url);
    call = tide_sql_run(f->db, NULL, "SELECT 1", NULL, 0, 300, on_answer, &a, &err);
    assert_non_null(call);
    wait_for(f, &a.called);
    assert_string_equal(a.err.code, TIDE_ERR_TIMEOUT);
    tide_sql_close(f->db);
    close(fd);
}

/* ---- types ---- */

static void check_expression(struct fixture *f, const char *expression, const char *expected)
{
    char statement[200], got[100];
    struct answer a;
    struct tide_sql_value *value;

    snprintf(statement, sizeof statement, "SELECT %s AS v", expression);
    if (strcmp(run_in(f, NULL, &a, statement, NULL, 0), "ok") != 0)
        fail_msg("%s: %s", statement, a.err.message);
    value = a.result.values;
    if (value->type == TIDE_SQL_INT)
        snprintf(got, sizeof got, "int %lld", (long long)value->integer);
    else if (value->type == TIDE_SQL_NUMBER)
        snprintf(got, sizeof got, "number %.17g", value->number);
    else
        snprintf(got, sizeof got, "%s%s", value->type == TIDE_SQL_TEXT ? "text " : "null",
                 value->type == TIDE_SQL_TEXT ? value->text : "");
    if (strcmp(got, expected) != 0)
        fail_msg("%s: %s, not %s", expression, got, expected);
    tide_sql_result_release(&a.result);
}

static void types(void **state)
{
    static const char *const cases[][2] = {
        {"1 = 1", "int 1"},
        {"NULL", "null"},
        {"-9223372036854775808", "int -9223372036854775808"},
        {"CAST(9223372036854775807 AS UNSIGNED)", "int 9223372036854775807"},
        {"CAST(18446744073709551615 AS UNSIGNED)", "text 18446744073709551615"},
        {"1.5e0", "number 1.5"},
        {"CAST(0.1 AS DOUBLE)", "number 0.10000000000000001"},
        {"CAST('12.50' AS DECIMAL(10, 2))", "number 12.5"},
        {"CAST('-7' AS DECIMAL(10, 0))", "int -7"},
        {"CAST('1234567890.123456789' AS DECIMAL(30, 9))", "text 1234567890.123456789"},
        {"(SELECT sum(x) FROM (SELECT 1 AS x UNION ALL SELECT 2) s)", "int 3"},
        {"DATE '2026-11-25'", "text 2026-11-25"},
        {"TIMESTAMP '2026-11-25 01:02:03'", "text 2026-11-25 01:02:03"},
        {"TIMESTAMP '2026-11-25 01:02:03.25'", "text 2026-11-25 01:02:03.25"},
        {"TIME '01:02:03'", "text 01:02:03"},
        {"@@time_zone", "text +00:00"},
        {"@@character_set_client", "text utf8mb4"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_expression(*state, cases[i][0], cases[i][1]);
}

static void types_of_columns(void **state)
{
    struct fixture *f = *state;
    struct answer a;

    assert_string_equal(run(f,
                            "CREATE TABLE t (yes TINYINT(1), bits BIT(12), tiny TINYINT UNSIGNED, year YEAR, "
                            "single FLOAT, blob_ BLOB, text_ LONGTEXT, kind ENUM('a', 'b'), doc JSON)"),
                        "ok");
    assert_string_equal(run(f, "INSERT INTO t VALUES (TRUE, b'101', 255, 2026, 0.5, 'x', 'y', 'b', '{}')"),
                        "ok");
    assert_string_equal(run_in(f, NULL, &a, "SELECT * FROM t", NULL, 0), "ok");
    assert_int_equal(a.result.values[0].integer, 1);
    assert_int_equal(a.result.values[1].integer, 5);
    assert_int_equal(a.result.values[2].integer, 255);
    assert_int_equal(a.result.values[3].integer, 2026);
    assert_true(a.result.values[4].number == 0.5);
    assert_string_equal(a.result.values[5].text, "x");
    assert_string_equal(a.result.values[6].text, "y");
    assert_string_equal(a.result.values[7].text, "b");
    assert_string_equal(a.result.values[8].text, "{}");
    tide_sql_result_release(&a.result);
    assert_string_equal(run(f, "INSERT INTO t (tiny) VALUES (256)"), TIDE_ERR_INVALID); /* strict */
    assert_string_equal(run(f, "INSERT INTO t (kind) VALUES ('c')"), TIDE_ERR_INVALID);
}

/* ---- connections that die ---- */

static int64_t own_id(struct fixture *f, struct tide_sql_tx *tx)
{
    return number_in(f, tx, "SELECT connection_id()");
}

static void kill_connection(struct fixture *f, int64_t id)
{
    char command[64];

    snprintf(command, sizeof command, "KILL CONNECTION %lld", (long long)id);
    command_server(f, command);
}

/* The loop hears nothing of it before the next statement is sent. */
static void a_read_is_run_again_on_a_new_connection(void **state)
{
    struct fixture *f = *state;
    int64_t id = own_id(f, NULL);

    kill_connection(f, id);
    assert_int_not_equal(own_id(f, NULL), id);
}

static void a_write_is_not(void **state)
{
    struct fixture *f = *state;
    struct answer a;

    assert_string_equal(run(f, "CREATE TABLE t (i INTEGER)"), "ok");
    kill_connection(f, own_id(f, NULL));
    assert_string_equal(run_in(f, NULL, &a, "INSERT INTO t VALUES (1)", NULL, 0), TIDE_ERR_UNAVAILABLE);
    assert_true(a.err.retryable);
    assert_string_equal(run(f, "INSERT INTO t VALUES (2)"), "ok");
    assert_int_equal(number(f, "SELECT sum(i) FROM t"), 2);
}

/* Seen while nothing runs, it costs nothing. */
static void an_idle_connection_that_was_closed_is_seen(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(run(f, "CREATE TABLE t (i INTEGER)"), "ok");
    kill_connection(f, own_id(f, NULL));
    for (int i = 0; i < 50; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_string_equal(run(f, "INSERT INTO t VALUES (1)"), "ok");
}

static void a_transaction_ends_with_its_connection(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *tx;
    struct answer a;

    assert_string_equal(run(f, "CREATE TABLE t (i INTEGER)"), "ok");
    tx = begin_tx(f);
    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t VALUES (1)", NULL, 0), "ok");
    kill_connection(f, own_id(f, tx));
    assert_string_equal(run_in(f, tx, &a, "SELECT count(*) FROM t", NULL, 0), TIDE_ERR_UNAVAILABLE);
    assert_true(a.err.retryable);
    assert_string_equal(run_in(f, tx, &a, "INSERT INTO t VALUES (2)", NULL, 0), TIDE_ERR_CONFLICT);
    assert_true(a.err.retryable);
    assert_string_equal(end_tx(f, tx, true), TIDE_ERR_CONFLICT);
    assert_int_equal(number(f, "SELECT count(*) FROM t"), 0);
}

/* ---- transactions beside one another ---- */

static void of_two_in_each_others_way_one_fails(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *first, *second;
    struct answer waits = {0}, a;
    struct tide_err err;

    assert_string_equal(run(f, "CREATE TABLE t (i INTEGER PRIMARY KEY, n INTEGER)"), "ok");
    assert_string_equal(run(f, "INSERT INTO t VALUES (1, 0), (2, 0)"), "ok");
    first = begin_tx(f);
    second = begin_tx(f);
    assert_string_equal(run_in(f, first, NULL, "UPDATE t SET n = 1 WHERE i = 1", NULL, 0), "ok");
    assert_string_equal(run_in(f, second, NULL, "UPDATE t SET n = 2 WHERE i = 2", NULL, 0), "ok");
    assert_non_null(
        tide_sql_run(f->db, first, "UPDATE t SET n = 1 WHERE i = 2", NULL, 0, 0, on_answer, &waits, &err));
    (void)run_in(f, second, &a, "UPDATE t SET n = 2 WHERE i = 1", NULL, 0);
    wait_for(f, &waits.called);
    assert_true((waits.err.code != NULL) != (a.err.code != NULL)); /* one of the two */
    assert_string_equal(waits.err.code ? waits.err.code : a.err.code, TIDE_ERR_CONFLICT);
    assert_true(waits.err.code ? waits.err.retryable : a.err.retryable);
    tide_sql_result_release(&a.result);
    tide_sql_result_release(&waits.result);
    assert_string_equal(end_tx(f, first, true), waits.err.code ? TIDE_ERR_CONFLICT : "ok");
    assert_string_equal(end_tx(f, second, true), a.err.code ? TIDE_ERR_CONFLICT : "ok");
    assert_int_equal(number(f, "SELECT sum(n) FROM t"), waits.err.code ? 4 : 2);
}

static void what_would_commit_is_refused_in_a_transaction(void **state)
{
    struct fixture *f = *state;
    struct tide_sql_tx *tx;

    assert_string_equal(run(f, "CREATE TABLE t (i INTEGER)"), "ok");
    tx = begin_tx(f);
    assert_string_equal(run_in(f, tx, NULL, "INSERT INTO t VALUES (1)", NULL, 0), "ok");
    assert_string_equal(run_in(f, tx, NULL, "CREATE TABLE u (i INTEGER)", NULL, 0), TIDE_ERR_INVALID);
    assert_string_equal(run_in(f, tx, NULL, "/* x */ TRUNCATE t", NULL, 0), TIDE_ERR_INVALID);
    assert_string_equal(run_in(f, tx, NULL, "/*! COMMIT */", NULL, 0), TIDE_ERR_INVALID);
    assert_string_equal(end_tx(f, tx, false), "ok");
    assert_int_equal(number(f, "SELECT count(*) FROM t"), 0);
}

static void statements_that_change_the_connection_are_refused(void **state)
{
    static const char *const denied[] = {
        "SET autocommit = 0", "USE mysql",           "LOCK TABLES t WRITE",
        "START TRANSACTION",  "PREPARE s FROM ''",   "CALL p()",
        "XA START 'x'",       "RELEASE SAVEPOINT s", "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t"};

    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
        assert_string_equal(run(*state, denied[i]), TIDE_ERR_INVALID);
}

/* ---- limits of the pool ---- */

static void reopen(struct fixture *f, const char *parameters)
{
    char url[600];

    tide_sql_close(f->db);
    snprintf(url, sizeof url, "%s%c%s", f->url, strchr(f->url, '?') ? '&' : '?', parameters);
    open_url(f, url);
}

static void calls_wait_for_a_connection(void **state)
{
    struct fixture *f = *state;
    struct answer a[100] = {0}, late = {0};
    struct tide_sql_tx *first, *second;
    struct tide_err err;

    reopen(f, "connections=2");
    for (int i = 0; i < 100; i++)
        assert_non_null(
            tide_sql_run(f->db, NULL, "SELECT connection_id()", NULL, 0, 0, on_answer, &a[i], &err));
    for (int i = 0; i < 100; i++) {
        wait_for(f, &a[i].called);
        assert_null(a[i].err.code);
        tide_sql_result_release(&a[i].result);
    }
    first = begin_tx(f);
    second = begin_tx(f);
    assert_non_null(tide_sql_run(f->db, NULL, "SELECT 1", NULL, 0, 100, on_answer, &late, &err));
    wait_for(f, &late.called);
    assert_string_equal(late.err.code, TIDE_ERR_TIMEOUT);
    assert_string_equal(end_tx(f, first, true), "ok");
    assert_string_equal(end_tx(f, second, false), "ok");
    assert_int_equal(number(f, "SELECT 5"), 5);
}

static void too_many_calls_are_refused(void **state)
{
    static struct answer a[1101];
    struct fixture *f = *state;
    struct tide_err err = {0};
    int taken = 0;

    memset(a, 0, sizeof a);
    while (taken < 1100 && tide_sql_run(f->db, NULL, "SELECT 1", NULL, 0, 0, on_answer, &a[taken], &err))
        taken++;
    assert_in_range(taken, 1000, 1010);
    assert_string_equal(err.code, TIDE_ERR_UNAVAILABLE);
    for (int i = 0; i < taken; i++) {
        wait_for(f, &a[i].called);
        assert_null(a[i].err.code);
        tide_sql_result_release(&a[i].result);
    }
}

/* ---- who may come in ---- */

static void expect_refused(struct fixture *f, const char *url, const char *part)
{
    struct tide_sql_db *kept = f->db;
    struct answer a;
    struct tide_err err;

    open_url(f, url);
    assert_false(tide_sql_ready(f->db, &err));
    if (!strstr(err.message, part) || strstr(err.message, "wrong-password"))
        fail_msg("%s", err.message);
    assert_string_equal(run_in(f, NULL, &a, "SELECT 1", NULL, 0), TIDE_ERR_UNAVAILABLE);
    assert_non_null(strstr(a.err.message, part));
    tide_sql_close(f->db);
    f->db = kept;
}

static void wrong_logins_and_databases_are_told(void **state)
{
    struct fixture *f = *state;
    const char *host = strrchr(f->url, '@') + 1, *database = strrchr(f->url, '/') + 1;
    char url[600];

    snprintf(url, sizeof url, "mysql://nobody:wrong-password@%s", host);
    expect_refused(f, url, "Access denied");
    snprintf(url, sizeof url, "%.*sno_such_database", (int)(database - f->url), f->url);
    expect_refused(f, url, "no_such_database");
}

static void a_server_that_cannot_be_verified_gets_no_password(void **state)
{
    struct fixture *f = *state;
    char url[600];

    snprintf(url, sizeof url, "%s%cssl_mode=verify_identity", f->url, strchr(f->url, '?') ? '&' : '?');
    expect_refused(f, url, "(2026)"); /* its certificate is nobody's that the system knows */
}

/* SERVERS_CA: the authority of the servers of spec/servers, for 127.0.0.1 and localhost. */
static void tls_is_verified(void **state)
{
    struct fixture *f = *state;
    const char *ca = getenv("SERVERS_CA");
    struct answer a;
    char parameter[300];

    if (!ca)
        skip();
    snprintf(parameter, sizeof parameter, "ssl_ca=%s", ca);
    reopen(f, parameter);
    assert_string_equal(run_in(f, NULL, &a, "SHOW SESSION STATUS LIKE 'Ssl_cipher'", NULL, 0), "ok");
    assert_true(a.result.values[1].len > 0);
    tide_sql_result_release(&a.result);
    for (int i = 0; i < 20; i++) { /* more than a record of TLS, both ways */
        struct tide_sql_value in = {.type = TIDE_SQL_TEXT, .len = 300000, .text = malloc(300000)};

        memset(in.text, 'x', in.len);
        assert_string_equal(run_in(f, NULL, &a, "SELECT ? AS v", &in, 1), "ok");
        assert_int_equal(a.result.values[0].len, in.len);
        tide_sql_result_release(&a.result);
        free(in.text);
    }
}

#define ALONE(name) cmocka_unit_test_setup_teardown(name, set_up_alone, tear_down_alone)
#define T(name) cmocka_unit_test_setup_teardown(name, set_up_server, tear_down)

static int set_up_alone(void **state)
{
    new_fixture(state);
    return 0;
}

static int tear_down_alone(void **state)
{
    struct fixture *f = *state;

    loop_close(&f->loop, f->files);
    free(f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest alone[] = {
        ALONE(wrong_urls_are_named),
        ALONE(a_server_that_is_away_is_told),
        ALONE(a_server_that_is_silent_is_not_waited_for),
    };
    const struct CMUnitTest tests[] = {
        T(types),
        T(types_of_columns),
        T(a_read_is_run_again_on_a_new_connection),
        T(a_write_is_not),
        T(an_idle_connection_that_was_closed_is_seen),
        T(a_transaction_ends_with_its_connection),
        T(of_two_in_each_others_way_one_fails),
        T(what_would_commit_is_refused_in_a_transaction),
        T(statements_that_change_the_connection_are_refused),
        T(calls_wait_for_a_connection),
        T(too_many_calls_are_refused),
        T(wrong_logins_and_databases_are_told),
        T(a_server_that_cannot_be_verified_gets_no_password),
        T(tls_is_verified),
    };
    int failed = cmocka_run_group_tests_name("mysql without a server", alone, NULL, NULL);

    if (!getenv("MYSQL_URL")) {
        puts("mysql: the rest is skipped, there is no server: MYSQL_URL is not set");
        return failed;
    }
    return failed + cmocka_run_group_tests_name("mysql", tests, NULL, NULL);
}
