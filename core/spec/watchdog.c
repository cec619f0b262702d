#include "spec/watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct tide_watchdog {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t timeout_ms;
    char log[128];
    char name[256], place[256];
    struct timespec end; /* CLOCK_MONOTONIC */
    bool stopping;
};

static void set_end(struct tide_watchdog *watchdog)
{
    int64_t ns;

    clock_gettime(CLOCK_MONOTONIC, &watchdog->end);
    ns = watchdog->end.tv_nsec + watchdog->timeout_ms % 1000 * 1000000;
    watchdog->end.tv_sec += watchdog->timeout_ms / 1000 + ns / 1000000000;
    watchdog->end.tv_nsec = ns % 1000000000;
}

static bool is_past(const struct timespec *end)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec);
}

/* The other thread may hold the lock of stdout, so not by stdio. */
static void bite(const struct tide_watchdog *watchdog)
{
    dprintf(
        STDOUT_FILENO,
        "not ok - %s\n# %s: did not end within %.6g s; what the bundles logged is in %s\nBail out! a test "
        "hangs\n",
        watchdog->name, watchdog->place, (double)watchdog->timeout_ms / 1000, watchdog->log);
    _exit(1);
}

static void *watch(void *arg)
{
    struct tide_watchdog *watchdog = arg;

    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->stopping) {
        int rc = pthread_cond_timedwait(&watchdog->changed, &watchdog->lock, &watchdog->end);

        if (rc == ETIMEDOUT && !watchdog->stopping && is_past(&watchdog->end))
            bite(watchdog);
    }
    pthread_mutex_unlock(&watchdog->lock);
    return NULL;
}

static void init_lock(struct tide_watchdog *watchdog)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&watchdog->lock, NULL);
}

static void release(struct tide_watchdog *watchdog)
{
    pthread_cond_destroy(&watchdog->changed);
    pthread_mutex_destroy(&watchdog->lock);
    free(watchdog);
}

struct tide_watchdog *tide_watchdog_start(int64_t timeout_ms, const char *log, struct tide_err *err)
{
    struct tide_watchdog *watchdog = calloc(1, sizeof *watchdog);
    int failure;

    if (!watchdog)
        abort(); /* 1 KiB: nothing sensible can be done without them */
    watchdog->timeout_ms = timeout_ms;
    snprintf(watchdog->log, sizeof watchdog->log, "%s", log);
    init_lock(watchdog);
    set_end(watchdog);
    failure = pthread_create(&watchdog->thread, NULL, watch, watchdog);
    if (failure == 0)
        return watchdog;
    tide_err_errno(err, failure, "watchdog");
    release(watchdog);
    return NULL;
}

void tide_watchdog_watch(struct tide_watchdog *watchdog, const char *name, const char *place)
{
    pthread_mutex_lock(&watchdog->lock);
    snprintf(watchdog->name, sizeof watchdog->name, "%s", name);
    snprintf(watchdog->place, sizeof watchdog->place, "%s", place);
    set_end(watchdog);
    pthread_cond_signal(&watchdog->changed);
    pthread_mutex_unlock(&watchdog->lock);
}

void tide_watchdog_stop(struct tide_watchdog *watchdog)
{
    if (!watchdog)
        return;
    pthread_mutex_lock(&watchdog->lock);
    watchdog->stopping = true;
    pthread_cond_signal(&watchdog->changed);
    pthread_mutex_unlock(&watchdog->lock);
    pthread_join(watchdog->thread, NULL);
    release(watchdog);
}
