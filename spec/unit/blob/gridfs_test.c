/* What only GridFS has: other clients' files, several writers of one id, chunks that are left over. */
#include "blob/server.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CHUNK (255 * 1024)
#define BIG (3 * CHUNK + 1000) /* four chunks */

/* libmongoc sends through here: each message is a moment to die at. */
static atomic_int sent, die_at;

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (atomic_fetch_add(&sent, 1) + 1 == atomic_load(&die_at))
        kill(getpid(), SIGKILL);
    return syscall(SYS_sendmsg, fd, message, flags);
}

/* ---- behind the store's back ---- */

static bson_oid_t oid_of(const struct tide_id *id)
{
    bson_oid_t oid;

    bson_oid_init_from_string(&oid, id->hex);
    return oid;
}

static void insert(const char *name, bson_t *doc)
{
    mongoc_collection_t *c = collection(name);
    bson_error_t error;

    if (!mongoc_collection_insert_one(c, doc, NULL, NULL, &error))
        fail_msg("%s", error.message);
    mongoc_collection_destroy(c);
    bson_destroy(doc);
}

static void change(const char *name, bson_t *filter, bson_t *update)
{
    mongoc_collection_t *c = collection(name);
    bson_error_t error;

    if (!mongoc_collection_update_one(c, filter, update, NULL, NULL, &error))
        fail_msg("%s", error.message);
    mongoc_collection_destroy(c);
    bson_destroy(filter);
    bson_destroy(update);
}

static void delete (const char *name, bson_t *filter)
{
    mongoc_collection_t *c = collection(name);
    bson_error_t error;

    if (!mongoc_collection_delete_many(c, filter, NULL, NULL, &error))
        fail_msg("%s", error.message);
    mongoc_collection_destroy(c);
    bson_destroy(filter);
}

static bson_t *named(const char *key, const struct tide_id *id)
{
    bson_oid_t oid = oid_of(id);

    return BCON_NEW(key, BCON_OID(&oid));
}

static int64_t chunks_of(const struct tide_id *id)
{
    mongoc_collection_t *c = collection("videos.chunks");
    bson_t *filter = named("files_id", id);
    int64_t count = mongoc_collection_count_documents(c, filter, NULL, NULL, NULL, NULL);

    mongoc_collection_destroy(c);
    bson_destroy(filter);
    return count;
}

/* Whole for others, too, who find a chunk too many as wrong as one too few. */
static void expect_whole(const struct tide_id *id, size_t len, unsigned seed)
{
    expect_content("videos", id, len, seed);
    assert_int_equal(chunks_of(id), (len + CHUNK - 1) / CHUNK);
}

/* A file as another client stores it, of len bytes of `seed`. */
static void insert_foreign(const struct tide_id *id, size_t len, size_t chunk, unsigned seed, bson_t *file)
{
    char *data = make_bytes(len, seed);
    bson_oid_t oid = oid_of(id);

    for (size_t at = 0; at < len; at += chunk)
        insert("videos.chunks",
               BCON_NEW("files_id", BCON_OID(&oid), "n", BCON_INT32((int)(at / chunk)), "data",
                        BCON_BIN(BSON_SUBTYPE_BINARY, (uint8_t *)data + at,
                                 (uint32_t)(len - at < chunk ? len - at : chunk))));
    BSON_APPEND_OID(file, "_id", &oid);
    insert("videos.files", file);
    free(data);
}

/* Makes every chunk look two days old, and every bucket due for the sweep, which is then run by opening the
 * store. */
static void age_and_sweep(void)
{
    mongoc_collection_t *c = collection("videos.chunks");
    bson_t all = BSON_INITIALIZER;
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, &all, NULL, NULL);
    uint32_t then = BSON_UINT32_TO_BE((uint32_t)time(NULL) - 2 * 86400);
    const bson_t *doc;

    while (mongoc_cursor_next(cursor, &doc)) {
        bson_t *old = bson_new(), *filter = bson_new();
        bson_iter_t iter;
        bson_oid_t id;

        bson_iter_init_find(&iter, doc, "_id");
        BSON_APPEND_OID(filter, "_id", bson_iter_oid(&iter));
        id = *bson_iter_oid(&iter);
        memcpy(id.bytes, &then, sizeof then);
        BSON_APPEND_OID(old, "_id", &id);
        bson_copy_to_excluding_noinit(doc, old, "_id", NULL);
        delete ("videos.chunks", filter);
        insert("videos.chunks", old);
    }
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    change("tidemill.buckets", BCON_NEW("_id", "videos"),
           BCON_NEW("$set", "{", "swept", BCON_DATE_TIME(1000), "}"));
    open_store();
    uv_run(&loop, UV_RUN_DEFAULT);
    close_store();
}

/* ---- files of other clients ---- */

static void reads_what_others_stored(void **state)
{
    static const size_t sizes[] = {1, 1000, 4096, CHUNK, 600000};
    struct tide_id id;
    struct result r;
    char *got = malloc(10000), *want = make_bytes(10000, 3);

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t len = sizes[i] == 1 ? 7 : 5 * sizes[i] / 2;

        id = tide_id_new();
        insert_foreign(&id, len, sizes[i], 3,
                       BCON_NEW("length", BCON_DOUBLE((double)len), "chunkSize", BCON_INT32((int)sizes[i]),
                                "uploadDate", BCON_DATE_TIME(1234), "md5", "0123", "contentType",
                                "video/mp4"));
        expect_content("videos", &id, len, 3);
        r = open_blob("videos", &id);
        assert_string_equal(tide_blob_reader_info(r.reader)->metadata, "{}");
        assert_string_equal(tide_blob_reader_info(r.reader)->name, "");
        assert_int_equal(tide_blob_reader_info(r.reader)->uploaded_ms, 1234);
        for (size_t at = 0; at < len && at < 10000; at += 613) {
            size_t n = len - at < 900 ? len - at : 900;

            if (at + n <= 10000) {
                assert_int_equal(read_at(r.reader, (int64_t)at, got, n).n, n);
                assert_memory_equal(got, want + at, n);
            }
        }
        tide_blob_reader_close(r.reader);
    }
    free(got);
    free(want);
}

static void finds_and_annotates_what_others_stored(void **state)
{
    struct tide_id id = tide_id_new();
    struct tide_blob_query all = {0}, one = {.id = &id};
    bson_oid_t oid = oid_of(&id);

    (void)state;
    insert("videos.files", BCON_NEW("_id", "a name", "length", BCON_INT32(0), "chunkSize", BCON_INT32(1),
                                    "uploadDate", BCON_DATE_TIME(5)));
    assert_int_equal(find("videos", &all).count, 0);
    insert_foreign(&id, 10, 10, 1,
                   BCON_NEW("length", BCON_INT64(10), "chunkSize", BCON_INT32(10), "uploadDate",
                            BCON_DATE_TIME(7), "filename", "x"));
    assert_int_equal(find("videos", &all).count, 1);
    assert_true(
        annotate("videos", &one, "{\"state\":\"new\",\"gone\":null,\"x\":{\"y\":null,\"z\":1}}").changed);
    assert_string_equal(find("videos", &one).metadata, "{\"state\":\"new\",\"x\":{\"z\":1}}");
    change("videos.files", named("_id", &id), BCON_NEW("$set", "{", "metadata", "no object", "}"));
    assert_string_equal(find("videos", &one).metadata, "{}");
    assert_true(annotate("videos", &one, "{\"a\":[1,2.5,{\"b\":true}]}").changed);
    assert_string_equal(find("videos", &one).metadata, "{\"a\":[1,2.5,{\"b\":true}]}");
    change("videos.files", named("_id", &id),
           BCON_NEW("$set", "{", "metadata", "{", "user", BCON_OID(&oid), "at", BCON_DATE_TIME(99), "n",
                    BCON_INT64(1L << 40), "}", "}"));
    assert_true(annotate("videos", &one, "{\"at\":{\"h\":1},\"d.o.t\":\"$\"}").changed);
    assert_memory_equal(find("videos", &one).metadata, "{\"user\":\"", 9);
    assert_non_null(
        strstr(find("videos", &one).metadata, "\",\"at\":{\"h\":1},\"n\":1099511627776,\"d.o.t\":\"$\"}"));
    assert_true(annotate("videos", &one, "{\"at\":null,\"n\":null,\"d.o.t\":null,\"user\":{}}").changed);
    assert_string_equal(find("videos", &one).metadata, "{\"user\":{}}");
}

/* One of them would else be in the way of all, of the relay for example. */
static void a_list_goes_on_without_what_is_damaged(void **state)
{
    struct tide_blob_query all = {0};
    struct tide_id id = tide_id_new();

    (void)state;
    insert_foreign(&id, 10, 10, 1,
                   BCON_NEW("length", BCON_INT64(10), "chunkSize", BCON_INT32(10), "filename", "good"));
    id = tide_id_new();
    insert_foreign(&id, 0, 1, 1, BCON_NEW("length", BCON_INT32(-1), "chunkSize", BCON_INT32(10)));
    id = tide_id_new();
    insert_foreign(&id, 0, 1, 1, BCON_NEW("length", "10", "chunkSize", BCON_INT32(10)));
    id = tide_id_new();
    insert_foreign(&id, 0, 1, 1, BCON_NEW("length", BCON_DOUBLE(1e300), "chunkSize", BCON_INT32(10)));
    id = tide_id_new();
    insert_foreign(&id, 0, 1, 1, BCON_NEW("length", BCON_INT32(10), "chunkSize", BCON_INT32(0)));
    id = tide_id_new();
    insert_foreign(&id, 0, 1, 1, BCON_NEW("length", BCON_INT32(10), "chunkSize", BCON_INT64(INT64_MAX)));
    id = tide_id_new();
    insert_foreign(&id, 0, 1, 1, BCON_NEW("chunkSize", BCON_INT32(10)));
    assert_int_equal(find("videos", &all).count, 1);
    id = tide_id_new();
    insert_foreign(&id, 0, 1, 1, BCON_NEW("length", BCON_INT32(0)));
    assert_int_equal(find("videos", &all).count, 2);
}

static void a_name_of_any_length_is_cut(void **state)
{
    struct tide_id id = tide_id_new();
    char *name = malloc(100001);
    struct result r;

    (void)state;
    name[0] = 'x';
    for (int i = 1; i < 99999; i += 3)
        memcpy(name + i, "\u20ac", 3); /* the limit is inside of one */
    name[99997] = '\0';
    insert_foreign(&id, 10, 10, 1,
                   BCON_NEW("length", BCON_INT32(10), "chunkSize", BCON_INT32(10), "filename", name));
    r = open_blob("videos", &id);
    assert_int_equal(strlen(tide_blob_reader_info(r.reader)->name), 1024 / 3 * 3 + 1);
    tide_blob_reader_close(r.reader);
    free(name);
}

static void tells_of_chunks_that_are_missing_or_wrong(void **state)
{
    struct tide_id id = tide_id_new();
    char *got = malloc(BIG);
    struct result r;
    bson_t *filter;

    (void)state;
    for (int i = 0; i < 3; i++) {
        id = tide_id_new();
        assert_string_equal(put("videos", &id, BIG, BIG, 1, NULL).code, "");
        filter = named("files_id", &id);
        BSON_APPEND_INT32(filter, "n", i + 1);
        if (i == 0)
            delete ("videos.chunks", filter);
        else
            change("videos.chunks", filter,
                   i == 1 ? BCON_NEW("$set", "{", "data", BCON_BIN(BSON_SUBTYPE_BINARY, (uint8_t *)"abc", 3),
                                     "}")
                          : BCON_NEW("$unset", "{", "data", "", "}"));
        r = open_blob("videos", &id);
        assert_int_equal(read_at(r.reader, 0, got, 100).n, 100);
        r = (struct result){.reader = r.reader};
        tide_blob_read_at(r.reader, 0, got, BIG, on_read, &r);
        wait_for(&r);
        assert_string_equal(r.code, TIDE_ERR_INTERNAL);
        assert_non_null(strstr(r.message, id.hex));
        tide_blob_reader_close(r.reader);
    }
    free(got);
}

static void a_removed_file_is_told_to_its_reader(void **state)
{
    struct tide_id id = tide_id_new();
    char *got = malloc(BIG);
    struct result r;

    (void)state;
    put("videos", &id, BIG, BIG, 1, NULL);
    r = open_blob("videos", &id);
    assert_int_equal(read_at(r.reader, 0, got, 100).n, 100);
    assert_true(remove_blob("videos", &id).changed);
    assert_int_equal(chunks_of(&id), 0);
    assert_string_equal(read_at(r.reader, 2 * CHUNK, got, 100).code, TIDE_ERR_NOT_FOUND);
    tide_blob_reader_close(r.reader);
    assert_string_equal(put("videos", &id, BIG, BIG, 2, NULL).code, "");
    expect_whole(&id, BIG, 2);
    free(got);
}

/* ---- several writers of one id ---- */

/* Each has stored most of its chunks before the first commits. */
static void one_of_two_writers_wins(void **state)
{
    static const size_t sizes[] = {10, CHUNK, BIG, 12 * CHUNK + 5};

    (void)state;
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++) {
            struct tide_id id = tide_id_new();
            struct tide_blob_writer *first = create("videos", &id), *second = create("videos", &id);
            char *data = make_bytes(sizes[i], 1), *other = make_bytes(sizes[k], 2);

            assert_string_equal(write_bytes(first, data, sizes[i]).code, "");
            assert_string_equal(write_bytes(second, other, sizes[k]).code, "");
            assert_string_equal(commit(second, "x", NULL).code, "");
            assert_string_equal(commit(first, "x", NULL).code, TIDE_ERR_EXISTS);
            tide_blob_writer_close(first);
            tide_blob_writer_close(second);
            expect_whole(&id, sizes[k], 2);
            free(data);
            free(other);
        }
    assert_int_equal(count_ids(), 16);
}

static void an_empty_file_is_one_of_them(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tide_id id = tide_id_new();

        assert_string_equal(put("videos", &id, i ? 0 : BIG, BIG, 1, NULL).code, "");
        assert_string_equal(put("videos", &id, i ? BIG : 0, BIG, 2, NULL).code, TIDE_ERR_EXISTS);
        expect_whole(&id, i ? 0 : BIG, 1);
    }
    assert_int_equal(count_ids(), 1);
}

static int wait_child(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void one_of_many_processes_wins(void **state)
{
    enum { PROCESSES = 4, IDS = 12 };
    struct tide_id ids[IDS];
    pid_t pids[PROCESSES];
    int won = 0;

    (void)state;
    for (int i = 0; i < IDS; i++)
        ids[i] = tide_id_new();
    for (unsigned p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        if (pids[p] == 0) {
            int n = 0;

            open_store();
            for (int i = 0; i < IDS; i++) {
                struct result r = put("videos", &ids[i], 2 * CHUNK + p, 100000, p, NULL);

                if (r.code[0] && strcmp(r.code, TIDE_ERR_EXISTS) != 0) {
                    fprintf(stderr, "%s: %s\n", r.code, r.message);
                    _exit(200);
                }
                n += r.code[0] == '\0';
            }
            close_store();
            _exit(n);
        }
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status = wait_child(pids[p]);

        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= IDS);
        won += WEXITSTATUS(status);
    }
    assert_int_equal(won, IDS);
    open_store();
    for (int i = 0; i < IDS; i++) {
        struct result r = open_blob("videos", &ids[i]);
        unsigned winner = (unsigned)(tide_blob_reader_info(r.reader)->length - 2 * CHUNK);

        tide_blob_reader_close(r.reader);
        expect_whole(&ids[i], 2 * CHUNK + winner, winner);
    }
    close_store();
    assert_int_equal(count_ids(), IDS);
}

static void remains_of_a_removal_are_in_nobodys_way(void **state)
{
    struct tide_id id = tide_id_new(), foreign = tide_id_new();

    (void)state;
    assert_string_equal(put("videos", &id, BIG, BIG, 1, NULL).code, "");
    delete ("videos.files", named("_id", &id));
    assert_string_equal(put("videos", &id, 2 * CHUNK, BIG, 2, NULL).code, "");
    expect_whole(&id, 2 * CHUNK, 2);
    insert_foreign(&foreign, 20000, 1000, 3, BCON_NEW("length", BCON_INT32(0)));
    delete ("videos.files", named("_id", &foreign));
    assert_string_equal(put("videos", &foreign, BIG, BIG, 4, NULL).code, "");
    expect_whole(&foreign, BIG, 4);
}

/* ---- death ---- */

/* Stores `id` (NULL: a new one), and dies at that moment; true when it came to its end before. */
static bool child_puts(const struct tide_id *id, int moment)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct result r;

        atomic_store(&sent, 0);
        atomic_store(&die_at, moment);
        open_store();
        r = put("videos", id, BIG, BIG, 7, NULL);
        close_store();
        _exit(r.code[0] ? 1 : 0);
    }
    status = wait_child(pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    else
        assert_int_equal(WTERMSIG(status), SIGKILL);
    return WIFEXITED(status);
}

/* Another writer finds a file that is whole, or what takes the place of the dead one's. */
static void takes_over_at_any_moment(void **state)
{
    int moments = 0, taken = 0;

    (void)state;
    for (bool ended = false; !ended; moments++) {
        struct tide_id id = tide_id_new();
        struct result r;

        ended = child_puts(&id, moments + 1);
        open_store();
        r = put("videos", &id, BIG, BIG, 7, NULL);
        if (r.code[0])
            assert_string_equal(r.code, TIDE_ERR_EXISTS);
        taken += r.code[0] == '\0';
        expect_whole(&id, BIG, 7);
        assert_int_equal(put("videos", &id, 10, 10, 8, NULL).code[0], 'e');
        expect_whole(&id, BIG, 7);
        close_store();
        assert_true(moments < 100);
    }
    assert_true(moments > 8 && taken > 4 && taken < moments);
    age_and_sweep();
    assert_int_equal(count_ids(), moments);
}

/* Nobody comes after them but the sweep. What it leaves are files, and they are whole. */
static void sweeps_what_the_dead_left(void **state)
{
    struct tide_blob_query all = {0};
    struct result r;
    int moments = 0;

    (void)state;
    for (bool ended = false; !ended; moments++) {
        struct tide_id id = tide_id_new();

        ended = child_puts(&id, moments + 1) & child_puts(NULL, moments + 1);
        assert_true(moments < 100);
    }
    age_and_sweep();
    open_store();
    r = find("videos", &all);
    assert_true(r.count >= 2 && r.count < (size_t)moments);
    for (size_t i = 0; i < r.count; i++)
        expect_whole(&r.ids[i], BIG, 7);
    close_store();
    assert_int_equal(count_ids(), r.count);
}

/* Chunks are as young as the last of them, whatever id they have. */
static void a_sweep_spares_who_writes(void **state)
{
    char *data = make_bytes(20 * CHUNK, 1);
    struct tide_id old, id = tide_id_new();
    struct tide_blob_writer *w, *shared;
    struct tide_blob_store *second;

    (void)state;
    tide_id_parse("000000010000000000000001", &old);
    put("videos", NULL, 10, 10, 1, NULL);
    w = create("videos", NULL);
    shared = create("videos", &old);
    assert_string_equal(write_bytes(w, data, 20 * CHUNK).code, "");
    assert_string_equal(write_bytes(shared, data, 20 * CHUNK).code, "");
    insert_foreign(&old, 30, 10, 1, BCON_NEW("length", BCON_INT32(30)));
    delete ("videos.files", named("_id", &old));
    change("tidemill.buckets", BCON_NEW("_id", "videos"),
           BCON_NEW("$set", "{", "swept", BCON_DATE_TIME(1000), "}"));
    second = tide_blob_store_open(&loop, NULL, url, NULL);
    uv_run(&loop, UV_RUN_DEFAULT); /* its sweep comes to its end */
    tide_blob_store_close(second);
    assert_int_equal(chunks_of(&old), 3);
    assert_string_equal(commit(w, "x", NULL).code, "");
    assert_string_equal(commit(shared, "x", NULL).code, "");
    id = *tide_blob_writer_id(w);
    tide_blob_writer_close(w);
    tide_blob_writer_close(shared);
    expect_whole(&id, 20 * CHUNK, 1);
    expect_whole(&old, 20 * CHUNK, 1);
    free(data);
}

/* Each adds its own key many times; none may be lost. */
static void merges_of_many_processes_all_count(void **state)
{
    struct tide_id id = tide_id_new();
    struct tide_blob_query query = {.id = &id};
    pid_t pids[4];

    (void)state;
    open_store();
    put("videos", &id, 10, 10, 1, NULL);
    close_store();
    for (int p = 0; p < 4; p++) {
        pids[p] = fork();
        if (pids[p] == 0) {
            bool ok = true;

            open_store();
            for (int i = 0; i < 5; i++) {
                char patch[32];

                snprintf(patch, sizeof patch, "{\"k%d_%d\":%d}", p, i, i);
                ok = annotate("videos", &query, patch).changed && ok;
            }
            close_store();
            _exit(ok ? 0 : 1);
        }
    }
    for (int p = 0; p < 4; p++)
        assert_int_equal(wait_child(pids[p]), 0);
    open_store();
    for (int i = 0; i < 20; i++) {
        char key[32];

        snprintf(key, sizeof key, "\"k%d_%d\":%d", i % 4, i / 4, i / 4);
        assert_non_null(strstr(find("videos", &query).metadata, key));
    }
    close_store();
}

/* ---- servers that aren't there ---- */

static void starts_without_a_server(void **state)
{
    struct tide_id id = tide_id_new();
    struct tide_err err;

    (void)state;
    strcpy(url, "mongodb://user:secret@127.0.0.1:1/x?serverSelectionTimeoutMS=300");
    open_store();
    assert_false(tide_blob_store_ready(store, &err));
    assert_string_equal(err.code, TIDE_ERR_UNAVAILABLE);
    assert_true(err.retryable);
    assert_null(strstr(err.message, "secret"));
    assert_non_null(strstr(err.message, "mongodb://user:***@127.0.0.1:1/x: no server can be used"));
    assert_string_equal(put("videos", NULL, 10, 10, 1, NULL).code, TIDE_ERR_UNAVAILABLE);
    assert_string_equal(open_blob("videos", &id).code, TIDE_ERR_UNAVAILABLE);
    uv_run(&loop, UV_RUN_DEFAULT);
    close_store();
}

static void refuses_bad_urls(void **state)
{
    static const struct {
        const char *url, *words;
    } bad[] = {
        {"mongodb://127.0.0.1:1", "names no database"},
        {"mongodb://127.0.0.1:1/", "names no database"},
        {"mongodb://", "URL"},
        {"mongodb://u:se%cret@127.0.0.1/x", "escapes in password"},
        {"mongodb://u:secret@127.0.0.1/x?timeout=3", "\"timeout\"; parameters are"},
        {"mongodb://u:secret@127.0.0.1/x?socketTimeoutMS=soon", "sockettimeoutms"},
        {"mongodb://u:secret@127.0.0.1/x?socketTimeoutMS=", "Empty value"},
        {"mongodb://u:secret@127.0.0.1/x?maxPoolSize=2&maxPoolSize=3", "maxPoolSize"},
        {"mongodb://u:secret@127.0.0.1/x?tls=maybe", "\"tls\""},
        {"mongodb://u:secret@127.0.0.1/x?tls=true&tlsCAFile=/not/there",
         "tlsCAFile=/not/there can't be read"},
    };

    (void)state;
    files_before = loop_open(&loop);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tide_err err = {0};

        assert_null(tide_blob_store_open(&loop, NULL, bad[i].url, &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
        assert_null(strstr(err.message, "cret"));
        if (!strstr(err.message, bad[i].words))
            fail_msg("%s: %s", bad[i].url, err.message);
    }
    loop_close(&loop, files_before);
}

static void assert_unusable(const char *words, const char *name)
{
    struct tide_err err = {0};

    open_store();
    assert_false(tide_blob_store_ready(store, &err));
    assert_string_equal(err.code, TIDE_ERR_UNAVAILABLE);
    assert_true(err.retryable);
    if (!strstr(err.message, words) || !strstr(err.message, name) || strstr(err.message, "secret"))
        fail_msg("'%s' and '%s' are wanted in: %s", words, name, err.message);
    close_store();
}

/* The SMTP server's TLS will do: what is wrong is seen before any word of MongoDB's. */
static void trusts_no_certificate_but_the_hosts(void **state)
{
    static const struct {
        const char *host, *trust, *words;
    } cases[] = {
        {"127.0.0.2", "&tlsCAFile=", "certificate verify failed"},
        {"127.0.0.1", NULL, "certificate verify failed"},
    };
    const char *smtps = getenv("SMTPS_URL"), *authority = getenv("SERVERS_CA");

    (void)state;
    if (!smtps || !authority) {
        print_message("skipped: no SMTPS_URL and SERVERS_CA in the environment (spec/servers sets them)\n");
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(url, sizeof url, "mongodb://user:secret@%s%s/x?serverSelectionTimeoutMS=500&tls=true%s%s",
                 cases[i].host, strrchr(smtps, ':'), cases[i].trust ? cases[i].trust : "",
                 cases[i].trust ? authority : "");
        assert_unusable(cases[i].words, cases[i].host);
    }
}

static void wants_tls_of_a_server_without(void **state)
{
    const char *hosts = strstr(getenv("MONGODB_URL"), "://") + 3;
    const char *at = memchr(hosts, '@', strcspn(hosts, "/")), *rest = at ? at + 1 : hosts;

    (void)state;
    snprintf(url, sizeof url, "mongodb://%.*s/x?tls=true&connectTimeoutMS=300&serverSelectionTimeoutMS=1500",
             (int)strcspn(rest, "/"), rest);
    assert_unusable("tls=true is for a server that speaks TLS", "mongodb://");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_server, teardown_server)
#define OUTSIDE(f) cmocka_unit_test_setup_teardown(f, make_database, drop_database)

int main(void)
{
    const struct CMUnitTest without[] = {
        cmocka_unit_test(starts_without_a_server),
        cmocka_unit_test(refuses_bad_urls),
        cmocka_unit_test(trusts_no_certificate_but_the_hosts),
    };
    const struct CMUnitTest tests[] = {
        TEST(reads_what_others_stored),
        TEST(finds_and_annotates_what_others_stored),
        TEST(a_list_goes_on_without_what_is_damaged),
        TEST(a_name_of_any_length_is_cut),
        TEST(tells_of_chunks_that_are_missing_or_wrong),
        TEST(a_removed_file_is_told_to_its_reader),
        TEST(one_of_two_writers_wins),
        TEST(an_empty_file_is_one_of_them),
        TEST(remains_of_a_removal_are_in_nobodys_way),
        TEST(a_sweep_spares_who_writes),
        cmocka_unit_test(wants_tls_of_a_server_without),
        OUTSIDE(one_of_many_processes_wins),
        OUTSIDE(takes_over_at_any_moment),
        OUTSIDE(sweeps_what_the_dead_left),
        OUTSIDE(merges_of_many_processes_all_count),
    };
    int failed = cmocka_run_group_tests_name("blob/gridfs without a server:", without, NULL, NULL);

    if (use_server("blob/gridfs"))
        failed += cmocka_run_group_tests_name("blob/gridfs on mongodb:", tests, NULL, NULL);
    return failed;
}
