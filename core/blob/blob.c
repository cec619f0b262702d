#include "blob/blob.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/driver.h"
#include "blob/store.h"

#define READ_THREADS 4
#define WRITE_THREADS 4
#define MAX_PENDING 4096 /* steps in a pool's queue beyond which nothing new is begun */

static const struct tide_driver_choice drivers[] = {
    {"file", "file:DIR", &tide_blob_file_driver, NULL},
    {"mongodb", "mongodb://USER:PASSWORD@HOST/DATABASE", NULL, "blob-gridfs"},
    {"mongodb+srv", "mongodb+srv://USER:PASSWORD@HOST/DATABASE", NULL, "blob-gridfs"},
};

void tide_blob_info_release(struct tide_blob_info *info)
{
    free(info->name);
    free(info->metadata);
    info->name = info->metadata = NULL;
}

void tide_blob_list_release(struct tide_blob_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        tide_blob_info_release(&list->items[i]);
    free(list->items);
    *list = (struct tide_blob_list){0};
}

static void ignore_work(struct tide_job *job)
{
    (void)job;
}

static void free_job(struct tide_job *job)
{
    free(job);
}

/* The first job of a pool starts its threads, so that no later one can fail for want of them. */
static bool start_pools(struct tide_blob_store *store, uv_loop_t *loop, struct tide_err *err)
{
    struct tide_job *first;

    store->readers = tide_pool_new(loop, "blob-read", READ_THREADS, SIZE_MAX, err);
    if (!store->readers)
        return false;
    store->writers = tide_pool_new(loop, "blob-write", WRITE_THREADS, SIZE_MAX, err);
    if (!store->writers)
        return false;
    store->sweeper = tide_blob_sweeper_new(store, loop, err);
    if (!store->sweeper)
        return false;
    first = calloc(1, sizeof *first);
    if (!first)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
    *first = (struct tide_job){.work = ignore_work, .done = free_job};
    if (tide_pool_submit(store->readers, first, err))
        return true;
    free(first);
    return false;
}

static const struct tide_blob_driver *find_driver(const char *url, struct tide_err *err)
{
    return tide_driver_find("blob", drivers, sizeof drivers / sizeof *drivers, url, err);
}

bool tide_blob_store_check(const char *url, struct tide_err *err)
{
    const struct tide_blob_driver *driver = find_driver(url, err);

    return driver && driver->check(url, err);
}

struct tide_blob_store *tide_blob_store_open(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                             struct tide_err *err)
{
    struct tide_blob_store *store;
    const struct tide_blob_driver *driver = find_driver(url, err);

    if (!driver)
        return NULL;
    store = calloc(1, sizeof *store);
    if (!store) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        return NULL;
    }
    store->driver = driver;
    store->backend = driver->open(url, log, err);
    if (store->backend && start_pools(store, loop, err))
        return store;
    tide_blob_store_close(store);
    return NULL;
}

void tide_blob_store_close(struct tide_blob_store *store)
{
    if (!store)
        return;
    assert(store->handles == 0);
    tide_blob_sweeper_stop(store->sweeper);
    tide_pool_free(store->readers);
    tide_pool_free(store->writers);
    tide_blob_sweeper_free(store->sweeper);
    if (store->backend)
        store->driver->close(store->backend);
    free(store);
}

bool tide_blob_store_ready(struct tide_blob_store *store, struct tide_err *err)
{
    return store->driver->ready(store->backend, err);
}

bool tide_blob_store_erase(struct tide_blob_store *store, struct tide_err *err)
{
    return !store->driver->erase || store->driver->erase(store->backend, err);
}

bool tide_blob_store_admit(struct tide_blob_store *store, const char *bucket, struct tide_err *err)
{
    size_t len = strspn(bucket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    if (len == 0 || len > TIDE_BLOB_BUCKET_MAX || bucket[len])
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "blob: '%.40s' is no bucket name (1 to 32 letters, digits, _ and -)", bucket);
    if (tide_pool_pending(store->readers) >= MAX_PENDING || tide_pool_pending(store->writers) >= MAX_PENDING)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: %d calls are waiting already",
                            MAX_PENDING);
    return true;
}

void tide_blob_store_run(struct tide_pool *pool, struct tide_job *job)
{
    bool taken = tide_pool_submit(pool, job, NULL);

    assert(taken);
    (void)taken;
}
