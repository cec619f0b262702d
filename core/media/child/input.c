#include "media/child/input.h"

#include <libavutil/error.h>
#include <libavutil/mem.h>
#include <stdlib.h>
#include <string.h>

#define AVIO_BUFFER (32 * 1024)
#define WINDOW_MIN (64 * 1024)

static struct input_window *window_at(struct input *input, int64_t offset)
{
    for (int i = 0; i < INPUT_WINDOWS; i++) {
        struct input_window *w = &input->windows[i];

        if (offset >= w->offset && offset < w->offset + (int64_t)w->length)
            return w;
    }
    return NULL;
}

static struct input_window *oldest_window(struct input *input)
{
    struct input_window *oldest = &input->windows[0];

    for (int i = 1; i < INPUT_WINDOWS; i++)
        if (input->windows[i].used < oldest->used)
            oldest = &input->windows[i];
    return oldest;
}

/* Fetches the bytes at offset. Windows grow while the file is read in order and are small after a jump, so
 * that a demuxer that skips the pictures doesn't fetch them. */
static struct input_window *fetch(struct input *input, int64_t offset)
{
    struct input_window *w = oldest_window(input);
    size_t size = WINDOW_MIN;

    if (offset == input->next_offset && input->next_size > size)
        size = input->next_size;
    if ((int64_t)size > input->length - offset)
        size = (size_t)(input->length - offset);
    w->length = channel_read_at(input->channel, offset, w->data, size);
    w->offset = offset;
    input->next_offset = offset + (int64_t)w->length;
    input->next_size = size * 2 < INPUT_WINDOW_MAX ? size * 2 : INPUT_WINDOW_MAX;
    return w->length > 0 ? w : NULL;
}

/* One piece of the file, from the cache or fetched into it; 0 at the end. */
static size_t read_piece(struct input *input, int64_t offset, void *buf, size_t len)
{
    struct input_window *w;
    size_t skip, n;

    if (offset < 0 || offset >= input->length)
        return 0;
    w = window_at(input, offset);
    if (!w)
        w = fetch(input, offset);
    if (!w)
        return 0;
    w->used = ++input->clock;
    skip = (size_t)(offset - w->offset);
    n = w->length - skip < len ? w->length - skip : len;
    memcpy(buf, w->data + skip, n);
    return n;
}

size_t input_peek(struct input *input, int64_t offset, void *buf, size_t len)
{
    size_t done = 0, n = 1;

    while (done < len && n > 0) {
        n = read_piece(input, offset + (int64_t)done, (uint8_t *)buf + done, len - done);
        done += n;
    }
    return done;
}

static int read_packet(void *opaque, uint8_t *buf, int size)
{
    struct input *input = opaque;
    size_t n = size > 0 ? read_piece(input, input->position, buf, (size_t)size) : 0;

    if (n == 0) {
        input->past_end = true;
        return AVERROR_EOF;
    }
    input->position += (int64_t)n;
    return (int)n;
}

static int64_t seek(void *opaque, int64_t offset, int whence)
{
    struct input *input = opaque;

    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE)
        return input->length;
    if (whence == SEEK_CUR)
        offset += input->position;
    else if (whence == SEEK_END)
        offset += input->length;
    else if (whence != SEEK_SET)
        return AVERROR(EINVAL);
    if (offset < 0)
        return AVERROR(EINVAL);
    input->position = offset;
    return offset;
}

bool input_init(struct input *input, struct channel *channel, int64_t length)
{
    uint8_t *buffer = av_malloc(AVIO_BUFFER);

    memset(input, 0, sizeof *input);
    input->channel = channel;
    input->length = length;
    for (int i = 0; i < INPUT_WINDOWS; i++)
        input->windows[i].data = malloc(INPUT_WINDOW_MAX);
    if (buffer)
        input->avio = avio_alloc_context(buffer, AVIO_BUFFER, 0, input, read_packet, NULL, seek);
    if (!input->avio)
        av_free(buffer);
    for (int i = 0; i < INPUT_WINDOWS; i++)
        if (!input->windows[i].data)
            return false;
    return input->avio != NULL;
}

void input_release(struct input *input)
{
    if (input->avio)
        av_freep(&input->avio->buffer);
    avio_context_free(&input->avio);
    for (int i = 0; i < INPUT_WINDOWS; i++)
        free(input->windows[i].data);
}
