/* What a crash, a full disk or another process may do at any moment. */
#include "blob/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#define BIG (700 * 1024)

/* The calls that change a disk, of the store and of SQLite, go through here: each is a moment to die or fail
 * at. */
static atomic_int calls, die_at, fail_at;
static bool only_named; /* as on a file system without O_TMPFILE */

/* True when the call has to fail as on a full disk. */
static bool disk_call(void)
{
    int n = atomic_fetch_add(&calls, 1) + 1;

    if (n == atomic_load(&die_at))
        kill(getpid(), SIGKILL);
    if (atomic_load(&fail_at) == 0 || n < atomic_load(&fail_at))
        return false;
    errno = ENOSPC;
    return true;
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    return disk_call() ? -1 : syscall(SYS_pwrite64, fd, buf, n, offset);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
    return disk_call() ? -1 : syscall(SYS_pwrite64, fd, buf, n, offset);
}

/* The index's log is written before it is synced, so that a full disk shows there already. */
static bool is_index(int fd)
{
    char path[40], target[256] = "";

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return readlink(path, target, sizeof target - 1) > 0 && strstr(target, "index.db");
}

int fsync(int fd)
{
    return disk_call() && !is_index(fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return disk_call() && !is_index(fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    return disk_call() ? -1 : (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int renameat(int from, const char *old, int to, const char *new)
{
    return disk_call() ? -1 : (int)syscall(SYS_renameat, from, old, to, new);
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list args;
    int mode;

    va_start(args, flags);
    mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
    va_end(args);
    if (only_named && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int unlinkat(int dir, const char *name, int flags)
{
    disk_call(); /* a full disk can still remove */
    return (int)syscall(SYS_unlinkat, dir, name, flags);
}

/* Makes every file look old enough for the sweep, which is run by opening the store. */
static void age_and_sweep(void)
{
    char command[160];

    snprintf(command, sizeof command, "find %s -type f ! -name 'index.db*' -exec touch -d '1 hour ago' {} +",
             root);
    assert_int_equal(system(command), 0);
    open_store();
    uv_run(&loop, UV_RUN_DEFAULT);
    close_store();
}

static int wait_child(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* Stores `id`, and tells through the pipe that the commit was acknowledged. */
static void child_puts(const struct tide_id *id, unsigned seed, int out)
{
    struct result r;

    open_store();
    uv_run(&loop, UV_RUN_DEFAULT);
    r = put("videos", id, BIG, 100000, seed, "{\"state\":\"pending\"}");
    if (!r.code[0] && write(out, "y", 1) != 1)
        _exit(2);
    close_store();
    _exit(r.code[0] ? 1 : 0);
}

static void dies_at(int moment, const struct tide_id *id, bool *acknowledged, bool *ended)
{
    int ends[2], status;
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        atomic_store(&calls, 0);
        atomic_store(&die_at, moment);
        child_puts(id, 7, ends[1]);
    }
    close(ends[1]);
    *acknowledged = read(ends[0], &byte, 1) == 1;
    close(ends[0]);
    status = wait_child(pid);
    *ended = WIFEXITED(status);
    if (*ended)
        assert_int_equal(WEXITSTATUS(status), 0);
    else
        assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* The file is there whole or not at all, and its id can be stored (again). */
static void expect_whole_or_nothing(const struct tide_id *id, bool acknowledged)
{
    struct result r;

    open_store();
    r = open_blob("videos", id);
    if (r.code[0]) {
        assert_string_equal(r.code, TIDE_ERR_NOT_FOUND);
        assert_false(acknowledged);
        assert_string_equal(put("videos", id, BIG, BIG, 7, NULL).code, "");
    } else {
        tide_blob_reader_close(r.reader);
        assert_string_equal(put("videos", id, BIG, BIG, 8, NULL).code, TIDE_ERR_EXISTS);
    }
    expect_content("videos", id, BIG, 7);
    close_store();
}

/* Every moment from the start of the store to its end. */
static void survives_a_kill_between_any_two_steps(void **state)
{
    int moments = 0, lost = 0, kept = 0;

    (void)state;
    for (bool ended = false; !ended; moments++) {
        struct tide_id id = tide_id_new();
        bool acknowledged;

        dies_at(moments + 1, &id, &acknowledged, &ended);
        if (acknowledged)
            kept++;
        else
            lost++;
        expect_whole_or_nothing(&id, acknowledged);
        assert_true(moments < 300);
    }
    assert_true(moments > 8);
    assert_true(lost > 5 && kept >= 1);
    age_and_sweep();
    assert_int_equal(count_files(), moments);
}

static void survives_a_kill_at_any_time(void **state)
{
    int acknowledged = 0;

    (void)state;
    for (int i = 0; i < 25; i++) {
        struct tide_id id = tide_id_new();
        int ends[2];
        char byte;
        bool told;
        pid_t pid;

        assert_int_equal(pipe(ends), 0);
        pid = fork();
        if (pid == 0)
            child_puts(&id, 7, ends[1]);
        close(ends[1]);
        usleep((useconds_t)(i * 700));
        kill(pid, SIGKILL);
        wait_child(pid);
        told = read(ends[0], &byte, 1) == 1;
        close(ends[0]);
        acknowledged += told;
        expect_whole_or_nothing(&id, told);
    }
    age_and_sweep();
    assert_int_equal(count_files(), 25);
}

static void a_leftover_of_the_same_id_is_in_nobodys_way(void **state)
{
    struct tide_id id = tide_id_new();
    char command[512];

    (void)state;
    snprintf(command, sizeof command,
             "mkdir -p %s/store/videos/%s && echo half > %s/store/videos/%s/%s.00c0ffee", root, id.hex + 22,
             root, id.hex + 22, id.hex);
    assert_int_equal(system(command), 0);
    open_store();
    assert_string_equal(open_blob("videos", &id).code, TIDE_ERR_NOT_FOUND);
    assert_string_equal(put("videos", &id, 100, 100, 1, NULL).code, "");
    expect_content("videos", &id, 100, 1);
    assert_int_equal(count_files(), 2);
    close_store();
    age_and_sweep();
    assert_int_equal(count_files(), 1);
    open_store();
    expect_content("videos", &id, 100, 1);
    close_store();
}

/* A sweep that takes them for old leaves what living writers have in the works, and removes what dead ones
 * had. */
static void a_sweep_spares_living_writers(void **state)
{
    char *data = make_bytes(BIG, 3), command[256];
    struct tide_blob_store *second;
    struct tide_blob_writer *w;
    struct tide_id id = tide_id_new();

    (void)state;
    open_store();
    w = create("videos", &id);
    assert_string_equal(write_bytes(w, data, BIG).code, "");
    assert_int_equal(count_files(), 1); /* it has a name */
    snprintf(command, sizeof command, "touch %s/store/.tmp/dead && touch -d '1 hour ago' %s/store/.tmp/*",
             root, root);
    assert_int_equal(system(command), 0);
    second = tide_blob_store_open(&loop, NULL, url, NULL);
    assert_non_null(second);
    uv_run(&loop, UV_RUN_DEFAULT); /* its sweep comes to its end */
    tide_blob_store_close(second);
    assert_int_equal(count_files(), 1);
    assert_string_equal(commit(w, "x", NULL).code, "");
    tide_blob_writer_close(w);
    expect_content("videos", &id, BIG, 3);
    close_store();
    assert_int_equal(count_files(), 1);
    free(data);
}

/* Each of them is one process that commits the same ids as the others. */
static void one_of_many_processes_wins(void **state)
{
    enum { PROCESSES = 4, IDS = 20 };
    struct tide_id ids[IDS];
    pid_t pids[PROCESSES];
    int won[PROCESSES], sum = 0;

    (void)state;
    for (int i = 0; i < IDS; i++)
        ids[i] = tide_id_new();
    for (unsigned p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        if (pids[p] == 0) {
            int n = 0;

            open_store();
            for (int i = 0; i < IDS; i++) {
                struct result r = put("mp3s", &ids[i], 1000 + p, 1000, p, NULL);

                if (r.code[0] && strcmp(r.code, TIDE_ERR_EXISTS) != 0)
                    _exit(200);
                n += r.code[0] == '\0';
            }
            close_store();
            _exit(n);
        }
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status = wait_child(pids[p]);

        assert_true(WIFEXITED(status));
        won[p] = WEXITSTATUS(status);
        sum += won[p];
    }
    assert_int_equal(sum, IDS);
    open_store();
    for (int i = 0; i < IDS; i++) {
        struct result r = open_blob("mp3s", &ids[i]);
        unsigned winner = (unsigned)tide_blob_reader_info(r.reader)->length - 1000;

        tide_blob_reader_close(r.reader);
        assert_true(winner < PROCESSES);
        won[winner]--;
        expect_content("mp3s", &ids[i], 1000 + winner, winner);
    }
    for (int p = 0; p < PROCESSES; p++)
        assert_int_equal(won[p], 0);
    close_store();
    assert_int_equal(count_files(), IDS);
}

/* From the n-th call on nothing can be written any more. */
static void a_full_disk_stores_nothing_by_halves(void **state)
{
    int n = 0, full = 0;
    bool stored = false;

    (void)state;
    for (n = 1; !stored; n++) {
        struct tide_id id = tide_id_new();
        struct result r;
        int files = 0;

        open_store();
        uv_run(&loop, UV_RUN_DEFAULT);
        files = count_files();
        atomic_store(&calls, 0);
        atomic_store(&fail_at, n);
        r = put("videos", &id, BIG, 100000, 7, NULL);
        uv_run(&loop, UV_RUN_DEFAULT); /* what was written is dropped after that was told */
        atomic_store(&fail_at, 0);
        stored = r.code[0] == '\0';
        if (!stored) {
            if (strcmp(r.code, TIDE_ERR_FULL) != 0)
                fail_msg("moment %d: %s: %s", n, r.code, r.message);
            full++;
            assert_int_equal(count_files(), files);
            assert_string_equal(open_blob("videos", &id).code, TIDE_ERR_NOT_FOUND);
            assert_string_equal(put("videos", &id, BIG, BIG, 7, NULL).code, "");
        }
        expect_content("videos", &id, BIG, 7);
        close_store();
        assert_true(n < 100);
    }
    assert_true(full > 4);
}

static void a_file_size_limit_is_a_full_disk(void **state)
{
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        struct rlimit limit = {300000, 300000};
        struct result r;

        open_store();
        setrlimit(RLIMIT_FSIZE, &limit);
        r = put("videos", NULL, BIG, 100000, 7, NULL);
        close_store();
        _exit(strcmp(r.code, TIDE_ERR_FULL) == 0 && count_files() == 0 ? 0 : 1);
    }
    assert_int_equal(wait_child(pid), 0);
}

static void many_processes_start_together(void **state)
{
    pid_t pids[12];

    (void)state;
    for (int i = 0; i < 12; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            open_store();
            close_store();
            _exit(0);
        }
    }
    for (int i = 0; i < 12; i++)
        assert_int_equal(wait_child(pids[i]), 0);
}

static int make_named(void **state)
{
    only_named = true;
    return make_root(state);
}

static int remove_named(void **state)
{
    only_named = false;
    return remove_root(state);
}

static struct CMUnitTest named(const char *name, CMUnitTestFunction test)
{
    return (struct CMUnitTest){name, test, make_named, remove_named, NULL};
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)
#define NAMED(f) named(#f " (named)", f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(survives_a_kill_between_any_two_steps),
        TEST(survives_a_kill_at_any_time),
        TEST(a_leftover_of_the_same_id_is_in_nobodys_way),
        NAMED(survives_a_kill_between_any_two_steps),
        NAMED(survives_a_kill_at_any_time),
        NAMED(a_sweep_spares_living_writers),
        NAMED(a_full_disk_stores_nothing_by_halves),
        TEST(one_of_many_processes_wins),
        TEST(a_full_disk_stores_nothing_by_halves),
        TEST(a_file_size_limit_is_a_full_disk),
        TEST(many_processes_start_together),
    };
    return cmocka_run_group_tests_name("blob/crash", tests, NULL, NULL);
}
