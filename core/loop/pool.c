#include "loop/pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_SIZE (512 * 1024)
#define DONE_BATCH 64 /* callbacks in one turn of the loop */

struct job_list {
    struct tide_job *first, *last;
};

struct tide_pool {
    uv_async_t async;
    size_t pending, max_queued;
    unsigned threads, started;
    bool closing;
    char name[16];

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t work_ready, done_ready;
    struct job_list waiting, finished;
    size_t queued;
    bool stop;

    pthread_t thread[];
};

static void list_push(struct job_list *list, struct tide_job *job)
{
    job->next = NULL;
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
}

static struct tide_job *list_pop(struct job_list *list)
{
    struct tide_job *job = list->first;

    if (!job)
        return NULL;
    list->first = job->next;
    if (!list->first)
        list->last = NULL;
    job->next = NULL;
    return job;
}

static void *thread_main(void *arg)
{
    struct tide_pool *pool = arg;

    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct tide_job *job = list_pop(&pool->waiting);
        if (!job) {
            if (pool->stop)
                break;
            pthread_cond_wait(&pool->work_ready, &pool->lock);
            continue;
        }
        pool->queued--;
        pthread_mutex_unlock(&pool->lock);
        job->work(job);
        pthread_mutex_lock(&pool->lock);
        list_push(&pool->finished, job);
        pthread_cond_signal(&pool->done_ready);
        /* Under the lock: after it, tide_pool_free may have closed the handle. */
        uv_async_send(&pool->async);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Takes a finished job and calls it; false when there is none. */
static bool finish_one(struct tide_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct tide_job *job = list_pop(&pool->finished);
    pthread_mutex_unlock(&pool->lock);
    if (!job)
        return false;

    if (--pool->pending == 0 && !pool->closing)
        uv_unref((uv_handle_t *)&pool->async);
    job->done(job);
    return true;
}

static void on_async(uv_async_t *async)
{
    struct tide_pool *pool = async->data;

    for (int i = 0; i < DONE_BATCH; i++)
        if (!finish_one(pool))
            return;
    /* A job that submits itself again must not keep the loop from its other work. */
    if (!pool->closing)
        uv_async_send(&pool->async);
}

struct tide_pool *tide_pool_new(uv_loop_t *loop, const char *name, unsigned threads, size_t max_queued,
                                struct tide_err *err)
{
    assert(threads > 0 && max_queued > 0);
    struct tide_pool *pool = calloc(1, sizeof *pool + threads * sizeof(pthread_t));
    if (!pool) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "pool %s: out of memory", name);
        return NULL;
    }
    int rc = uv_async_init(loop, &pool->async, on_async);
    if (rc) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "pool %s: %s", name, uv_strerror(rc));
        free(pool);
        return NULL;
    }
    pool->async.data = pool;
    uv_unref((uv_handle_t *)&pool->async);
    pool->threads = threads;
    pool->max_queued = max_queued;
    snprintf(pool->name, sizeof pool->name, "%.15s", name);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work_ready, NULL);
    pthread_cond_init(&pool->done_ready, NULL);
    return pool;
}

/* Starts what threads it can; one is enough to go on. */
static bool start_threads(struct tide_pool *pool, struct tide_err *err)
{
    pthread_attr_t attr;
    sigset_t all, before;
    int rc = 0;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all); /* a thread inherits it: signals belong to the loop */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->started < pool->threads && rc == 0) {
        rc = pthread_create(&pool->thread[pool->started], &attr, thread_main, pool);
        if (rc == 0)
            pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (pool->started > 0)
        return true;
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "pool %s: no thread: %s", pool->name, strerror(rc));
}

bool tide_pool_submit(struct tide_pool *pool, struct tide_job *job, struct tide_err *err)
{
    if (pool->started < pool->threads && !start_threads(pool, err))
        return false;

    pthread_mutex_lock(&pool->lock);
    bool full = pool->queued >= pool->max_queued;
    if (!full) {
        list_push(&pool->waiting, job);
        pool->queued++;
        pthread_cond_signal(&pool->work_ready);
    }
    pthread_mutex_unlock(&pool->lock);
    if (full)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "pool %s: %zu calls are waiting already",
                            pool->name, pool->max_queued);

    if (pool->pending++ == 0)
        uv_ref((uv_handle_t *)&pool->async);
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    struct tide_pool *pool = handle->data;

    pthread_cond_destroy(&pool->work_ready);
    pthread_cond_destroy(&pool->done_ready);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void tide_pool_free(struct tide_pool *pool)
{
    if (!pool)
        return;
    assert(!pool->closing);
    /* A done callback may submit what it needs to clean up, so this goes on until nothing is left. */
    while (pool->pending > 0) {
        pthread_mutex_lock(&pool->lock);
        while (!pool->finished.first)
            pthread_cond_wait(&pool->done_ready, &pool->lock);
        pthread_mutex_unlock(&pool->lock);
        finish_one(pool);
    }
    pool->closing = true;

    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work_ready);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->started; i++)
        pthread_join(pool->thread[i], NULL);
    uv_close((uv_handle_t *)&pool->async, on_closed);
}

size_t tide_pool_pending(const struct tide_pool *pool)
{
    return pool->pending;
}
