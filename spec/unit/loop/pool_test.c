#include "loop.h"

#include <pthread.h>
#include <signal.h>

#include "loop/pool.h"

#define JOBS 500

struct probe {
    struct tide_job job;
    struct tide_pool *pool;
    pthread_t worker;
    uv_sem_t *gate; /* work waits for it */
    bool signals_blocked;
    char name[16];
    int worked, finished, again;
    int *order, index, *seen;
};

static uv_loop_t loop;
static int files_before;

static int setup(void **state)
{
    (void)state;
    files_before = loop_open(&loop);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_close(&loop, files_before);
    return 0;
}

static void probe_work(struct tide_job *job)
{
    struct probe *p = (struct probe *)job;
    sigset_t set;

    if (p->gate)
        uv_sem_wait(p->gate);
    p->worker = pthread_self();
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    p->signals_blocked = sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGCHLD) == 1;
    pthread_getname_np(pthread_self(), p->name, sizeof p->name);
    p->worked++;
}

static void probe_done(struct tide_job *job)
{
    struct probe *p = (struct probe *)job;

    p->finished++;
    if (p->order)
        p->order[(*p->seen)++] = p->index;
    if (p->again > 0) {
        p->again--;
        assert_true(tide_pool_submit(p->pool, job, NULL));
    }
}

static struct tide_pool *new_pool(unsigned threads, size_t max_queued)
{
    struct tide_err err = {0};
    struct tide_pool *pool = tide_pool_new(&loop, "test-pool", threads, max_queued, &err);

    assert_non_null(pool);
    return pool;
}

static void works_on_another_thread_and_finishes_here(void **state)
{
    struct tide_pool *pool = new_pool(2, 10);
    struct probe p = {.job = {.work = probe_work, .done = probe_done}};

    (void)state;
    assert_int_equal(tide_pool_pending(pool), 0);
    assert_true(tide_pool_submit(pool, &p.job, NULL));
    assert_int_equal(tide_pool_pending(pool), 1);
    assert_int_equal(p.finished, 0);
    uv_run(&loop, UV_RUN_DEFAULT); /* returns: an idle pool does not keep a loop alive */
    assert_int_equal(p.worked, 1);
    assert_int_equal(p.finished, 1);
    assert_false(pthread_equal(p.worker, pthread_self()));
    assert_true(p.signals_blocked);
    assert_string_equal(p.name, "test-pool");
    assert_int_equal(tide_pool_pending(pool), 0);
    tide_pool_free(pool);
}

static void one_thread_keeps_the_order(void **state)
{
    static struct probe p[JOBS];
    static int order[JOBS];
    struct tide_pool *pool = new_pool(1, JOBS);
    int seen = 0;

    (void)state;
    for (int i = 0; i < JOBS; i++) {
        p[i] = (struct probe){
            .job = {.work = probe_work, .done = probe_done}, .order = order, .index = i, .seen = &seen};
        assert_true(tide_pool_submit(pool, &p[i].job, NULL));
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(seen, JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(order[i], i);
    tide_pool_free(pool);
}

static void refuses_over_its_bound_without_a_callback(void **state)
{
    struct tide_pool *pool = new_pool(1, 2);
    struct probe p[4];
    struct tide_err err = {0};
    uv_sem_t gate;
    int taken = 0;

    (void)state;
    uv_sem_init(&gate, 0);
    for (int i = 0; i < 4; i++) {
        p[i] = (struct probe){.job = {.work = probe_work, .done = probe_done}, .gate = &gate};
        taken += tide_pool_submit(pool, &p[i].job, &err);
    }
    /* Two wait; a third is taken only when the thread has picked up the first by then. */
    assert_in_range(taken, 2, 3);
    assert_string_equal(err.code, TIDE_ERR_UNAVAILABLE);
    assert_true(err.retryable);
    assert_int_equal(tide_pool_pending(pool), taken);
    for (int i = 0; i < taken; i++)
        uv_sem_post(&gate);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(p[0].finished + p[1].finished + p[2].finished + p[3].finished, taken);
    assert_int_equal(p[3].finished, 0);
    tide_pool_free(pool);
    uv_sem_destroy(&gate);
}

static void a_done_callback_may_submit_again(void **state)
{
    struct tide_pool *pool = new_pool(2, 2);
    struct probe p = {.job = {.work = probe_work, .done = probe_done}, .pool = pool, .again = 1000};

    (void)state;
    assert_true(tide_pool_submit(pool, &p.job, NULL));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(p.worked, 1001);
    assert_int_equal(p.finished, 1001);
    tide_pool_free(pool);
}

static void free_finishes_every_job_taken(void **state)
{
    static struct probe p[100];
    struct tide_pool *pool = new_pool(3, 100);

    (void)state;
    for (int i = 0; i < 100; i++) {
        p[i] = (struct probe){.job = {.work = probe_work, .done = probe_done}, .pool = pool};
        p[i].again = i == 50;
        assert_true(tide_pool_submit(pool, &p[i].job, NULL));
    }
    tide_pool_free(pool);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(p[i].worked, i == 50 ? 2 : 1);
        assert_int_equal(p[i].finished, i == 50 ? 2 : 1);
    }
}

static void free_closer(struct tide_job *job)
{
    struct probe *p = (struct probe *)job;

    p->finished++;
    tide_pool_free(p->pool);
}

static void may_be_freed_by_a_done_callback(void **state)
{
    struct tide_pool *pool = new_pool(2, 10);
    struct probe first = {.job = {.work = probe_work, .done = free_closer}, .pool = pool};
    struct probe second = {.job = {.work = probe_work, .done = probe_done}};

    (void)state;
    assert_true(tide_pool_submit(pool, &first.job, NULL));
    assert_true(tide_pool_submit(pool, &second.job, NULL));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(first.finished, 1);
    assert_int_equal(second.finished, 1);
}

static void free_without_any_job(void **state)
{
    (void)state;
    tide_pool_free(new_pool(4, 4));
    tide_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(works_on_another_thread_and_finishes_here, setup, teardown),
        cmocka_unit_test_setup_teardown(one_thread_keeps_the_order, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_over_its_bound_without_a_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(a_done_callback_may_submit_again, setup, teardown),
        cmocka_unit_test_setup_teardown(free_finishes_every_job_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(may_be_freed_by_a_done_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(free_without_any_job, setup, teardown),
    };
    return cmocka_run_group_tests_name("loop/pool", tests, NULL, NULL);
}
