/* A job's life: cancel, a child that dies or lies, back-pressure, the sandbox, options, what is told. */
#include <errno.h>
#include <math.h>
#include <sys/wait.h>

#include "fixture.h"
#include "media/job.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED 1
#else
#define INSTRUMENTED 0
#endif

static void expect_no_children(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* ---- cancel ---- */

static void cancel(struct run *run)
{
    assert_false(run->done);
    tide_media_cancel(run->job);
    uv_close((uv_handle_t *)&run->later, NULL);
}

static void expect_canceled(struct run *run)
{
    unsigned reads = run->reads, writes = run->writes;

    uv_run(&run->loop, UV_RUN_DEFAULT);
    assert_false(run->done);
    assert_int_equal(run->reads, reads);
    assert_int_equal(run->writes, writes);
    free_run(run);
    expect_no_children();
}

static void test_cancel_at_once(void **state)
{
    struct run *run = new_run_of_file(clip("clip-7s.mp4"));

    (void)state;
    start_job(run);
    cancel(run);
    expect_canceled(run);
}

static void test_cancel_in_progress(void **state)
{
    struct run *run = new_run_of_file(clip("demo.mp4"));

    (void)state;
    run->on_percent = cancel;
    start_job(run);
    uv_run(&run->loop, UV_RUN_DEFAULT);
    assert_int_equal(run->percent_count, 1);
    expect_canceled(run);
}

static void test_cancel_while_reading_and_writing(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct run *run = new_run_of_file(clip("clip-7s.mp4"));

        run->input_hangs = i == 0;
        run->sink_hangs = i == 1;
        start_job(run);
        while (i == 0 ? run->reads == 0 : run->writes == 0)
            uv_run(&run->loop, UV_RUN_ONCE);
        cancel(run);
        expect_canceled(run);
    }
}

/* ---- a child that dies ---- */

static void expect_death(int signal_number, const char *code, const char *part)
{
    struct run *run = new_run_of_file(clip("clip-7s.mp4"));

    run->sink_hangs = false;
    run->slow = true;
    start_job(run);
    while (run->writes == 0)
        uv_run(&run->loop, UV_RUN_ONCE);
    kill(run->job->process.pid, signal_number);
    uv_run(&run->loop, UV_RUN_DEFAULT);
    assert_true(run->done);
    expect_failure(run, code, part);
    free_run(run);
    expect_no_children();
}

static void test_killed_child(void **state)
{
    (void)state;
    expect_death(SIGKILL, TIDE_MEDIA_CRASHED, "SIGKILL");
    expect_death(SIGSYS, TIDE_MEDIA_CRASHED, "sandbox violation");
    expect_death(SIGXCPU, TIDE_ERR_LIMIT, "CPU time");
}

/* ---- a child that lies: a shell script in its place ---- */

#define U32(byte) "\\x" byte "\\0\\0\\0"
#define U64(byte) U32(byte) "\\0\\0\\0\\0"
#define MINUS "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff"

struct lie {
    const char *script, *code, *part;
};

static const struct lie lies[] = {
    {"exit 0", "crashed", "status 0 and no result"},
    {"exit 3", "crashed", "status 3"},
    {"kill -SEGV $$", "crashed", "SIGSEGV"},
    {"exec 3>&-; while :; do :; done", "timeout", "500 ms"},
    {"while :; do :; done", "timeout", "500 ms"},
    {"while :; do echo garbage; done >&3", "crashed", "too long"},
    {"printf '" U32("63") U32("00") "' >&3", "crashed", "unknown type"},
    {"printf '" U32("04") "\\xff\\xff\\xff\\xff' >&3", "crashed", "too long"},
    {"printf '" U32("03") U32("04") U32("00") "' >&3", "crashed", "READ"},
    {"printf '" U32("03") U32("10") MINUS U32("01") U32("00") "' >&3", "crashed", "READ out of range"},
    {"printf '" U32("03") U32("10") U64("05") U32("01") U32("00") "' >&3", "crashed", "READ out of range"},
    {"printf '" U32("03") U32("10") U64("00") U32("00") U32("00") "' >&3", "crashed", "READ out of range"},
    {"printf '" U32("03") U32("10") U64("00") "\\0\\0\\0\\x7f" U32("00") "' >&3", "crashed",
     "READ out of range"},
    {"printf '" U32("03") U32("10") U64("00") U32("01") U32("00") U32("03") U32("10") U64("00") U32("01")
         U32("00") U32("03") U32("10") U64("00") U32("01") U32("00") "' >&3",
     "crashed", "READ"},
    {"printf '" U32("04") U32("00") "' >&3", "crashed", "OUTPUT"},
    {"printf '" U32("05") U32("09") U64("00") "x' >&3", "crashed", "PATCH out of range"},
    {"printf '" U32("04") U32("04") "abcd" U32("05") U32("09") U64("04") "x' >&3", "crashed",
     "PATCH out of range"},
    {"printf '" U32("04") U32("04") "abcd" U32("05") U32("09") MINUS "x' >&3", "crashed",
     "PATCH out of range"},
    {"printf '" U32("04") U32("04") "abcd" U32("05") U32("09") U64("00") "x" U32("04") U32("01") "z' >&3",
     "crashed", "OUTPUT"},
    {"printf '" U32("06") U32("04") U32("65") "' >&3", "crashed", "PROGRESS out of range"},
    {"printf '" U32("06") U32("00") "' >&3", "crashed", "PROGRESS"},
    {"printf '" U32("07") U32("01") "x' >&3", "crashed", "RESULT"},
    {"printf '" U32("08") U32("00") "' >&3", "crashed", "ERROR"},
    {"printf '" U32("08") U32("04") U32("63") "' >&3", "crashed", "ERROR of unknown code"},
    {"printf '" U32("08") U32("08") U32("01") "a\\nb\\x80' >&3", "corrupt", "a?b?"},
    {"printf '" U32("08") U32("05") U32("01") "a' >&3; exit 7", "crashed", "status 7"},
    {"printf '" U32("01") U32("00") "' >&3", "crashed", "unknown type"},
    /* A frame that never ends. */
    {"printf '" U32("04") U32("04") "ab' >&3", "crashed", "no result"},
    {"for i in {1..3000}; do echo 0123456789 >&2; done; exit 1", "crashed", "status 1"},
};

static void test_lying_child(void **state)
{
    char dir[64], path[80], script[1024];

    (void)state;
    make_dir(dir);
    snprintf(path, sizeof path, "%s/helper", dir);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct run *run = new_run("abc", 4);

        snprintf(script, sizeof script, "#!/bin/bash\n%s\n", lies[i].script);
        write_file(path, script, strlen(script), 0700);
        run->request.helper = path;
        run->request.options.timeout_ms = strcmp(lies[i].code, "timeout") == 0 ? 500 : 30000;
        run_job(run);
        if (run->ok || strcmp(run->err.code, lies[i].code) != 0 || !strstr(run->err.message, lies[i].part))
            fail_msg("%s: %s: %s, expected %s: %s", lies[i].script, run->err.code, run->err.message,
                     lies[i].code, lies[i].part);
        free_run(run);
        expect_no_children();
    }
    remove_dir(dir);
}

/* A long row of small messages with callbacks that come at once must not pile up on the stack. */
static void test_many_small_outputs(void **state)
{
    static const char text[] = "#!/bin/bash\nf='" U32("04")
        U32("01") "x'\n"
                  "for i in {1..13}; do f=\"$f$f\"; done\nprintf \"$f\" >&3\nexit 9\n";
    struct run *run = new_run("abc", 3);
    char dir[64], path[80];

    (void)state;
    make_dir(dir);
    snprintf(path, sizeof path, "%s/helper", dir);
    write_file(path, text, strlen(text), 0700);
    run->request.helper = path;
    run_job(run);
    expect_failure(run, TIDE_MEDIA_CRASHED, "status 9");
    assert_int_equal(run->output.len, 8192);
    free_run(run);
    remove_dir(dir);
}

static void test_missing_helper(void **state)
{
    struct run *run = new_run("abc", 3);
    struct tide_err err = {0};

    (void)state;
    run->request.helper = "/nonexistent/helper";
    assert_null(tide_media_start(&run->loop, &run->log, &run->request, &err));
    assert_string_equal(err.code, TIDE_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "/nonexistent/helper"));
    uv_close((uv_handle_t *)&run->later, NULL);
    uv_run(&run->loop, UV_RUN_DEFAULT);
    free_run(run);
}

static void test_helper_that_is_no_program(void **state)
{
    struct run *run = new_run("abc", 3);
    struct tide_err err = {0};

    (void)state;
    run->request.helper = "/tmp";
    assert_null(tide_media_start(&run->loop, &run->log, &run->request, &err));
    assert_string_equal(err.code, TIDE_ERR_UNAVAILABLE);
    uv_close((uv_handle_t *)&run->later, NULL);
    uv_run(&run->loop, UV_RUN_DEFAULT);
    free_run(run);
    expect_no_children();
}

/* ---- the sandbox ---- */

static void expect_in_proc(int pid, const char *file, const char *line)
{
    char path[64], text[8192];
    FILE *from;
    size_t n;

    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    from = fopen(path, "r");
    if (!from)
        fail_msg("%s cannot be read", path);
    n = fread(text, 1, sizeof text - 1, from);
    text[n] = '\0';
    fclose(from);
    if (!strstr(text, line))
        fail_msg("%s does not say \"%s\":\n%s", path, line, text);
}

/* Looks at the child when it waits for its first untrusted byte. */
static void test_sandbox_is_up_before_the_first_byte(void **state)
{
    struct run *run = new_run_of_file(clip("clip-7s.mp4"));
    int pid;

    (void)state;
    run->input_hangs = true;
    start_job(run);
    while (run->reads == 0)
        uv_run(&run->loop, UV_RUN_ONCE);
    pid = run->job->process.pid;
    expect_in_proc(pid, "status", "NoNewPrivs:\t1");
    expect_in_proc(pid, "limits", "Max file size             0                    0 ");
    expect_in_proc(pid, "limits", "Max cpu time              1200                 1201");
    expect_in_proc(pid, "limits", "Max core file size        0                    0 ");
    if (!INSTRUMENTED) {
        expect_in_proc(pid, "status", "Seccomp:\t2");
        expect_in_proc(pid, "limits", "Max address space         1073741824           1073741824");
        expect_in_proc(pid, "limits", "Max open files            4                    4 ");
    }
    cancel(run);
    expect_canceled(run);
}

static void test_sandbox_stops_an_intruder(void **state)
{
    char command[1024];

    (void)state;
    if (INSTRUMENTED)
        skip(); /* see sandbox.c */
    assert_non_null(getenv("TIDEMILL_MEDIA_HELPER"));
    snprintf(command, sizeof command, "'%s' --check-sandbox >&2", getenv("TIDEMILL_MEDIA_HELPER"));
    assert_int_equal(system(command), 0);
}

/* ---- back-pressure, progress, probe, title, options ---- */

static void test_slow_sink_gives_the_same_bytes(void **state)
{
    struct run *quick = new_run_of_file(clip("demo.mp4")), *slow = new_run_of_file(clip("demo.mp4"));

    (void)state;
    slow->slow = true;
    quick->request.options.quality = slow->request.options.quality = "320k";
    run_job(quick);
    run_job(slow);
    expect_success(quick);
    expect_success(slow);
    assert_int_equal(slow->output.len, quick->output.len);
    assert_memory_equal(slow->output.data, quick->output.data, quick->output.len);
    assert_true(quick->result.output_bytes > 20 * 320000 / 8);
    assert_true(quick->percent_count > 0);
    free_run(quick);
    free_run(slow);
}

/* The index at the end of a large file costs a few round trips, not one for every jump. */
static void test_few_round_trips(void **state)
{
    struct run *run = new_run_of_file(clip("demo.mp4"));

    (void)state;
    run_job(run);
    expect_success(run);
    assert_in_range(run->reads, 1, 16);
    assert_true(run->bytes_read <= run->input.length + 256 * 1024);
    free_run(run);
}

static void test_probe(void **state)
{
    struct run *run = new_run_of_file(clip("opus.webm"));

    (void)state;
    run->request.output = NULL;
    run->request.patch = NULL;
    run_job(run);
    expect_success(run);
    assert_string_equal(run->result.container, "matroska");
    assert_string_equal(run->result.codec, "opus");
    assert_int_equal(run->result.sample_rate, 48000);
    assert_int_equal(run->result.channels, 2);
    assert_in_range(run->result.duration_ms, 6900, 7100);
    assert_int_equal(run->result.output_bytes, 0);
    free_run(run);
}

static void expect_title(const char *title, const char *read_back)
{
    struct run *run = new_run_of_file(clip("clip.m4a"));
    char dir[64], path[80], command[256], text[512];

    make_dir(dir);
    snprintf(path, sizeof path, "%s/out.mp3", dir);
    run->request.options.title = title;
    run_job(run);
    expect_success(run);
    write_file(path, run->output.data, run->output.len, 0600);
    snprintf(command, sizeof command,
             "ffprobe -v error -show_entries format_tags=title -of default=nw=1:nk=1 '%s'", path);
    output_of(command, text, sizeof text);
    assert_string_equal(text, read_back);
    free_run(run);
    remove_dir(dir);
}

static void test_title(void **state)
{
    (void)state;
    expect_title("", "");
    expect_title("Plain", "Plain");
    expect_title("Gr\xC3\xBC\xC3\x9F"
                 "e \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x8E\xB5",
                 "Gr\xC3\xBC\xC3\x9F"
                 "e \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x8E\xB5");
    expect_title("bad\xFF\xC3", "bad\xEF\xBF\xBD\xEF\xBF\xBD");
}

static void test_without_patch(void **state)
{
    struct run *run = new_run_of_file(clip("clip.wav"));

    (void)state;
    run->request.patch = NULL;
    run_job(run);
    expect_success(run);
    assert_int_equal(run->patches, 0);
    assert_true(run->output.len > 1000);
    assert_null(memmem(run->output.data, 1000, "Xing", 4));
    free_run(run);
}

/* The header that was written last lies in front and is right: see also the exact lengths of transcode_test.
 */
static void test_header(void **state)
{
    static const struct {
        const char *quality, *mark;
    } cases[] = {{"V2", "Xing"}, {"V9", "Xing"}, {"128k", "Info"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run *run = new_run_of_file(clip("clip.wav"));
        const unsigned char *mark;
        uint32_t frames, bytes;

        run->request.options.quality = cases[i].quality;
        run_job(run);
        expect_success(run);
        mark = memmem(run->output.data, 200, cases[i].mark, 4);
        assert_non_null(mark);
        assert_int_equal(mark[7] & 15, 15); /* frames, bytes, table of contents and quality are there */
        frames = (uint32_t)mark[8] << 24 | (uint32_t)mark[9] << 16 | (uint32_t)mark[10] << 8 | mark[11];
        bytes = (uint32_t)mark[12] << 24 | (uint32_t)mark[13] << 16 | (uint32_t)mark[14] << 8 | mark[15];
        assert_int_equal(frames, (7 * 44100 + 576 + 1151 + 288) / 1152);
        assert_int_equal(bytes, run->output.len);
        free_run(run);
    }
}

static void expect_refused(struct run *run, const char *part)
{
    struct tide_err err = {0};

    assert_null(tide_media_start(&run->loop, &run->log, &run->request, &err));
    assert_string_equal(err.code, TIDE_ERR_INVALID);
    if (!strstr(err.message, part))
        fail_msg("\"%s\" does not say \"%s\"", err.message, part);
    memset(&run->request.options, 0, sizeof run->request.options);
}

static void test_options(void **state)
{
    static const char *const qualities[] = {"",     "V",    "V10",   "v2",    "V-1",  "128",
                                            "127k", "512k", "128kk", " 128k", "+128k"};
    struct run *run = new_run("abc", 3);
    struct tide_media_options *options = &run->request.options;
    char title[1100];

    (void)state;
    memset(title, 'x', sizeof title);
    title[sizeof title - 1] = '\0';
    options->format = "ogg";
    expect_refused(run, "format: \"ogg\" is not \"mp3\"");
    for (size_t i = 0; i < sizeof qualities / sizeof *qualities; i++) {
        options->quality = qualities[i];
        expect_refused(run, "quality: ");
    }
    options->channels = 3;
    expect_refused(run, "channels: 3 is not 1, 2");
    options->gain_db = 31;
    expect_refused(run, "gain: 31 dB is not within -60 to 30");
    options->gain_db = NAN;
    expect_refused(run, "gain: ");
    options->sample_rate = 44000;
    expect_refused(run, "sample_rate: 44000 is not 8000");
    options->title = title;
    expect_refused(run, "title: 1099 bytes");
    options->max_duration_ms = -1;
    expect_refused(run, "max_duration_ms: -1");
    options->max_output = -1;
    expect_refused(run, "max_output: -1");
    options->max_memory = 1000;
    expect_refused(run, "max_memory: 1000");
    options->max_cpu_ms = -5;
    expect_refused(run, "max_cpu_ms: -5");
    options->timeout_ms = INT64_MAX;
    expect_refused(run, "timeout_ms: ");
    uv_close((uv_handle_t *)&run->later, NULL);
    uv_run(&run->loop, UV_RUN_DEFAULT);
    free_run(run);
}

static void test_shape_is_obeyed(void **state)
{
    struct run *run = new_run_of_file(clip("clip-7s.mp4"));

    (void)state;
    run->request.options.channels = 1;
    run->request.options.sample_rate = 22050;
    run->request.options.quality = "64k";
    run_job(run);
    expect_success(run);
    assert_int_equal(run->result.channels, 1);
    assert_int_equal(run->result.sample_rate, 22050);
    assert_in_range(run->result.duration_ms, 6990, 7040);
    assert_in_range(run->output.len, 7 * 8000 - 1000, 7 * 8000 + 2000);
    free_run(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel_at_once),
        cmocka_unit_test(test_cancel_in_progress),
        cmocka_unit_test(test_cancel_while_reading_and_writing),
        cmocka_unit_test(test_killed_child),
        cmocka_unit_test(test_lying_child),
        cmocka_unit_test(test_many_small_outputs),
        cmocka_unit_test(test_missing_helper),
        cmocka_unit_test(test_helper_that_is_no_program),
        cmocka_unit_test(test_sandbox_is_up_before_the_first_byte),
        cmocka_unit_test(test_sandbox_stops_an_intruder),
        cmocka_unit_test(test_slow_sink_gives_the_same_bytes),
        cmocka_unit_test(test_few_round_trips),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_title),
        cmocka_unit_test(test_without_patch),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_shape_is_obeyed),
    };

    return cmocka_run_group_tests(tests, make_clips, NULL);
}
