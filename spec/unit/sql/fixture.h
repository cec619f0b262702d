/*
 * A loop, a new database, and calls that wait: what the tests of sql share. The database is a file in a
 * temporary directory; on the server of MYSQL_URL, whose user may make databases, it is one of that server.
 */
#ifndef SPEC_UNIT_SQL_FIXTURE_H
#define SPEC_UNIT_SQL_FIXTURE_H

#include "loop.h"

#include "base/clock.h"
#include "sql/sql.h"

struct fixture {
    uv_loop_t loop;
    int files;
    struct tide_sql_db *db;
    char dir[64], path[128], url[512];
    const char *server; /* NULL: SQLite */
    char database[64];  /* on the server */
    const char *key;    /* the type of a primary key that numbers the rows */
};

struct answer {
    bool called;
    struct tide_err err;
    struct tide_sql_result result; /* moved out */
};

static inline void open_db(struct fixture *f)
{
    struct tide_err err;

    f->db = tide_sql_open(&f->loop, NULL, f->url, &err);
    if (!f->db)
        fail_msg("%s", err.message);
}

static inline struct fixture *new_fixture(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->files = loop_open(&f->loop);
    *state = f;
    return f;
}

static inline int set_up(void **state)
{
    struct fixture *f = new_fixture(state);

    f->key = "INTEGER PRIMARY KEY";
    strcpy(f->dir, "/tmp/tide-sql-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/t.db", f->dir);
    snprintf(f->url, sizeof f->url, "sqlite:%s", f->path);
    open_db(f);
    return 0;
}

/* On a connection of its own, to the database that MYSQL_URL names. */
static inline void command_server(struct fixture *f, const char *statement)
{
    struct tide_sql_result result;
    struct tide_err err;
    struct tide_sql_db *db = tide_sql_open(&f->loop, NULL, f->server, &err);

    if (!db || !tide_sql_run_sync(db, statement, NULL, 0, &result, &err))
        fail_msg("%s: %s", statement, err.message);
    tide_sql_result_release(&result);
    tide_sql_close(db);
}

static inline int set_up_server(void **state)
{
    struct fixture *f = new_fixture(state);
    char command[128];
    const char *name;

    f->server = getenv("MYSQL_URL");
    f->key = "INTEGER AUTO_INCREMENT PRIMARY KEY";
    snprintf(f->database, sizeof f->database, "tide_test_%d", (int)getpid());
    snprintf(command, sizeof command, "CREATE DATABASE %s", f->database);
    command_server(f, command);
    name = strrchr(f->server, '/') + 1;
    snprintf(f->url, sizeof f->url, "%.*s%s%s", (int)(name - f->server), f->server, f->database,
             name + strcspn(name, "?"));
    open_db(f);
    return 0;
}

static inline void remove_database(struct fixture *f)
{
    char command[128];

    if (f->server) {
        snprintf(command, sizeof command, "DROP DATABASE %s", f->database);
        command_server(f, command);
        return;
    }
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;

    tide_sql_close(f->db);
    remove_database(f);
    loop_close(&f->loop, f->files);
    free(f);
    return 0;
}

static inline void on_answer(void *arg, struct tide_sql_result *result, const struct tide_err *err)
{
    struct answer *answer = arg;

    assert_false(answer->called);
    answer->called = true;
    if (err) {
        assert_null(result);
        answer->err = *err;
    } else {
        answer->result = *result;
        *result = (struct tide_sql_result){0};
    }
}

static inline void wait_for(struct fixture *f, const bool *flag)
{
    int64_t deadline = tide_clock_monotonic_ms() + 20000;

    while (!*flag && tide_clock_monotonic_ms() < deadline)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_true(*flag);
}

static inline struct tide_sql_value text(const char *value)
{
    return (struct tide_sql_value){.type = TIDE_SQL_TEXT, .text = (char *)value, .len = strlen(value)};
}

static inline struct tide_sql_value integer(int64_t value)
{
    return (struct tide_sql_value){.type = TIDE_SQL_INT, .integer = value};
}

/* Runs and waits; the code of the error, or "ok". `answer` NULL: the result is dropped. */
static inline const char *run_in(struct fixture *f, struct tide_sql_tx *tx, struct answer *answer,
                                 const char *statement, const struct tide_sql_value *params, size_t count)
{
    struct answer own = {0}, *to = answer ? answer : &own;
    struct tide_err err;

    *to = (struct answer){0};
    if (!tide_sql_run(f->db, tx, statement, params, count, 0, on_answer, to, &err))
        fail_msg("%s", err.message);
    assert_false(to->called); /* never inside the call */
    wait_for(f, &to->called);
    if (!answer)
        tide_sql_result_release(&own.result);
    return to->err.code ? to->err.code : "ok";
}

static inline const char *run(struct fixture *f, const char *statement)
{
    return run_in(f, NULL, NULL, statement, NULL, 0);
}

/* The first value of the first row as an integer; -1 when there is none. */
static inline int64_t number_in(struct fixture *f, struct tide_sql_tx *tx, const char *statement)
{
    struct answer answer;
    int64_t value = -1;

    assert_string_equal(run_in(f, tx, &answer, statement, NULL, 0), "ok");
    if (answer.result.rows)
        value = answer.result.values[0].integer;
    tide_sql_result_release(&answer.result);
    return value;
}

static inline int64_t number(struct fixture *f, const char *statement)
{
    return number_in(f, NULL, statement);
}

struct begun {
    bool called;
    struct tide_sql_tx *tx;
    struct tide_err err;
};

static inline void on_begun(void *arg, struct tide_sql_tx *tx, const struct tide_err *err)
{
    struct begun *begun = arg;

    begun->called = true;
    begun->tx = tx;
    if (err)
        begun->err = *err;
}

static inline struct tide_sql_tx *begin_tx(struct fixture *f)
{
    struct begun begun = {0};
    struct tide_err err;

    assert_non_null(tide_sql_begin(f->db, on_begun, &begun, &err));
    assert_false(begun.called);
    wait_for(f, &begun.called);
    if (!begun.tx)
        fail_msg("%s", begun.err.message);
    return begun.tx;
}

static inline const char *end_tx(struct fixture *f, struct tide_sql_tx *tx, bool commit)
{
    static struct answer answer; /* its error's code is static anyway */
    struct tide_err err;

    answer = (struct answer){0};
    assert_non_null(tide_sql_end(tx, commit, on_answer, &answer, &err));
    assert_false(answer.called);
    wait_for(f, &answer.called);
    return answer.err.code ? answer.err.code : "ok";
}

#endif
