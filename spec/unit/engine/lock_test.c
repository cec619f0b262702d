#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/lock.h"

static void release(const char *dir)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

static void lets_one_in(void **state)
{
    char dir[] = "/tmp/tide-lock-XXXXXX", data[64], holder[32];
    struct tide_err err;
    int first, second;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(data, sizeof data, "%s/a/b", dir); /* made with what is above it */
    assert_true(tide_lock_data(data, &first, &err));
    assert_false(tide_lock_data(data, &second, &err));
    assert_string_equal(err.code, TIDE_ERR_CONFLICT);
    snprintf(holder, sizeof holder, "pid %d ", (int)getpid());
    assert_non_null(strstr(err.message, holder));
    assert_int_equal(second, -1);
    close(first);
    assert_true(tide_lock_data(data, &second, &err));
    close(second);
    release(dir);
}

static void is_free_when_its_holder_was_killed(void **state)
{
    char dir[] = "/tmp/tide-lock-XXXXXX";
    struct tide_err err;
    int pipes[2], fd, status;
    char byte;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = tide_lock_data(dir, &fd, &err);
        if (write(pipes[1], ok ? "y" : "n", 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_false(tide_lock_data(dir, &fd, &err));
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(tide_lock_data(dir, &fd, &err));
    close(fd);
    close(pipes[0]);
    close(pipes[1]);
    release(dir);
}

static void tells_what_is_no_directory(void **state)
{
    char dir[] = "/tmp/tide-lock-XXXXXX", path[64];
    struct tide_err err;
    int fd;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/file", dir);
    fclose(fopen(path, "w"));
    assert_false(tide_lock_data(path, &fd, &err));
    assert_non_null(strstr(err.message, "not a directory"));
    release(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_one_in),
        cmocka_unit_test(is_free_when_its_holder_was_killed),
        cmocka_unit_test(tells_what_is_no_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
