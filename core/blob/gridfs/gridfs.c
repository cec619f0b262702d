#include "blob/gridfs/gridfs.h"
#include "base/url.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/driver.h"

/* See start_library. */
#define ARENAS 2
#define KEPT (8 * 1024 * 1024)  /* bytes of an arena */
#define LARGE (4 * 1024 * 1024) /* bytes beyond which malloc asks the kernel each time */

bson_oid_t tide_gridfs_oid(const struct tide_id *id)
{
    bson_oid_t oid;

    bson_oid_init_from_string(&oid, id->hex);
    return oid;
}

struct tide_id tide_gridfs_id(const bson_oid_t *oid)
{
    struct tide_id id;

    bson_oid_to_string(oid, id.hex);
    return id;
}

static void start_library(void)
{
    mongoc_init();
    /* libmongoc takes and frees megabytes for every batch of chunks. malloc would give them back to the
     * kernel, and get them again as pages to be cleared, which costs more than all copies; so it keeps them,
     * in each arena: by itself it would have one for every thread of the store. */
    mallopt(M_ARENA_MAX, ARENAS);
    mallopt(M_TRIM_THRESHOLD, KEPT);
    mallopt(M_MMAP_THRESHOLD, LARGE);
    /* It would write to the standard error; what matters is in the errors. */
    mongoc_log_set_handler(NULL, NULL);
}

__attribute__((destructor)) static void stop_library(void)
{
    mongoc_cleanup();
}

static void gridfs_close(struct tide_blob_backend *backend)
{
    struct tide_gridfs *gridfs = (struct tide_gridfs *)backend;

    if (gridfs->clients)
        mongoc_client_pool_destroy(gridfs->clients);
    if (gridfs->uri)
        mongoc_uri_destroy(gridfs->uri);
    free(gridfs->shown);
    free(gridfs->prepared);
    pthread_mutex_destroy(&gridfs->lock);
    free(gridfs);
}

static struct tide_blob_backend *gridfs_open(const char *url, const struct tide_log *log,
                                             struct tide_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct tide_gridfs *gridfs = calloc(1, sizeof *gridfs);

    if (!gridfs) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
        return NULL;
    }
    pthread_once(&once, start_library);
    pthread_mutex_init(&gridfs->lock, NULL);
    gridfs->log = log;
    gridfs->uri = tide_gridfs_url_parse(url, err);
    if (gridfs->uri) {
        gridfs->database = mongoc_uri_get_database(gridfs->uri);
        gridfs->shown = tide_url_show(url);
        if (gridfs->shown)
            return (struct tide_blob_backend *)gridfs;
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "blob: out of memory");
    }
    gridfs_close((struct tide_blob_backend *)gridfs);
    return NULL;
}

/* What is opened reaches nothing yet. */
static bool gridfs_check(const char *url, struct tide_err *err)
{
    struct tide_blob_backend *backend = gridfs_open(url, NULL, err);

    if (backend)
        gridfs_close(backend);
    return backend != NULL;
}

/* Not at the start: the names of mongodb+srv: are looked up here, and the server may be down yet. */
static mongoc_client_pool_t *clients_of(struct tide_gridfs *gridfs, struct tide_err *err)
{
    bson_error_t error;

    pthread_mutex_lock(&gridfs->lock);
    if (!gridfs->clients) {
        gridfs->clients = mongoc_client_pool_new_with_error(gridfs->uri, &error);
        if (gridfs->clients)
            mongoc_client_pool_set_error_api(gridfs->clients, MONGOC_ERROR_API_VERSION_2);
        else
            tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "gridfs: %s: %s", gridfs->shown, error.message);
    }
    pthread_mutex_unlock(&gridfs->lock);
    return gridfs->clients;
}

static mongoc_client_t *borrow(struct tide_gridfs *gridfs, struct tide_err *err)
{
    mongoc_client_pool_t *clients = clients_of(gridfs, err);
    mongoc_client_t *client = clients ? mongoc_client_pool_pop(clients) : NULL;

    if (clients && !client)
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true,
                     "gridfs: no connection came free (maxPoolSize and waitQueueTimeoutMS in the URL)");
    return client;
}

bool tide_gridfs_enter(struct tide_gridfs_bucket *bucket, struct tide_gridfs *gridfs, const char *name,
                       struct tide_err *err)
{
    char collection[TIDE_BLOB_BUCKET_MAX + 8];

    bucket->gridfs = gridfs;
    bucket->name = name;
    bucket->client = borrow(gridfs, err);
    if (!bucket->client)
        return false;
    snprintf(collection, sizeof collection, "%s.files", name);
    bucket->files = mongoc_client_get_collection(bucket->client, gridfs->database, collection);
    snprintf(collection, sizeof collection, "%s.chunks", name);
    bucket->chunks = mongoc_client_get_collection(bucket->client, gridfs->database, collection);
    return true;
}

void tide_gridfs_leave(struct tide_gridfs_bucket *bucket)
{
    mongoc_collection_destroy(bucket->files);
    mongoc_collection_destroy(bucket->chunks);
    mongoc_client_pool_push(bucket->gridfs->clients, bucket->client);
}

static bool command(struct tide_gridfs *gridfs, const char *name, struct tide_err *err)
{
    mongoc_client_t *client = borrow(gridfs, err);
    bson_t *command = BCON_NEW(name, BCON_INT32(1));
    bson_error_t error;
    bool ok = false;

    if (client) {
        ok = mongoc_client_command_simple(client, gridfs->database, command, NULL, NULL, &error) ||
             tide_gridfs_fail(gridfs, err, name, &error);
        mongoc_client_pool_push(gridfs->clients, client);
    }
    bson_destroy(command);
    return ok;
}

static bool gridfs_ready(struct tide_blob_backend *backend, struct tide_err *err)
{
    return command((struct tide_gridfs *)backend, "ping", err);
}

static bool gridfs_erase(struct tide_blob_backend *backend, struct tide_err *err)
{
    return command((struct tide_gridfs *)backend, "dropDatabase", err);
}

/* ---- indexes ---- */

/* Takes the index over. Each in a command of its own: FerretDB 1 ends the connection when two of a command
 * are there already. */
static bool create_index(struct tide_gridfs_bucket *bucket, mongoc_collection_t *collection, bson_t *index,
                         struct tide_err *err)
{
    bson_t *command = BCON_NEW("createIndexes", BCON_UTF8(mongoc_collection_get_name(collection)), "indexes",
                               "[", BCON_DOCUMENT(index), "]");
    bson_error_t error;
    bool ok = mongoc_client_write_command_with_opts(bucket->client, bucket->gridfs->database, command, NULL,
                                                    NULL, &error) ||
              tide_gridfs_fail(bucket->gridfs, err, "the indexes", &error);

    bson_destroy(command);
    bson_destroy(index);
    return ok;
}

/* What tide_blob_find looks for: files by one of their metadata, newest first. */
static bson_t *newest_by(const char *name, const char *key)
{
    return BCON_NEW("name", BCON_UTF8(name), "key", "{", key, BCON_INT32(1), "uploadDate", BCON_INT32(-1),
                    "_id", BCON_INT32(-1), "}");
}

/* The first two with names and keys as every GridFS client makes them. */
static bool make_indexes(struct tide_gridfs_bucket *bucket, struct tide_err *err)
{
    return create_index(bucket, bucket->chunks,
                        BCON_NEW("name", "files_id_1_n_1", "unique", BCON_BOOL(true), "key", "{", "files_id",
                                 BCON_INT32(1), "n", BCON_INT32(1), "}"),
                        err) &&
           create_index(bucket, bucket->files,
                        BCON_NEW("name", "filename_1_uploadDate_1", "key", "{", "filename", BCON_INT32(1),
                                 "uploadDate", BCON_INT32(1), "}"),
                        err) &&
           create_index(bucket, bucket->files,
                        BCON_NEW("name", "uploadDate_-1__id_-1", "key", "{", "uploadDate", BCON_INT32(-1),
                                 "_id", BCON_INT32(-1), "}"),
                        err) &&
           create_index(bucket, bucket->files,
                        newest_by("metadata.owner_1_uploadDate_-1__id_-1", "metadata.owner"), err) &&
           create_index(bucket, bucket->files,
                        newest_by("metadata.state_1_uploadDate_-1__id_-1", "metadata.state"), err);
}

/* Tells the sweep of all processes that there is such a bucket. */
static bool enter_register(struct tide_gridfs_bucket *bucket, struct tide_err *err)
{
    mongoc_collection_t *all =
        mongoc_client_get_collection(bucket->client, bucket->gridfs->database, TIDE_GRIDFS_REGISTER);
    bson_t *which = BCON_NEW("_id", BCON_UTF8(bucket->name));
    bson_t *what = BCON_NEW("$setOnInsert", "{", "swept", BCON_DATE_TIME(tide_clock_now_ms()), "}");
    bson_t *opts = BCON_NEW("upsert", BCON_BOOL(true));
    bson_error_t error;
    bool ok = mongoc_collection_update_one(all, which, what, opts, NULL, &error) ||
              tide_gridfs_is_duplicate(&error) ||
              tide_gridfs_fail(bucket->gridfs, err, "the register of buckets", &error);

    mongoc_collection_destroy(all);
    bson_destroy(which);
    bson_destroy(what);
    bson_destroy(opts);
    return ok;
}

static bool is_prepared(struct tide_gridfs *gridfs, const char *name)
{
    bool found = false;

    pthread_mutex_lock(&gridfs->lock);
    for (size_t i = 0; i < gridfs->prepared_count && !found; i++)
        found = strcmp(gridfs->prepared[i], name) == 0;
    pthread_mutex_unlock(&gridfs->lock);
    return found;
}

static void note_prepared(struct tide_gridfs *gridfs, const char *name)
{
    void *more;

    pthread_mutex_lock(&gridfs->lock);
    more = realloc(gridfs->prepared, sizeof *gridfs->prepared * (gridfs->prepared_count + 1));
    if (more) {
        gridfs->prepared = more;
        snprintf(gridfs->prepared[gridfs->prepared_count++], sizeof *gridfs->prepared, "%s", name);
    }
    pthread_mutex_unlock(&gridfs->lock);
}

bool tide_gridfs_prepare(struct tide_gridfs_bucket *bucket, struct tide_err *err)
{
    if (is_prepared(bucket->gridfs, bucket->name))
        return true;
    if (!make_indexes(bucket, err) || !enter_register(bucket, err))
        return false;
    note_prepared(bucket->gridfs, bucket->name);
    return true;
}

TIDE_MODULE_EXPORT const struct tide_blob_driver TIDE_MODULE_DRIVER = {
    .layout = TIDE_GRIDFS_LAYOUT,
    .fetch_size = TIDE_GRIDFS_FETCH,
    .check = gridfs_check,
    .open = gridfs_open,
    .close = gridfs_close,
    .ready = gridfs_ready,
    .erase = gridfs_erase,
    .sweep = tide_gridfs_sweep,
    .create = tide_gridfs_create,
    .append = tide_gridfs_append,
    .patch = tide_gridfs_patch,
    .commit = tide_gridfs_commit,
    .drop = tide_gridfs_drop,
    .open_input = tide_gridfs_open_input,
    .fetch = tide_gridfs_fetch,
    .release_block = tide_gridfs_release_block,
    .close_input = tide_gridfs_close_input,
    .find = tide_gridfs_find,
    .annotate = tide_gridfs_annotate,
    .remove = tide_gridfs_remove,
};
