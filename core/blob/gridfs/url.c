#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/gridfs/gridfs.h"

#define MAJORITY_MS 5000 /* how long a write waits for the other members */
#define FORM "mongodb://USER:PASSWORD@HOST[:PORT]/DATABASE"

/* What a URL says itself goes first. A call to a server that stands still ends after an answer's time and the
 * search for another server. */
static const struct {
    const char *name;
    int32_t value;
} defaults[] = {
    {MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 4000},
    {MONGOC_URI_CONNECTTIMEOUTMS, 3000}, /* less, so that the search's failure tells of the connection's */
    {MONGOC_URI_SOCKETTIMEOUTMS, 6000},
    {MONGOC_URI_WAITQUEUETIMEOUTMS, 10000},
    {MONGOC_URI_MAXPOOLSIZE, 12}, /* the store's threads, and one for ready */
};

static const char parameters[] = "replicaSet, directConnection, loadBalanced, authSource, authMechanism, "
                                 "authMechanismProperties, tls, tlsCAFile, "
                                 "tlsCertificateKeyFile, connectTimeoutMS, socketTimeoutMS, "
                                 "serverSelectionTimeoutMS, maxPoolSize, compressors";

/* What libmongoc finds wrong with a URL and takes all the same, as it would log it. */
struct complaint {
    pthread_t of; /* other threads have their own worries */
    char text[120];
};

static void hear(mongoc_log_level_t level, const char *domain, const char *message, void *arg)
{
    struct complaint *complaint = arg;

    (void)domain;
    if (level <= MONGOC_LOG_LEVEL_WARNING && pthread_equal(complaint->of, pthread_self()) &&
        !*complaint->text)
        snprintf(complaint->text, sizeof complaint->text, "%.*s", (int)strcspn(message, "\n"), message);
}

static mongoc_uri_t *parse(const char *url, struct tide_err *err)
{
    struct complaint complaint = {.of = pthread_self()};
    bson_error_t error;
    mongoc_uri_t *uri;

    mongoc_log_set_handler(hear, &complaint);
    uri = mongoc_uri_new_with_error(url, &error);
    mongoc_log_set_handler(NULL, NULL);
    if (!uri) {
        tide_err_set(err, TIDE_ERR_INVALID, false, "gridfs: the URL: %s", error.message);
    } else if (*complaint.text) {
        mongoc_uri_destroy(uri);
        uri = NULL;
        tide_err_set(err, TIDE_ERR_INVALID, false,
                     "gridfs: the URL: %s; parameters are those of MongoDB's connection strings, such as %s",
                     complaint.text, parameters);
    }
    return uri;
}

static bool check_file(const mongoc_uri_t *uri, const char *name, const char *shown, struct tide_err *err)
{
    const char *path = mongoc_uri_get_option_as_utf8(uri, name, NULL);

    if (!path || access(path, R_OK) == 0)
        return true;
    return tide_err_set(err, TIDE_ERR_INVALID, false, "gridfs: the URL: %s=%s can't be read", shown, path);
}

static bool check(const mongoc_uri_t *uri, struct tide_err *err)
{
    if (!mongoc_uri_get_database(uri))
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "gridfs: the URL names no database; it is written " FORM);
    return check_file(uri, MONGOC_URI_TLSCAFILE, "tlsCAFile", err) &&
           check_file(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, "tlsCertificateKeyFile", err);
}

/* Nothing is lost by a server that fails over, or a file that isn't there yet on another. */
static void make_safe(mongoc_uri_t *uri)
{
    mongoc_write_concern_t *concern = mongoc_write_concern_new();
    mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);

    mongoc_write_concern_set_wmajority(concern, MAJORITY_MS);
    mongoc_write_concern_set_journal(concern, true);
    mongoc_uri_set_write_concern(uri, concern);
    mongoc_uri_set_read_prefs_t(uri, primary);
    mongoc_write_concern_destroy(concern);
    mongoc_read_prefs_destroy(primary);
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (!mongoc_uri_has_option(uri, defaults[i].name))
            mongoc_uri_set_option_as_int32(uri, defaults[i].name, defaults[i].value);
    if (!mongoc_uri_get_appname(uri))
        mongoc_uri_set_appname(uri, "tidemill");
}

mongoc_uri_t *tide_gridfs_url_parse(const char *url, struct tide_err *err)
{
    mongoc_uri_t *uri = parse(url, err);

    if (uri && !check(uri, err)) {
        mongoc_uri_destroy(uri);
        return NULL;
    }
    if (uri)
        make_safe(uri);
    return uri;
}
