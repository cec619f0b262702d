#include "engine/control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_LINE 8192
#define SEND_TIMEOUT_MS 1000

static void on_closed(uv_handle_t *handle)
{
    struct tide_control *control = handle->data;

    tide_buf_release(&control->input);
}

void tide_control_close(struct tide_control *control)
{
    if (!control->open)
        return;
    control->open = false;
    uv_close((uv_handle_t *)&control->pipe, on_closed);
}

static void end(struct tide_control *control)
{
    tide_control_close(control);
    control->on_end(control->arg);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct tide_control *control = handle->data;

    (void)suggested;
    *buf = uv_buf_init(control->chunk, sizeof control->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct tide_control *control = stream->data;

    for (ssize_t i = 0; i < n && control->open; i++) {
        if (buf->base[i] != '\n') {
            tide_buf_putc(&control->input, buf->base[i]); /* a line over MAX_LINE is cut */
            continue;
        }
        control->on_line(control->arg, control->input.data ? control->input.data : "");
        tide_buf_reset(&control->input);
    }
    if (n < 0 && control->open)
        end(control);
}

bool tide_control_init(struct tide_control *control, uv_loop_t *loop, int fd,
                       void (*on_line)(void *arg, const char *line), void (*on_end)(void *arg), void *arg,
                       struct tide_err *err)
{
    int rc;

    control->on_line = on_line;
    control->on_end = on_end;
    control->arg = arg;
    tide_buf_init(&control->input, MAX_LINE);
    uv_pipe_init(loop, &control->pipe, 0);
    control->pipe.data = control;
    control->open = true;
    rc = uv_pipe_open(&control->pipe, fd);
    if (rc)
        close(fd);
    else
        rc = uv_read_start((uv_stream_t *)&control->pipe, on_alloc, on_read);
    if (rc == 0)
        return true;
    tide_control_close(control);
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "control socket: %s", uv_strerror(rc));
}

static void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n >= 0) {
            data += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            if (poll(&wait, 1, SEND_TIMEOUT_MS) <= 0)
                return;
        } else if (errno != EINTR) {
            return;
        }
    }
}

void tide_control_send(struct tide_control *control, const char *line)
{
    uv_os_fd_t fd;

    if (!control->open || uv_fileno((uv_handle_t *)&control->pipe, &fd) != 0)
        return;
    send_all(fd, line, strlen(line));
    send_all(fd, "\n", 1);
}
