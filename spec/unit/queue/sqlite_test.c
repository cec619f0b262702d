/* The embedded queue alone: leases, other processes, its file and what can be wrong with it. */
#include "queue/driver.h"
#include "queue/fixture.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* SQLite writes through here: a disk that is full when the test says so. */
static atomic_bool disk_full;

static ssize_t write_at(int fd, const void *buf, size_t n, off_t offset)
{
    if (!atomic_load(&disk_full))
        return syscall(SYS_pwrite64, fd, buf, n, offset);
    errno = ENOSPC;
    return -1;
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    return write_at(fd, buf, n, offset);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
    return write_at(fd, buf, n, offset);
}

static sqlite3 *open_raw(struct fixture *f)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    return db;
}

static void run_raw(sqlite3 *db, const char *statements)
{
    char *message = NULL;

    if (sqlite3_exec(db, statements, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", statements, message);
}

/* ---- leases ---- */

static void who_stands_still_loses_its_message(void **state)
{
    struct fixture *f = *state, other = *f;
    struct inbox slow = {0}, quick = {0};
    struct tide_queue_consume how = consume_defaults(f);
    struct tide_delivery *delivery;

    publish(f, "x");
    how.lease_ms = 100;
    consume_with(f, &slow, &how);
    delivery = take_one(f, &slow); /* and from here its loop does not run */

    assert_int_equal(uv_loop_init(&other.loop), 0);
    open_broker(&other);
    consume(&other, &quick);
    wait_until(&other, has_held, &quick);
    assert_int_equal(tide_delivery_attempt(quick.held[0]), 2);
    assert_string_equal(tide_delivery_last_code(quick.held[0]), "lease_expired");

    tide_delivery_ack(delivery); /* too late */
    flush(f);
    expect_stat(f, 0, 0, 1, 0);
    tide_delivery_ack(quick.held[0]);
    flush(&other);
    expect_stat(f, 0, 0, 0, 0);
    close_broker(&other);
    uv_run(&other.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&other.loop), 0);
}

static void a_lease_is_renewed_while_its_loop_runs(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0}, waiting = {0};
    struct tide_queue_consume how = consume_defaults(f);

    publish(f, "x");
    how.lease_ms = 1000;
    consume_with(f, &inbox, &how);
    wait_until(f, has_held, &inbox);
    consume_with(f, &waiting, &how);
    run_for(f, 3500);
    assert_int_equal(inbox.total, 1);
    assert_int_equal(waiting.total, 0);
    tide_delivery_ack(inbox.held[0]);
    flush(f);
    expect_stat(f, 0, 0, 0, 0);
}

static void leases_of_an_earlier_run_of_the_machine_have_ended(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    sqlite3 *db;

    publish(f, "x");
    consume(f, &inbox);
    wait_until(f, has_held, &inbox);
    db = open_raw(f);
    run_raw(db, "UPDATE message SET boot = 'another', token = 1"); /* the holder's handing back misses it */
    sqlite3_close(db);
    close_broker(f);
    open_broker(f);
    inbox = (struct inbox){0};
    consume(f, &inbox);
    wait_until(f, has_held, &inbox);
    assert_int_equal(tide_delivery_attempt(inbox.held[0]), 2);
    assert_string_equal(tide_delivery_last_code(inbox.held[0]), "lease_expired");
}

/* Whoever is asked to reject it in the words of its queue dies too: three times are enough. */
static void a_message_that_kills_every_holder_is_buried(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_queue_dead *list;
    struct tide_err err;

    publish(f, "x");
    for (int i = 0; i < TIDE_QUEUE_MAX_LOST + TIDE_QUEUE_EXTRA; i++) /* the last ones to reject it */
        holder_dies(f);
    consume(f, &inbox);
    while (stat_of(f).dead == 0)
        run_for(f, 50);
    assert_int_equal(inbox.total, 0);
    assert_int_equal(tide_queue_list(f->broker, f->queue, "dead", 10, &list, &err), 1);
    assert_int_equal(list[0].attempts, 3);
    assert_string_equal(list[0].code, "lease_expired");
    tide_queue_dead_free(list, 1);
}

/* ---- other processes ---- */

/* Another program opens the file, counts, and leaves. */
static int count_from_outside(const struct fixture *f)
{
    char command[200];
    int count = -1;
    FILE *output;

    snprintf(command, sizeof command, "sqlite3 '%s' 'SELECT count(*) FROM message'", f->path);
    output = popen(command, "r");
    assert_non_null(output);
    assert_int_equal(fscanf(output, "%d", &count), 1);
    pclose(output);
    return count;
}

/* Closing a descriptor of the file ended the process's locks on it: another process took itself for the last
 * one, and removed the write-ahead log under the broker, whose next messages nobody ever saw. */
static void looking_in_does_not_take_the_log_away(void **state)
{
    struct fixture *f = *state;
    struct tide_err err;

    publish(f, "a");
    assert_true(tide_queue_broker_ready(f->broker, &err));
    stat_of(f);
    assert_int_equal(count_from_outside(f), 1);
    publish(f, "b");
    assert_int_equal(count_from_outside(f), 2);
}

static void a_lock_of_another_process_is_waited_for_then_retryable(void **state)
{
    struct fixture *f = *state;
    struct tide_queue_message message = {.queue = f->queue, .payload = "x", .len = 1};
    struct confirm confirm = {0};
    struct inbox inbox = {0};
    struct tide_err err;
    sqlite3 *db;

    publish(f, "held");
    consume(f, &inbox);
    wait_until(f, has_held, &inbox);
    db = open_raw(f);
    run_raw(db, "BEGIN IMMEDIATE");
    assert_true(tide_queue_broker_ready(f->broker, &err)); /* it reads, and so do others */
    tide_delivery_ack(inbox.held[0]);
    assert_non_null(tide_queue_publish(f->broker, &message, on_confirm, &confirm, &err));
    wait_until(f, is_called, &confirm);
    assert_string_equal(confirm.err.code, "timeout");
    assert_true(confirm.err.retryable);
    assert_non_null(strstr(confirm.err.message, "locked by another process"));
    run_raw(db, "COMMIT");
    sqlite3_close(db);
    flush(f);
    expect_stat(f, 0, 0, 0, 0); /* the acknowledgement was kept and is stored now */
}

static int publish_and_tell(struct fixture *f, int out)
{
    for (int i = 0; i < 100000; i++) {
        if (strcmp(publish_bytes(f, &i, sizeof i, 0), "ok") != 0 || write(out, "!", 1) != 1)
            return 1;
    }
    return 0;
}

static void what_was_confirmed_outlives_its_process(void **state)
{
    struct fixture *f = *state;
    int64_t confirmed = 0;
    char bytes[4096];
    ssize_t n;

    for (int round = 0; round < 5; round++) {
        int pipes[2], status;
        pid_t pid;

        assert_int_equal(pipe(pipes), 0);
        pid = in_child(f, publish_and_tell, pipes[1]);
        close(pipes[1]);
        assert_int_equal(read(pipes[0], bytes, 1), 1);
        usleep((useconds_t)(20000 + round * 7000));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        for (confirmed++; (n = read(pipes[0], bytes, sizeof bytes)) > 0;)
            confirmed += n;
        close(pipes[0]);
        /* One may have been stored whose confirmation was not told any more. */
        assert_in_range(stat_of(f).ready, confirmed, confirmed + round + 1);
    }
}

/* ---- the disk ---- */

static void a_full_disk_is_told_and_got_over(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};

    publish(f, "held");
    consume(f, &inbox);
    wait_until(f, has_held, &inbox);
    atomic_store(&disk_full, true);
    tide_delivery_ack(inbox.held[0]);
    assert_string_equal(publish_bytes(f, "x", 1, 0), "full");
    assert_string_equal(publish_bytes(f, "x", 1, 0), "full");
    atomic_store(&disk_full, false);
    flush(f);
    expect_stat(f, 0, 0, 0, 0);
    publish(f, "y");
    wait_until(f, has_held, &inbox);
}

static void taking_goes_on_after_a_full_disk(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};

    publish(f, "x");
    atomic_store(&disk_full, true);
    consume(f, &inbox);
    run_for(f, 100);
    assert_int_equal(inbox.total, 0);
    atomic_store(&disk_full, false);
    assert_int_equal(tide_delivery_attempt(take_one(f, &inbox)), 1);
}

static void close_on_a_full_disk_answers(void **state)
{
    struct fixture *f = *state;
    struct tide_queue_message message = {.queue = f->queue, .payload = "x", .len = 1};
    struct confirm confirm = {0};
    struct inbox inbox = {0};
    struct tide_err err;

    publish(f, "held");
    consume(f, &inbox);
    wait_until(f, has_held, &inbox);
    atomic_store(&disk_full, true);
    assert_non_null(tide_queue_publish(f->broker, &message, on_confirm, &confirm, &err));
    close_broker(f);
    atomic_store(&disk_full, false);
    assert_int_equal(confirm.called, 1);
    assert_string_equal(confirm.err.code, "full");
    open_broker(f);
    expect_stat(f, 0, 0, 1, 0); /* its lease ends by itself */
}

/* ---- limits ---- */

static void bounds_the_bytes_that_wait(void **state)
{
    struct fixture *f = *state;
    char *payload = calloc(1, TIDE_QUEUE_MAX_PAYLOAD);
    struct tide_queue_message message = {
        .queue = f->queue, .payload = payload, .len = TIDE_QUEUE_MAX_PAYLOAD};
    struct confirm confirm = {0};
    struct tide_err err = {0};
    int taken = 0;

    while (taken < 1000 && tide_queue_publish(f->broker, &message, on_confirm, &confirm, &err))
        taken++;
    assert_string_equal(err.code, "unavailable");
    assert_true(err.retryable);
    assert_in_range(taken, 64, 65); /* one may be under way */
    while (confirm.called < taken)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_null(confirm.err.code);
    assert_string_equal(publish_bytes(f, payload, TIDE_QUEUE_MAX_PAYLOAD, 0), "ok");
    free(payload);
}

/* ---- the file ---- */

static struct tide_err refused(const char *url)
{
    struct tide_err err = {0};
    uv_loop_t loop;

    assert_int_equal(uv_loop_init(&loop), 0);
    assert_null(tide_queue_broker_open(&loop, NULL, url, &err));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return err;
}

static void its_file_is_its_owners(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    mode_t before = umask(0);

    close_broker(f);
    unlink(f->path);
    open_broker(f);
    umask(before);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void ready_notices_that_the_file_is_gone(void **state)
{
    struct fixture *f = *state;
    struct tide_err err;

    assert_true(tide_queue_broker_ready(f->broker, &err));
    unlink(f->path);
    assert_false(tide_queue_broker_ready(f->broker, &err));
    assert_string_equal(err.code, "not_found");
    assert_non_null(strstr(err.message, f->path));
    assert_int_not_equal(access(f->path, F_OK), 0); /* and makes no new one */
}

static void overwrite(const struct fixture *f, long offset, size_t len)
{
    FILE *file = fopen(f->path, "r+");

    assert_non_null(file);
    fseek(file, offset, SEEK_SET);
    while (len--)
        fputc('#', file);
    fclose(file);
}

static void a_corrupt_file_is_named(void **state)
{
    struct fixture *f = *state;
    struct tide_err err;

    publish(f, "x");
    close_broker(f);
    overwrite(f, 0, 100);
    err = refused(f->url);
    assert_string_equal(err.code, "internal");
    assert_false(err.retryable);
    assert_non_null(strstr(err.message, f->path));
    assert_non_null(strstr(err.message, "not a database"));
    unlink(f->path);
    open_broker(f);
}

static void corruption_met_at_work_is_told(void **state)
{
    struct fixture *f = *state;
    struct tide_queue_stat stats[4];
    struct tide_queue_dead *list;
    struct tide_err err = {0};
    char payload[3000] = {0};
    sqlite3 *db;

    for (int i = 0; i < 20; i++)
        assert_string_equal(publish_bytes(f, payload, sizeof payload, 0), "ok");
    db = open_raw(f);
    run_raw(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite3_close(db);
    overwrite(f, 4096, 16 * 4096); /* tables and index */
    assert_int_equal(tide_queue_stats(f->broker, stats, 0, 4, &err), -1);
    assert_string_equal(err.code, "internal");
    assert_non_null(strstr(err.message, "malformed"));
    assert_int_equal(tide_queue_list(f->broker, f->queue, "ready", 10, &list, &err), -1);
    close_broker(f);
    err = refused(f->url);
    assert_string_equal(err.code, "internal");
    assert_non_null(strstr(err.message, f->path));
    unlink(f->path);
    open_broker(f);
}

static void takes_a_file_of_the_first_version(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    sqlite3 *db;

    publish(f, "x");
    close_broker(f);
    db = open_raw(f);
    run_raw(db, "ALTER TABLE message DROP COLUMN lost; PRAGMA user_version = 1");
    sqlite3_close(db);
    open_broker(f);
    holder_dies(f);
    consume(f, &inbox);
    assert_int_equal(tide_delivery_attempt(take_one(f, &inbox)), 2);
}

static void refuses_files_that_are_not_its_own(void **state)
{
    struct fixture *f = *state;
    struct tide_err err;
    char url[200];
    sqlite3 *db;

    close_broker(f);
    db = open_raw(f);
    run_raw(db, "PRAGMA user_version = 7");
    sqlite3_close(db);
    assert_non_null(strstr(refused(f->url).message, "newer tidemill (schema 7"));
    unlink(f->path);
    db = open_raw(f);
    run_raw(db, "CREATE TABLE user (name TEXT)");
    sqlite3_close(db);
    assert_non_null(strstr(refused(f->url).message, "something else"));
    unlink(f->path);
    snprintf(url, sizeof url, "sqlite:%s/none/queue.db", f->dir);
    err = refused(url);
    assert_string_equal(err.code, "not_found");
    assert_non_null(strstr(err.message, "none/queue.db"));
    snprintf(url, sizeof url, "sqlite:%s", f->dir);
    assert_string_equal(refused(url).code, "unavailable");
    open_broker(f);
}

static int open_and_close(const char *url, int start)
{
    struct tide_queue_broker *broker;
    struct tide_err err;
    uv_loop_t loop;
    char byte;

    if (read(start, &byte, 1) != 0) /* until all are there */
        return 1;
    uv_loop_init(&loop);
    broker = tide_queue_broker_open(&loop, NULL, url, &err);
    if (!broker)
        fprintf(stderr, "%s\n", err.message);
    tide_queue_broker_close(broker);
    return broker ? 0 : 1;
}

/* The worker processes of an engine that starts for the first time. */
static void processes_make_the_file_together(void **state)
{
    enum { ROUNDS = 60, PROCESSES = 8 };
    struct fixture *f = *state;
    char url[160];
    int start[2], status;

    for (int round = 0; round < ROUNDS; round++) {
        snprintf(url, sizeof url, "sqlite:%s/new-%d.db", f->dir, round);
        assert_int_equal(pipe(start), 0);
        for (int i = 0; i < PROCESSES; i++)
            if (fork() == 0) {
                close(start[1]);
                _exit(open_and_close(url, start[0]));
            }
        close(start[0]);
        close(start[1]);
        for (int i = 0; i < PROCESSES; i++) {
            assert_true(wait(&status) > 0);
            assert_int_equal(status, 0);
        }
    }
}

static void an_unknown_scheme_is_told_without_the_password(void **state)
{
    struct tide_err err = refused("kafka://user:secret@host");

    (void)state;
    assert_string_equal(err.code, "invalid");
    assert_non_null(strstr(err.message, "kafka"));
    assert_null(strstr(err.message, "secret"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(who_stands_still_loses_its_message),
        T(a_lease_is_renewed_while_its_loop_runs),
        T(leases_of_an_earlier_run_of_the_machine_have_ended),
        T(a_message_that_kills_every_holder_is_buried),
        T(looking_in_does_not_take_the_log_away),
        T(a_lock_of_another_process_is_waited_for_then_retryable),
        T(what_was_confirmed_outlives_its_process),
        T(a_full_disk_is_told_and_got_over),
        T(taking_goes_on_after_a_full_disk),
        T(close_on_a_full_disk_answers),
        T(bounds_the_bytes_that_wait),
        T(its_file_is_its_owners),
        T(ready_notices_that_the_file_is_gone),
        T(a_corrupt_file_is_named),
        T(corruption_met_at_work_is_told),
        T(takes_a_file_of_the_first_version),
        T(refuses_files_that_are_not_its_own),
        T(processes_make_the_file_together),
        T(an_unknown_scheme_is_told_without_the_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
