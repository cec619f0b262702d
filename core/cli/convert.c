/* tidemill convert: the media part alone, from file to file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/unit.h"
#include "cli/command.h"
#include "engine/services.h"
#include "media/media.h"

#define MAX_PATH 4096
#define BAR 40

struct conversion {
    struct tide_media_input input; /* first: what read_at gets */
    struct tide_sink sink;
    int in_fd, out_fd;
    int64_t written;
    const char *in_name, *out_name;
    char temporary[MAX_PATH];
    bool json, force, terminal;
    int64_t timeout_ms; /* 0: the default's */
    int shown;          /* percent */
    struct tide_media_job *job;
    struct tide_media_result result;
    struct tide_err err;
    bool good;
    uv_loop_t loop;
    uv_signal_t interrupt, term;
};

/* ---- files as input and sink; a local disk may block this process, nobody waits for it ---- */

static void read_at(struct tide_media_input *input, int64_t offset, void *buf, size_t len, tide_read_cb *cb,
                    void *arg)
{
    struct conversion *conversion = (struct conversion *)input;
    struct tide_err err;
    ssize_t n;

    do
        n = pread(conversion->in_fd, buf, len, offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        tide_err_errno(&err, errno, conversion->in_name);
    cb(arg, n, n < 0 ? &err : NULL);
}

static void write_bytes(struct conversion *conversion, const char *data, size_t len, int64_t offset,
                        tide_write_cb *cb, void *arg)
{
    struct tide_err err;

    while (len > 0) {
        ssize_t n = pwrite(conversion->out_fd, data, len, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            tide_err_errno(&err, errno, conversion->out_name);
            cb(arg, &err);
            return;
        }
        data += n;
        len -= (size_t)n;
        offset += n;
    }
    cb(arg, NULL);
}

static void sink_write(struct tide_sink *sink, const void *data, size_t len, tide_write_cb *cb, void *arg)
{
    struct conversion *conversion = (struct conversion *)((char *)sink - offsetof(struct conversion, sink));
    int64_t offset = conversion->written;

    conversion->written += (int64_t)len;
    write_bytes(conversion, data, len, offset, cb, arg);
}

static void sink_close(struct tide_sink *sink)
{
    (void)sink;
}

static void patch(void *arg, int64_t offset, const void *data, size_t len, tide_write_cb *cb, void *cb_arg)
{
    write_bytes(arg, data, len, offset, cb, cb_arg);
}

/* ---- progress ---- */

static void on_progress(void *arg, int percent)
{
    struct conversion *conversion = arg;
    char bar[BAR + 1];

    if (conversion->json || percent == conversion->shown ||
        (!conversion->terminal && percent < conversion->shown + 10))
        return;
    conversion->shown = conversion->terminal ? percent : percent - percent % 10;
    if (!conversion->terminal) {
        fprintf(stderr, "%s: %d%%\n", conversion->in_name, conversion->shown);
        return;
    }
    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)(percent * BAR / 100));
    bar[BAR] = '\0';
    fprintf(stderr, "\r%s [%s] %3d%%", conversion->in_name, bar, percent);
}

static void stop_signals(struct conversion *conversion)
{
    uv_close((uv_handle_t *)&conversion->interrupt, NULL);
    uv_close((uv_handle_t *)&conversion->term, NULL);
}

static void on_done(void *arg, const struct tide_media_result *result, const struct tide_err *err)
{
    struct conversion *conversion = arg;

    conversion->good = err == NULL;
    if (err) {
        conversion->err = *err;
    } else {
        conversion->result = *result;
        on_progress(conversion, 100);
    }
    stop_signals(conversion);
}

static void on_interrupt(uv_signal_t *handle, int number)
{
    struct conversion *conversion = handle->data;

    tide_media_cancel(conversion->job);
    tide_err_set(&conversion->err, TIDE_ERR_CANCELED, false, "%s", strsignal(number));
    stop_signals(conversion);
}

/* ---- start and end ---- */

static bool open_input(struct conversion *conversion, struct tide_err *err)
{
    struct stat st;

    conversion->in_fd = open(conversion->in_name, O_RDONLY | O_CLOEXEC);
    if (conversion->in_fd < 0 || fstat(conversion->in_fd, &st) != 0)
        return tide_err_errno(err, errno, conversion->in_name);
    if (!S_ISREG(st.st_mode))
        return tide_err_set(err, TIDE_ERR_INVALID, false, "%s: not a file", conversion->in_name);
    conversion->input.read_at = read_at;
    conversion->input.length = st.st_size;
    return true;
}

/* A temporary file beside the output, so that a rename puts it in place whole or not at all. */
static bool open_output(struct conversion *conversion, struct tide_err *err)
{
    struct stat in, out;
    mode_t mask = umask(0);

    umask(mask);
    if (fstat(conversion->in_fd, &in) == 0 && stat(conversion->out_name, &out) == 0) {
        if (in.st_dev == out.st_dev && in.st_ino == out.st_ino)
            return tide_err_set(err, TIDE_ERR_INVALID, false, "%s: input and output are the same file",
                                conversion->out_name);
        if (!S_ISREG(out.st_mode))
            return tide_err_set(err, TIDE_ERR_INVALID, false, "%s: there already, and not a file",
                                conversion->out_name);
        if (!conversion->force)
            return tide_err_set(err, TIDE_ERR_EXISTS, false, "%s: there already; --force replaces it",
                                conversion->out_name);
    }
    if (snprintf(conversion->temporary, MAX_PATH, "%s.XXXXXX", conversion->out_name) >= MAX_PATH)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "the path of the output is too long");
    conversion->out_fd = mkostemp(conversion->temporary, O_CLOEXEC);
    if (conversion->out_fd < 0) {
        conversion->temporary[0] = '\0';
        return tide_err_errno(err, errno, conversion->out_name);
    }
    (void)fchmod(conversion->out_fd, 0666 & ~mask);
    return true;
}

static struct tide_media_options options_of(const struct tide_cli *cli, int64_t timeout_ms)
{
    return (struct tide_media_options){.format = "mp3",
                                       .quality = tide_cli_value(cli, "quality"),
                                       .title = tide_cli_value(cli, "title"),
                                       .timeout_ms = timeout_ms};
}

static void watch(struct conversion *conversion, uv_signal_t *handle, int number)
{
    uv_signal_init(&conversion->loop, handle);
    handle->data = conversion;
    uv_signal_start(handle, on_interrupt, number);
}

static bool convert(struct conversion *conversion, const struct tide_cli *cli, const struct tide_log *log,
                    struct tide_err *err)
{
    static const struct tide_sink_ops ops = {sink_write, sink_close};
    struct tide_media_request request = {.input = &conversion->input,
                                         .output = &conversion->sink,
                                         .patch = patch,
                                         .patch_arg = conversion,
                                         .progress = on_progress,
                                         .done = on_done,
                                         .options = options_of(cli, conversion->timeout_ms),
                                         .arg = conversion};

    conversion->sink.ops = &ops;
    if (!open_input(conversion, err) || !open_output(conversion, err))
        return false;
    conversion->job = tide_media_start(&conversion->loop, log, &request, err);
    if (!conversion->job)
        return false;
    watch(conversion, &conversion->interrupt, SIGINT);
    watch(conversion, &conversion->term, SIGTERM);
    uv_run(&conversion->loop, UV_RUN_DEFAULT);
    if (!conversion->good) {
        *err = conversion->err;
        return false;
    }
    if (rename(conversion->temporary, conversion->out_name) != 0)
        return tide_err_errno(err, errno, conversion->out_name);
    conversion->temporary[0] = '\0';
    return true;
}

static void print_result(const struct conversion *conversion)
{
    const struct tide_media_result *r = &conversion->result;

    if (conversion->json)
        printf("{\"duration_ms\":%" PRId64 ",\"output_bytes\":%" PRId64 ",\"cpu_ms\":%" PRId64
               ",\"peak_memory\":%" PRId64
               ",\"container\":\"%s\",\"codec\":\"%s\",\"sample_rate\":%d,\"channels\":%d}\n",
               r->duration_ms, r->output_bytes, r->cpu_ms, r->peak_memory, r->container, r->codec,
               r->sample_rate, r->channels);
    else
        printf("%s: %.1f s of sound (%s, %s), %.2f MB, %.2f s of CPU time\n", conversion->out_name,
               (double)r->duration_ms / 1000, r->container, r->codec, (double)r->output_bytes / 1e6,
               (double)r->cpu_ms / 1000);
}

/* Failures of a file name it; those of the conversion are the input's. */
static const char *blamed(const struct conversion *conversion, const struct tide_err *err)
{
    size_t len = strlen(conversion->out_name);

    return strncmp(err->message, conversion->out_name, len) == 0 ? "output" : conversion->in_name;
}

static void print_failure(const struct conversion *conversion, const struct tide_err *err)
{
    struct tide_buf json;

    if (!conversion->json) {
        tide_cli_fail("%s: %s: %s", blamed(conversion, err), err->code, err->message);
        return;
    }
    tide_buf_init(&json, 8192);
    tide_buf_printf(&json, "{\"error\":{\"code\":\"%s\",\"message\":", err->code);
    tide_buf_json(&json, err->message, strlen(err->message));
    tide_buf_puts(&json, "}}");
    puts(json.data);
    tide_buf_release(&json);
}

static bool is_mp3(const char *name)
{
    size_t len = strlen(name);

    return len > 4 && strcasecmp(name + len - 4, ".mp3") == 0;
}

int tide_cli_convert(struct tide_cli *cli)
{
    struct conversion conversion = {.in_fd = -1,
                                    .out_fd = -1,
                                    .in_name = cli->argv[0],
                                    .out_name = cli->argv[1],
                                    .json = tide_cli_value(cli, "json") != NULL,
                                    .force = tide_cli_value(cli, "force") != NULL,
                                    .terminal = isatty(STDERR_FILENO) == 1};
    const char *timeout = tide_cli_value(cli, "timeout");
    struct tide_err err;
    struct tide_log log;
    bool ok;

    if (!is_mp3(conversion.out_name))
        return tide_cli_usage(
            cli, "'%s' can't be the output: that is an MP3 in a file, so its name ends in .mp3%s",
            conversion.out_name,
            strcmp(conversion.out_name, "-") == 0 ? " (there is no way to the standard output)" : "");
    if (timeout && !tide_unit_duration(timeout, &conversion.timeout_ms, &err))
        return tide_cli_usage(cli, "--timeout: %s", err.message);
    tide_cli_log(&log);
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&conversion.loop);
    ok = convert(&conversion, cli, &log, &err);
    if (conversion.terminal && conversion.shown)
        fputc('\n', stderr);
    if (conversion.temporary[0])
        unlink(conversion.temporary);
    if (conversion.in_fd >= 0)
        close(conversion.in_fd);
    if (conversion.out_fd >= 0)
        close(conversion.out_fd);
    tide_services_close_loop(&conversion.loop, &log);
    if (ok)
        print_result(&conversion);
    else
        print_failure(&conversion, &err);
    return ok ? TIDE_EXIT_GOOD : TIDE_EXIT_FAILED;
}
