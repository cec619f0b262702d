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

struct worker {
    pthread_t thread;
    struct tide_pool *pool;
    pthread_cond_t wake;
    struct worker *next; /* in pool->asleep, until it is woken */
    bool woken;
};

struct tide_pool {
    uv_async_t async;
    size_t pending, max_queued;
    unsigned threads, started;
    bool closing;
    char name[16];

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t done_ready;
    struct job_list waiting, finished;
    struct worker *asleep; /* who fell asleep last comes first: its caches are the warmest */
    size_t queued;
    unsigned busy; /* threads */
    bool stop;

    struct worker workers[]; /* started, in this order */
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

/* ---- threads ---- */

static void fall_asleep(struct worker *self)
{
    self->woken = false;
    self->next = self->pool->asleep;
    self->pool->asleep = self;
    while (!self->woken)
        pthread_cond_wait(&self->wake, &self->pool->lock);
}

/* False when none sleeps. */
static bool wake_one(struct tide_pool *pool)
{
    struct worker *worker = pool->asleep;

    if (!worker)
        return false;
    pool->asleep = worker->next;
    worker->woken = true;
    pthread_cond_signal(&worker->wake);
    return true;
}

static void *thread_main(void *arg)
{
    struct worker *self = arg;
    struct tide_pool *pool = self->pool;

    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct tide_job *job = list_pop(&pool->waiting);
        if (!job) {
            if (pool->stop)
                break;
            fall_asleep(self);
            continue;
        }
        pool->queued--;
        pool->busy++;
        pthread_mutex_unlock(&pool->lock);
        job->work(job);
        pthread_mutex_lock(&pool->lock);
        pool->busy--;
        list_push(&pool->finished, job);
        pthread_cond_signal(&pool->done_ready);
        /* Under the lock: after it, tide_pool_free may have closed the handle. */
        uv_async_send(&pool->async);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* ---- the loop's side ---- */

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
    struct tide_pool *pool = calloc(1, sizeof *pool + threads * sizeof(struct worker));
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
    pthread_cond_init(&pool->done_ready, NULL);
    return pool;
}

static bool start_thread(struct tide_pool *pool, struct tide_err *err)
{
    struct worker *worker = &pool->workers[pool->started];
    pthread_attr_t attr;
    sigset_t all, before;
    int rc;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all); /* a thread inherits it: signals belong to the loop */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    *worker = (struct worker){.pool = pool, .wake = PTHREAD_COND_INITIALIZER};
    rc = pthread_create(&worker->thread, &attr, thread_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc != 0)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "pool %s: no thread: %s", pool->name,
                            strerror(rc));
    pool->started++;
    return true;
}

bool tide_pool_submit(struct tide_pool *pool, struct tide_job *job, struct tide_err *err)
{
    if (pool->started == 0 && !start_thread(pool, err))
        return false;

    pthread_mutex_lock(&pool->lock);
    bool full = pool->queued >= pool->max_queued;
    if (!full) {
        list_push(&pool->waiting, job);
        pool->queued++;
        wake_one(pool);
    }
    bool all_busy = pool->queued > pool->started - pool->busy;
    pthread_mutex_unlock(&pool->lock);
    if (full)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "pool %s: %zu calls are waiting already",
                            pool->name, pool->max_queued);

    if (all_busy && pool->started < pool->threads)
        (void)start_thread(pool, &(struct tide_err){0}); /* without it the job waits a little longer */
    if (pool->pending++ == 0)
        uv_ref((uv_handle_t *)&pool->async);
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    struct tide_pool *pool = handle->data;

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
    while (wake_one(pool))
        ;
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->started; i++) {
        pthread_join(pool->workers[i].thread, NULL);
        pthread_cond_destroy(&pool->workers[i].wake);
    }
    uv_close((uv_handle_t *)&pool->async, on_closed);
}

size_t tide_pool_pending(const struct tide_pool *pool)
{
    return pool->pending;
}
