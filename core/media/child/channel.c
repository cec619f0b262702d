#include "media/child/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"

#define PROGRESS_EVERY_MS 100

static _Noreturn void lost(const char *why)
{
    dprintf(STDERR_FILENO, "channel: %s\n", why);
    _exit(1);
}

static void receive(struct channel *channel, void *buf, size_t len)
{
    uint8_t *to = buf;

    while (len > 0) {
        ssize_t n = read(channel->fd, to, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            lost(n == 0 ? "closed by the engine" : strerror(errno));
        to += n;
        len -= (size_t)n;
    }
}

static void send_all(struct channel *channel, struct iovec *parts, int count)
{
    while (count > 0) {
        ssize_t n = writev(channel->fd, parts, count);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            lost(strerror(errno));
        while (count > 0 && (size_t)n >= parts->iov_len) {
            n -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + n;
            parts->iov_len -= (size_t)n;
        }
    }
}

/* Sends one frame made of a fixed part and bytes behind it. */
static void send_frame(struct channel *channel, enum tide_frame_type type, const void *head, size_t head_len,
                       const void *data, size_t len)
{
    struct tide_frame frame = {type, (uint32_t)(head_len + len)};
    struct iovec parts[3] = {
        {&frame, sizeof frame}, {(void *)(uintptr_t)head, head_len}, {(void *)(uintptr_t)data, len}};

    send_all(channel, parts, 3);
}

static void flush(struct channel *channel)
{
    if (channel->pending > 0)
        send_frame(channel, TIDE_FRAME_OUTPUT, NULL, 0, channel->output, channel->pending);
    channel->pending = 0;
}

void channel_init(struct channel *channel, int fd)
{
    channel->fd = fd;
    channel->percent = 0;
    channel->told_at = 0;
    channel->pending = 0;
}

void channel_start(struct channel *channel, struct tide_frame_start *start,
                   char title[TIDE_MEDIA_TITLE_MAX + 1])
{
    struct tide_frame frame;

    receive(channel, &frame, sizeof frame);
    if (frame.type != TIDE_FRAME_START || frame.length < sizeof *start)
        lost("no START");
    receive(channel, start, sizeof *start);
    if (start->version != TIDE_MEDIA_PROTOCOL_VERSION || start->title_length > TIDE_MEDIA_TITLE_MAX ||
        frame.length != sizeof *start + start->title_length)
        lost("START of another version");
    receive(channel, title, start->title_length);
    title[start->title_length] = '\0';
}

size_t channel_read_at(struct channel *channel, int64_t offset, void *buf, size_t len)
{
    struct tide_frame_read ask = {offset, (uint32_t)len, 0};
    struct tide_frame frame;

    send_frame(channel, TIDE_FRAME_READ, &ask, sizeof ask, NULL, 0);
    receive(channel, &frame, sizeof frame);
    if (frame.type != TIDE_FRAME_DATA || frame.length > len)
        lost("no DATA");
    receive(channel, buf, frame.length);
    return frame.length;
}

void channel_write(struct channel *channel, const void *data, size_t len)
{
    const uint8_t *from = data;

    while (len > 0) {
        size_t room = sizeof channel->output - channel->pending;
        size_t part = len < room ? len : room;

        memcpy(channel->output + channel->pending, from, part);
        channel->pending += part;
        from += part;
        len -= part;
        if (channel->pending == sizeof channel->output)
            flush(channel);
    }
}

void channel_patch(struct channel *channel, int64_t offset, const void *data, size_t len)
{
    struct tide_frame_patch head = {offset};

    flush(channel);
    send_frame(channel, TIDE_FRAME_PATCH, &head, sizeof head, data, len);
}

void channel_progress(struct channel *channel, uint32_t percent)
{
    struct tide_frame_progress progress = {percent};

    int64_t now = tide_clock_monotonic_ms();

    /* Each one wakes the engine up. */
    if (percent <= channel->percent || percent > 100 || now - channel->told_at < PROGRESS_EVERY_MS)
        return;
    channel->percent = percent;
    channel->told_at = now;
    send_frame(channel, TIDE_FRAME_PROGRESS, &progress, sizeof progress, NULL, 0);
}

void channel_result(struct channel *channel, const struct tide_frame_result *result)
{
    flush(channel);
    send_frame(channel, TIDE_FRAME_RESULT, result, sizeof *result, NULL, 0);
}

void channel_error(struct channel *channel, const struct tide_err *err)
{
    struct tide_frame_error error = {TIDE_MEDIA_FAILURES - 1};
    size_t len = strnlen(err->message, TIDE_MEDIA_ERROR_MAX);

    for (uint32_t i = 0; i < TIDE_MEDIA_FAILURES; i++)
        if (strcmp(err->code, tide_media_failures[i]) == 0)
            error.code = i;
    send_frame(channel, TIDE_FRAME_ERROR, &error, sizeof error, err->message, len);
}
