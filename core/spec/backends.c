/* Backends that are a spec file's own: files in its directory; on a server a database or a prefix that nobody
 * else has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "spec/internal.h"

#define MAX_URL 4096
#define QUEUES_EXPIRE "10m" /* after their last use: AMQP can't list queues to delete them */

static char *below(const struct run *run, const char *scheme, const char *name)
{
    char url[160];

    snprintf(url, sizeof url, "%s%s/%s", scheme, run->directory, name);
    return strdup(url);
}

/* The URL with this database instead of its own. */
static char *with_database(const char *url, const char *name)
{
    const char *host = strstr(url, "://"), *end = url + strcspn(url, "?"), *path;
    char *result = NULL;

    path = host ? memchr(host + 3, '/', (size_t)(end - host - 3)) : NULL;
    if (!path)
        path = end;
    return asprintf(&result, "%.*s/%s%s", (int)(path - url), url, name, end) < 0 ? NULL : result;
}

static char *with_prefix(const char *url, const char *name)
{
    char *result = NULL;

    return asprintf(&result, "%s%cprefix=%s.&expires=" QUEUES_EXPIRE, url, strchr(url, '?') ? '&' : '?',
                    name) < 0
               ? NULL
               : result;
}

/* CREATE or DROP DATABASE, on a connection of its own to the database of the URL that was given. */
static bool change_database(struct run *run, const char *verb, struct tide_err *err)
{
    struct tide_sql_db *db = tide_sql_open(&run->loop, &run->log, run->config->backends.sql, err);
    struct tide_sql_result result;
    char statement[128];
    bool ok;

    if (!db)
        return false;
    snprintf(statement, sizeof statement, "%s DATABASE %s", verb, run->name);
    ok = tide_sql_run_sync(db, statement, NULL, 0, &result, err);
    if (ok)
        tide_sql_result_release(&result);
    tide_sql_close(db);
    return ok;
}

bool tide_spec_backends_make(struct run *run, struct tide_err *err)
{
    const struct tide_spec_backends *on = &run->config->backends;
    struct tide_id id = tide_id_new();

    snprintf(run->name, sizeof run->name, "tidemill_spec_%s", id.hex);
    run->settings = *run->config->settings;
    run->settings.data = below(run, "", "data");
    run->settings.sql = on->sql ? with_database(on->sql, run->name) : below(run, "sqlite:", "data/sql.db");
    run->settings.queue =
        on->queue ? with_prefix(on->queue, run->name) : below(run, "sqlite:", "data/queue.db");
    run->settings.blob = on->blob ? with_database(on->blob, run->name) : below(run, "file:", "data/blobs");
    run->settings.mail = on->mail ? strdup(on->mail) : below(run, "maildir:", "data/mail");
    if (!on->sql)
        return true;
    run->has_database = change_database(run, "CREATE", err);
    return run->has_database || tide_err_prefix(err, "--sql");
}

void tide_spec_backends_drop(struct run *run)
{
    struct tide_err err;

    if (run->has_database && !change_database(run, "DROP", &err))
        printf("# the database %s is left: %s\n", run->name, err.message);
    if (run->services.blob && !tide_blob_store_erase(run->services.blob, &err))
        printf("# the files in %s are left: %s\n", run->name, err.message);
}

void tide_spec_backends_release(struct run *run)
{
    free(run->settings.data);
    free(run->settings.sql);
    free(run->settings.queue);
    free(run->settings.blob);
    free(run->settings.mail);
}
