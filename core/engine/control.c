#include "engine/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_LINE 8192
#define SEND_TIMEOUT_MS 1000

union descriptor_message {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

/* ---- the end ---- */

static void drop_passed(struct tide_control *control)
{
    if (control->passed >= 0)
        close(control->passed);
    control->passed = -1;
}

static void on_closed(uv_handle_t *handle)
{
    struct tide_control *control = handle->data;

    close(control->fd);
    drop_passed(control);
    tide_buf_release(&control->input);
}

void tide_control_close(struct tide_control *control)
{
    if (!control->open)
        return;
    control->open = false;
    uv_close((uv_handle_t *)&control->poll, on_closed);
}

static void end(struct tide_control *control)
{
    tide_control_close(control);
    control->on_end(control->arg);
}

/* ---- what comes ---- */

static void take_bytes(struct tide_control *control, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len && control->open; i++) {
        if (bytes[i] != '\n') {
            tide_buf_putc(&control->input, bytes[i]); /* a line over MAX_LINE is cut */
            continue;
        }
        control->on_line(control->arg, control->input.data ? control->input.data : "");
        tide_buf_reset(&control->input);
    }
}

/* A receive ends with the bytes that a descriptor came with (unix(7)): those of a line whose newline comes
 * next. */
static void keep_passed(struct tide_control *control, struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);

    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return;
    drop_passed(control);
    memcpy(&control->passed, CMSG_DATA(header), sizeof control->passed);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct tide_control *control = poll->data;
    union descriptor_message descriptor;
    char bytes[4096];
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = descriptor.bytes,
                             .msg_controllen = sizeof descriptor.bytes};
    ssize_t n;

    (void)events;
    n = status < 0 ? 0 : recvmsg(control->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end(control);
        return;
    }
    take_bytes(control, bytes, (size_t)n);
    keep_passed(control, &message);
}

int tide_control_take(struct tide_control *control)
{
    int fd = control->passed;

    control->passed = -1;
    return fd;
}

bool tide_control_init(struct tide_control *control, uv_loop_t *loop, int fd,
                       void (*on_line)(void *arg, const char *line), void (*on_end)(void *arg), void *arg,
                       struct tide_err *err)
{
    int rc;

    control->on_line = on_line;
    control->on_end = on_end;
    control->arg = arg;
    control->fd = fd;
    control->passed = -1;
    rc = uv_poll_init(loop, &control->poll, fd);
    if (rc) {
        close(fd);
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "control socket: %s", uv_strerror(rc));
    }
    tide_buf_init(&control->input, MAX_LINE);
    control->poll.data = control;
    control->open = true;
    uv_poll_start(&control->poll, UV_READABLE | UV_DISCONNECT, on_readable);
    return true;
}

/* ---- what is sent ---- */

static bool wait_writable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};

    return poll(&wait, 1, SEND_TIMEOUT_MS) > 0;
}

/* The descriptor goes with the first bytes. */
static void send_all(int fd, const char *data, size_t len, int passed)
{
    union descriptor_message descriptor = {{0}};
    struct iovec part;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (passed >= 0) {
        message.msg_control = descriptor.bytes;
        message.msg_controllen = sizeof descriptor.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof passed)};
        memcpy(CMSG_DATA(header), &passed, sizeof passed);
    }
    while (len > 0) {
        part = (struct iovec){(char *)data, len};
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n >= 0) {
            data += n;
            len -= (size_t)n;
            message.msg_control = NULL;
            message.msg_controllen = 0;
        } else if (errno == EAGAIN ? !wait_writable(fd) : errno != EINTR) {
            return;
        }
    }
}

void tide_control_pass(struct tide_control *control, const char *line, int fd)
{
    if (!control->open)
        return;
    send_all(control->fd, line, strlen(line), fd);
    send_all(control->fd, "\n", 1, -1);
}

void tide_control_send(struct tide_control *control, const char *line)
{
    tide_control_pass(control, line, -1);
}
