/*
 * The loop of a test, which has to be left as it was found. Who uses it: the fixtures of spec/unit. Closing
 * it fails the test when a handle is still open (by its type), a request is still under way, or a file
 * descriptor of the process is open that was not before.
 */
#ifndef SPEC_UNIT_LOOP_H
#define SPEC_UNIT_LOOP_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

static inline int open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* What to hand to loop_close. */
static inline int loop_open(uv_loop_t *loop)
{
    int files;

    /* The first loop of a process opens a pipe for signals that stays. */
    assert_int_equal(uv_loop_init(loop), 0);
    assert_int_equal(uv_loop_close(loop), 0);
    files = open_files();
    assert_int_equal(uv_loop_init(loop), 0);
    return files;
}

static inline void name_handle(uv_handle_t *handle, void *arg)
{
    if (!uv_is_closing(handle))
        print_error("left open: a handle of type %s%s\n", uv_handle_type_name(handle->type),
                    uv_is_active(handle) ? ", active" : "");
    (void)arg;
}

static inline void show_files(void)
{
    char path[64], target[256];

    for (int fd = 0; fd < 1024; fd++) {
        ssize_t n;

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        n = readlink(path, target, sizeof target - 1);
        if (n > 0)
            print_error("open: %d %.*s\n", fd, (int)n, target);
    }
}

/* `files`: what loop_open gave. Runs the loop until nothing is left that keeps it alive. */
static inline void loop_close(uv_loop_t *loop, int files)
{
    uv_run(loop, UV_RUN_DEFAULT);
    uv_walk(loop, name_handle, NULL);
    assert_int_equal(uv_loop_close(loop), 0);
    if (open_files() != files)
        show_files();
    assert_int_equal(open_files(), files);
}

#endif
