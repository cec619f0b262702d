/*
 * For the tests of core/media: clips made by spec/media/generate, an input over a file or bytes, an output in
 * memory, and one job run to its end. Every job's loop must end with no handle left open.
 */
#ifndef SPEC_UNIT_MEDIA_FIXTURE_H
#define SPEC_UNIT_MEDIA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "media/media.h"

#define OUTPUT_MAX (64 * 1024 * 1024)

static char clips[512]; /* the directory */

/* Makes the clips beside this test's executable, so that a second run finds them. A group setup. */
static inline int make_clips(void **state)
{
    char command[1200], *slash;
    ssize_t n = readlink("/proc/self/exe", clips, sizeof clips - 16);

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    setenv("UBSAN_OPTIONS", "halt_on_error=1",
           0); /* so that the child of a sanitizer build can't just mumble */
    assert_true(n > 0);
    clips[n] = '\0';
    slash = strrchr(clips, '/');
    assert_non_null(slash);
    strcpy(slash, "/clips");
    snprintf(command, sizeof command, "spec/media/generate '%s'", clips);
    if (system(command) != 0) {
        fprintf(stderr, "the clips cannot be made: is the ffmpeg program installed, and is this run from the "
                        "repository's root?\n");
        return -1;
    }
    return 0;
}

static inline const char *clip(const char *name)
{
    static char path[4][640];
    static unsigned next;
    char *to = path[next++ % 4];

    snprintf(to, sizeof path[0], "%s/%s", clips, name);
    return to;
}

struct run {
    uv_loop_t loop;
    struct tide_log log;
    struct tide_media_job *job;
    struct tide_media_request request;

    /* input */
    struct tide_media_input input;
    char *bytes;
    int64_t bytes_read;
    unsigned reads;
    bool input_fails, input_hangs;

    /* output */
    struct tide_sink sink;
    struct tide_buf output;
    unsigned writes, patches;
    size_t sink_room; /* bytes after which the sink fails with TIDE_ERR_FULL */
    bool slow;        /* callbacks come from the loop, not inside the call */
    bool sink_hangs;
    uv_timer_t later;
    tide_write_cb *later_cb;
    void *later_arg;
    struct tide_err later_err;

    /* what came */
    bool started, done;
    bool ok;
    struct tide_media_result result;
    struct tide_err err;
    int percents[128];
    int percent_count;
    void (*on_percent)(struct run *run);
};

static inline struct run *run_of(void *member, size_t offset)
{
    return (struct run *)((char *)member - offset);
}

static inline void read_bytes(struct tide_media_input *input, int64_t offset, void *buf, size_t len,
                              tide_read_cb *cb, void *arg)
{
    struct run *run = run_of(input, offsetof(struct run, input));
    size_t left = (size_t)(input->length - offset);
    struct tide_err err;

    run->reads++;
    if (run->input_hangs)
        return;
    if (run->input_fails) {
        tide_err_set(&err, TIDE_ERR_UNAVAILABLE, true, "the store is away");
        cb(arg, -1, &err);
        return;
    }
    assert_true(offset >= 0 && offset <= input->length);
    if (len > left)
        len = left;
    memcpy(buf, run->bytes + offset, len);
    run->bytes_read += (int64_t)len;
    cb(arg, (ssize_t)len, NULL);
}

static inline void answer_later(uv_timer_t *timer)
{
    struct run *run = run_of(timer, offsetof(struct run, later));
    tide_write_cb *cb = run->later_cb;

    run->later_cb = NULL;
    cb(run->later_arg, run->later_err.code ? &run->later_err : NULL);
}

/* Ends a write or patch, now or from the loop. */
static inline void answer(struct run *run, const struct tide_err *err, tide_write_cb *cb, void *arg)
{
    if (!run->slow) {
        cb(arg, err);
        return;
    }
    assert_null(run->later_cb); /* one at a time */
    run->later_cb = cb;
    run->later_arg = arg;
    run->later_err = err ? *err : (struct tide_err){0};
    uv_timer_start(&run->later, answer_later, 1, 0);
}

static inline void take_bytes(struct tide_sink *sink, const void *data, size_t len, tide_write_cb *cb,
                              void *arg)
{
    struct run *run = run_of(sink, offsetof(struct run, sink));
    struct tide_err err;

    run->writes++;
    if (run->sink_hangs)
        return;
    if (len > run->sink_room - run->output.len) {
        tide_err_set(&err, TIDE_ERR_FULL, true, "no space left");
        answer(run, &err, cb, arg);
        return;
    }
    assert_true(tide_buf_append(&run->output, data, len));
    answer(run, NULL, cb, arg);
}

static inline void patch_bytes(void *patch_arg, int64_t offset, const void *data, size_t len,
                               tide_write_cb *cb, void *arg)
{
    struct run *run = patch_arg;

    run->patches++;
    assert_true(offset >= 0 && (size_t)offset + len <= run->output.len);
    memcpy(run->output.data + offset, data, len);
    answer(run, NULL, cb, arg);
}

static inline void on_done(void *arg, const struct tide_media_result *result, const struct tide_err *err)
{
    struct run *run = arg;

    assert_true(run->started);
    assert_false(run->done);
    assert_true((result == NULL) != (err == NULL));
    run->done = true;
    run->ok = result != NULL;
    if (result)
        run->result = *result;
    else
        run->err = *err;
    uv_close((uv_handle_t *)&run->later, NULL);
}

static inline void on_percent(void *arg, int percent)
{
    struct run *run = arg;

    assert_true(run->percent_count < 128);
    assert_true(percent >= 0 && percent <= 100);
    if (run->percent_count > 0)
        assert_true(percent > run->percents[run->percent_count - 1]);
    run->percents[run->percent_count++] = percent;
    if (run->on_percent)
        run->on_percent(run);
}

static const struct tide_sink_ops sink_ops = {.write = take_bytes};

/* A job over `len` bytes (copied), with an output that can be patched; change it, then run_job. */
static inline struct run *new_run(const void *bytes, size_t len)
{
    struct run *run = calloc(1, sizeof *run);

    assert_non_null(run);
    run->bytes = malloc(len + 1);
    assert_non_null(run->bytes);
    if (len)
        memcpy(run->bytes, bytes, len);
    assert_int_equal(uv_loop_init(&run->loop), 0);
    uv_timer_init(&run->loop, &run->later);
    tide_log_init(&run->log, STDERR_FILENO, TIDE_LOG_JSON, TIDE_LOG_ERROR, "test");
    tide_buf_init(&run->output, OUTPUT_MAX);
    run->sink_room = OUTPUT_MAX;
    run->sink.ops = &sink_ops;
    run->input = (struct tide_media_input){read_bytes, (int64_t)len};
    run->request = (struct tide_media_request){.input = &run->input,
                                               .output = &run->sink,
                                               .patch = patch_bytes,
                                               .patch_arg = run,
                                               .progress = on_percent,
                                               .done = on_done,
                                               .arg = run};
    run->request.options.timeout_ms = 60000;
    return run;
}

static inline struct run *new_run_of_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    struct run *run;
    char *bytes;

    if (!file)
        fail_msg("%s cannot be opened", path);
    assert_int_equal(fstat(fileno(file), &st), 0);
    bytes = malloc((size_t)st.st_size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)st.st_size, file), st.st_size);
    fclose(file);
    run = new_run(bytes, (size_t)st.st_size);
    free(bytes);
    return run;
}

static inline void start_job(struct run *run)
{
    struct tide_err err = {0};

    run->job = tide_media_start(&run->loop, &run->log, &run->request, &err);
    if (!run->job)
        fail_msg("the job does not start: %s: %s", err.code, err.message);
    run->started = true;
}

static inline void run_job(struct run *run)
{
    start_job(run);
    uv_run(&run->loop, UV_RUN_DEFAULT);
    assert_true(run->done);
}

/* Fails when a handle was left open. */
static inline void free_run(struct run *run)
{
    assert_int_equal(uv_loop_close(&run->loop), 0);
    tide_buf_release(&run->output);
    free(run->bytes);
    free(run);
}

static inline void expect_failure(struct run *run, const char *code, const char *part)
{
    if (run->ok)
        fail_msg("the job succeeded, expected %s", code);
    if (strcmp(run->err.code, code) != 0)
        fail_msg("%s: %s, expected %s", run->err.code, run->err.message, code);
    if (!strstr(run->err.message, part))
        fail_msg("\"%s\" does not say \"%s\"", run->err.message, part);
}

static inline void expect_success(struct run *run)
{
    if (!run->ok)
        fail_msg("%s: %s", run->err.code, run->err.message);
}

/* A path in a new directory of its own. */
static inline void make_dir(char dir[64])
{
    strcpy(dir, "/tmp/tidemill-media-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

static inline void remove_dir(const char *dir)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

static inline void write_file(const char *path, const void *data, size_t len, mode_t mode)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

/* What a command prints, without the newline at its end. */
static inline void output_of(const char *command, char *text, size_t size)
{
    FILE *pipe = popen(command, "r");
    size_t n;

    assert_non_null(pipe);
    n = fread(text, 1, size - 1, pipe);
    text[n] = '\0';
    if (pclose(pipe) != 0)
        fail_msg("failed: %s", command);
    text[strcspn(text, "\n")] = '\0';
}

/* Samples of one channel that ffmpeg decodes from a file's sound. */
static inline long samples_of(const char *path)
{
    char command[1024], text[64];

    snprintf(command, sizeof command, "ffmpeg -nostdin -v error -i '%s' -map 0:a:0 -ac 1 -f s16le - | wc -c",
             path);
    output_of(command, text, sizeof text);
    return atol(text) / 2;
}

#endif
