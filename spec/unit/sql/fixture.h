/* A loop and a database in a temporary directory, and calls that wait: what the tests of sql share. */
#ifndef SPEC_UNIT_SQL_FIXTURE_H
#define SPEC_UNIT_SQL_FIXTURE_H

#include "loop.h"

#include "base/clock.h"
#include "sql/sql.h"

struct fixture {
    uv_loop_t loop;
    int files;
    struct tide_sql_db *db;
    char dir[64], path[128], url[160];
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

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    strcpy(f->dir, "/tmp/tide-sql-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/t.db", f->dir);
    snprintf(f->url, sizeof f->url, "sqlite:%s", f->path);
    f->files = loop_open(&f->loop);
    open_db(f);
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];

    tide_sql_close(f->db);
    loop_close(&f->loop, f->files);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
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
