/*
 * The tests that hold for every driver, on a server: that of MONGODB_URL, in a database of each test's own.
 * Included instead of fixture.h.
 */
#ifndef SPEC_BLOB_SERVER_H
#define SPEC_BLOB_SERVER_H

#include "blob/fixture.h"

#include <mongoc/mongoc.h>

static mongoc_client_t *server; /* for what a test does behind the store's back */
static char database[64];

static inline mongoc_collection_t *collection(const char *name)
{
    return mongoc_client_get_collection(server, database, name);
}

/* The URL of MONGODB_URL with another database. */
static inline void name_database(void)
{
    const char *given = getenv("MONGODB_URL"), *rest = strstr(given, "://") + 3;
    static int number;

    snprintf(database, sizeof database, "tidemill_spec_%d_%d", (int)getpid(), ++number);
    rest += strcspn(rest, "/?");
    snprintf(url, sizeof url, "%.*s/%s%s", (int)(rest - given), given, database, rest + strcspn(rest, "?"));
}

static inline int make_database(void **state)
{
    bson_t *ping = BCON_NEW("ping", BCON_INT32(1));
    bson_error_t error = {0};
    bool ok;

    (void)state;
    name_database();
    server = mongoc_client_new(url);
    /* It connects now, so that no later descriptor looks like the store's. */
    ok = server && mongoc_client_command_simple(server, database, ping, NULL, NULL, &error);
    if (!ok)
        print_error("MONGODB_URL: %s\n", error.message);
    bson_destroy(ping);
    return ok ? 0 : -1;
}

static inline int drop_database(void **state)
{
    mongoc_database_t *all = mongoc_client_get_database(server, database);
    bool ok = mongoc_database_drop(all, NULL);

    (void)state;
    mongoc_database_destroy(all);
    mongoc_client_destroy(server);
    server = NULL;
    return ok ? 0 : -1;
}

static inline int64_t count_documents(const char *name)
{
    mongoc_collection_t *c = collection(name);
    bson_t all = BSON_INITIALIZER;
    bson_error_t error;
    int64_t count = mongoc_collection_count_documents(c, &all, NULL, NULL, NULL, &error);

    if (count < 0)
        fail_msg("%s", error.message);
    mongoc_collection_destroy(c);
    return count;
}

/* How many ids have chunks in any bucket, as count_files for the files on disk. */
static inline int count_ids(void)
{
    static const char *const buckets[] = {"videos.chunks", "mp3s.chunks"};
    int count = 0;

    for (int i = 0; i < 2; i++) {
        mongoc_collection_t *c = collection(buckets[i]);
        bson_t *stages = BCON_NEW("pipeline", "[", "{", "$group", "{", "_id", "$files_id", "}", "}", "]");
        mongoc_cursor_t *cursor = mongoc_collection_aggregate(c, MONGOC_QUERY_NONE, stages, NULL, NULL);
        const bson_t *doc;

        while (mongoc_cursor_next(cursor, &doc))
            count++;
        mongoc_cursor_destroy(cursor);
        mongoc_collection_destroy(c);
        bson_destroy(stages);
    }
    return count;
}

static inline int setup_server(void **state)
{
    if (make_database(state))
        return -1;
    open_store();
    return 0;
}

static inline int teardown_server(void **state)
{
    close_store();
    return drop_database(state);
}

static const struct stage on_server = {setup_server, teardown_server, count_ids};

/* False, said to the reader, when there is no server to test on. */
static inline bool use_server(const char *tests)
{
    stage = &on_server;
    if (getenv("MONGODB_URL")) {
        mongoc_init();
        return true;
    }
    printf("%s: skipped on mongodb: as MONGODB_URL names no server\n", tests);
    return false;
}

#endif
