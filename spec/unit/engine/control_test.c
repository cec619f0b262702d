#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/control.h"

struct ends {
    uv_loop_t loop;
    struct tide_control control;
    int peer;
    struct tide_buf heard;
    int ended;
    bool close_at_line;
};

static void on_line(void *arg, const char *line)
{
    struct ends *ends = arg;

    tide_buf_printf(&ends->heard, "[%s]", line);
    if (ends->close_at_line)
        tide_control_close(&ends->control);
}

static void on_end(void *arg)
{
    ((struct ends *)arg)->ended++;
}

static void open_ends(struct ends *ends)
{
    struct tide_err err;
    int pair[2];

    memset(ends, 0, sizeof *ends);
    tide_buf_init(&ends->heard, 65536);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ends->peer = pair[1];
    uv_loop_init(&ends->loop);
    assert_true(tide_control_init(&ends->control, &ends->loop, pair[0], on_line, on_end, ends, &err));
}

static void release_ends(struct ends *ends)
{
    tide_control_close(&ends->control);
    uv_run(&ends->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&ends->loop), 0);
    tide_buf_release(&ends->heard);
    if (ends->peer >= 0)
        close(ends->peer);
}

static void say(struct ends *ends, const char *text)
{
    assert_int_equal(write(ends->peer, text, strlen(text)), strlen(text));
    uv_run(&ends->loop, UV_RUN_NOWAIT);
}

static void take_descriptor(void *arg, const char *line)
{
    struct ends *ends = arg;
    int fd = tide_control_take(&ends->control);
    char text[16] = "none";

    if (fd >= 0) {
        text[pread(fd, text, sizeof text - 1, 0)] = '\0';
        close(fd);
    }
    tide_buf_printf(&ends->heard, "[%s: %s]", line, text);
}

static void passes_descriptors_with_their_lines(void **state)
{
    struct ends ends;
    struct tide_control other;
    struct tide_err err;
    int fd = memfd_create("test", MFD_CLOEXEC), untaken = memfd_create("test", MFD_CLOEXEC);

    (void)state;
    open_ends(&ends);
    ends.control.on_line = take_descriptor;
    assert_true(tide_control_init(&other, &ends.loop, ends.peer, on_line, on_end, &ends, &err));
    ends.peer = -1;
    assert_int_equal(write(fd, "content", 7), 7);
    tide_control_send(&other, "before");
    tide_control_pass(&other, "prepare a", fd);
    tide_control_send(&other, "between");
    tide_control_pass(&other, "prepare b", fd);
    close(fd);
    for (int i = 0; i < 8; i++)
        uv_run(&ends.loop, UV_RUN_NOWAIT);
    assert_string_equal(ends.heard.data,
                        "[before: none][prepare a: content][between: none][prepare b: content]");
    ends.control.on_line = on_line;
    tide_control_pass(&other, "not taken", untaken); /* is closed with the control */
    close(untaken);
    for (int i = 0; i < 4; i++)
        uv_run(&ends.loop, UV_RUN_NOWAIT);
    tide_control_close(&other);
    release_ends(&ends);
}

static void hears_lines_in_any_pieces(void **state)
{
    struct ends ends;

    (void)state;
    open_ends(&ends);
    say(&ends, "rea");
    assert_int_equal(ends.heard.len, 0);
    say(&ends, "dy\n\nbundle gateway 3f");
    say(&ends, "\n");
    assert_string_equal(ends.heard.data, "[ready][][bundle gateway 3f]");
    assert_int_equal(ends.ended, 0);
    close(ends.peer);
    ends.peer = -1;
    uv_run(&ends.loop, UV_RUN_DEFAULT);
    assert_int_equal(ends.ended, 1);
    release_ends(&ends);
}

static void cuts_a_line_without_end(void **state)
{
    struct ends ends;
    char piece[1000];

    (void)state;
    open_ends(&ends);
    memset(piece, 'x', sizeof piece - 1);
    piece[sizeof piece - 1] = '\0';
    for (int i = 0; i < 30; i++)
        say(&ends, piece);
    say(&ends, "\nready\n");
    assert_true(ends.heard.len < 9000);
    assert_string_equal(ends.heard.data + ends.heard.len - 7, "[ready]");
    release_ends(&ends);
}

static void says_lines(void **state)
{
    struct ends ends;
    char text[64];

    (void)state;
    open_ends(&ends);
    tide_control_send(&ends.control, "drain");
    assert_int_equal(read(ends.peer, text, sizeof text), 6);
    assert_memory_equal(text, "drain\n", 6);
    close(ends.peer);
    ends.peer = -1;
    tide_control_send(&ends.control, "drain"); /* nobody is there: no SIGPIPE, no failure */
    uv_run(&ends.loop, UV_RUN_DEFAULT);
    assert_int_equal(ends.ended, 1);
    tide_control_send(&ends.control, "drain");
    release_ends(&ends);
}

static void is_closed_while_it_is_heard(void **state)
{
    struct ends ends;

    (void)state;
    open_ends(&ends);
    ends.close_at_line = true;
    say(&ends, "one\ntwo\n");
    assert_string_equal(ends.heard.data, "[one]");
    assert_int_equal(ends.ended, 0);
    release_ends(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_descriptors_with_their_lines),
        cmocka_unit_test(hears_lines_in_any_pieces),
        cmocka_unit_test(cuts_a_line_without_end),
        cmocka_unit_test(says_lines),
        cmocka_unit_test(is_closed_while_it_is_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
