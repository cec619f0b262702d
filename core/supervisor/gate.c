#include "supervisor/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

#define MAX_OUTPUT (1 << 20)
#define MAX_REPORT 65536

struct tide_gate {
    struct tide_gate_config config;
    uv_process_t process;
    uv_pipe_t output;
    uv_timer_t limit;
    struct tide_buf text;
    int open; /* handles: the gate lives until they are closed */
    bool ended, late;
    char chunk[8192];
};

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    struct tide_gate *gate = handle->data;

    if (--gate->open > 0)
        return;
    tide_buf_release(&gate->text);
    free(gate);
}

static void close_all(struct tide_gate *gate)
{
    uv_close((uv_handle_t *)&gate->process, on_closed);
    uv_close((uv_handle_t *)&gate->output, on_closed);
    uv_close((uv_handle_t *)&gate->limit, on_closed);
}

/* Of what it has said the failures: TAP's lines of tests that passed are left out. */
static void put_report(const struct tide_gate *gate, struct tide_buf *report)
{
    const char *line = gate->text.data ? gate->text.data : "";

    if (gate->late)
        tide_buf_printf(report, "the specs took longer than %" PRId64 " ms (reload.gate_timeout)\n",
                        gate->config.settings->gate_timeout_ms);
    while (*line) {
        size_t len = strcspn(line, "\n");

        if (strncmp(line, "ok ", 3) != 0 && strncmp(line, "TAP ", 4) != 0 && strncmp(line, "1..", 3) != 0)
            tide_buf_printf(report, "%.*s\n", (int)len, line);
        line += len + (line[len] == '\n');
    }
    if (report->len == 0)
        tide_buf_puts(report, "the specs could not be run\n");
}

/* What its last words left in the pipe. */
static void drain(struct tide_gate *gate)
{
    uv_os_fd_t fd;
    ssize_t n;

    if (uv_fileno((uv_handle_t *)&gate->output, &fd) != 0)
        return;
    while ((n = read(fd, gate->chunk, sizeof gate->chunk)) > 0)
        tide_buf_append(&gate->text, gate->chunk, (size_t)n);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    struct tide_gate *gate = process->data;
    bool stopped = gate->ended, passed = status == 0 && signal == 0 && !gate->late;
    struct tide_buf report;

    gate->ended = true;
    if (!stopped) {
        drain(gate);
        tide_buf_init(&report, MAX_REPORT);
        if (!passed)
            put_report(gate, &report);
        gate->config.done(gate->config.arg, passed, report.data ? report.data : "");
        tide_buf_release(&report);
    }
    close_all(gate);
}

static void on_limit(uv_timer_t *timer)
{
    struct tide_gate *gate = timer->data;

    gate->late = true;
    uv_process_kill(&gate->process, SIGKILL);
}

void tide_gate_stop(struct tide_gate *gate)
{
    if (!gate || gate->ended)
        return;
    gate->ended = true;
    uv_process_kill(&gate->process, SIGKILL);
}

int tide_gate_pid(const struct tide_gate *gate)
{
    return gate->process.pid;
}

/* ---- the start ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct tide_gate *gate = handle->data;

    (void)suggested;
    *buf = uv_buf_init(gate->chunk, sizeof gate->chunk);
}

/* What is over the limit is read and dropped. */
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct tide_gate *gate = stream->data;

    if (n > 0)
        tide_buf_append(&gate->text, buf->base, (size_t)n);
    else if (n < 0)
        uv_read_stop(stream);
}

static int run_process(struct tide_gate *gate, int output_fd)
{
    char *args[] = {"tidemill", "gate", (char *)gate->config.bundle, NULL};
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = output_fd},
        {.flags = UV_INHERIT_FD, .data.fd = output_fd},
        [TIDE_GATE_CONTENT] = {.flags = UV_INHERIT_FD, .data.fd = tide_content_fd(gate->config.content)},
        [TIDE_GATE_SETTINGS] = {.flags = UV_INHERIT_FD, .data.fd = gate->config.settings_fd}};
    uv_process_options_t options = {.file = "/proc/self/exe",
                                    .args = args,
                                    .exit_cb = on_exit_status,
                                    .stdio = stdio,
                                    .stdio_count = sizeof stdio / sizeof stdio[0]};

    return uv_spawn(gate->config.loop, &gate->process, &options);
}

static bool open_output(struct tide_gate *gate, int pair[2], struct tide_err *err)
{
    if (pipe2(pair, O_CLOEXEC) != 0)
        return tide_err_errno(err, errno, "pipe");
    uv_pipe_init(gate->config.loop, &gate->output, 0);
    uv_timer_init(gate->config.loop, &gate->limit);
    gate->process.data = gate->output.data = gate->limit.data = gate;
    gate->open = 3;
    tide_buf_init(&gate->text, MAX_OUTPUT);
    uv_pipe_open(&gate->output, pair[0]);
    uv_read_start((uv_stream_t *)&gate->output, on_alloc, on_read);
    uv_timer_start(&gate->limit, on_limit, (uint64_t)gate->config.settings->gate_timeout_ms, 0);
    return true;
}

struct tide_gate *tide_gate_start(const struct tide_gate_config *config, struct tide_err *err)
{
    struct tide_gate *gate = calloc(1, sizeof *gate);
    int pair[2], rc;

    if (!gate) {
        tide_err_errno(err, ENOMEM, "specs");
        return NULL;
    }
    gate->config = *config;
    if (!open_output(gate, pair, err)) {
        free(gate);
        return NULL;
    }
    rc = run_process(gate, pair[1]);
    close(pair[1]);
    if (rc == 0)
        return gate;
    tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "no process for the specs: %s", uv_strerror(rc));
    close_all(gate);
    return NULL;
}
