/* The child's messages. It may be in an attacker's hands, so nothing of them is believed: what is not exactly
 * as protocol.h says ends the job. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "media/job.h"

#define PROGRESS_EVERY_NS UINT64_C(100000000)

static void violation(struct tide_media_job *job, const char *what)
{
    struct tide_err err;

    tide_err_set(&err, TIDE_MEDIA_CRASHED, true, "the media helper broke the protocol: %s", what);
    tide_media_job_fail(job, &err);
}

/* ---- READ and its answer ---- */

static void begin_read(struct tide_media_job *job);

static void data_written(uv_write_t *write, int status)
{
    struct tide_media_job *job = write->data;

    (void)status; /* a child that went away is noticed by its exit */
    job->data_busy = false;
    if (job->read_waiting && !job->ended && !job->err.code) {
        job->read_waiting = false;
        begin_read(job);
    }
}

static void input_read(void *arg, ssize_t n, const struct tide_err *err)
{
    struct tide_media_job *job = arg;
    uv_buf_t parts[2];
    struct tide_err failed;

    job->input_busy = false;
    if (n < 0) {
        failed = *err;
        tide_err_prefix(&failed, "reading the input");
        tide_media_job_fail(job, &failed);
    }
    if (job->err.code || job->ended) {
        tide_media_job_check(job);
        return;
    }
    job->data_frame = (struct tide_frame){TIDE_FRAME_DATA, (uint32_t)n};
    parts[0] = uv_buf_init((char *)&job->data_frame, sizeof job->data_frame);
    parts[1] = uv_buf_init(job->data, (unsigned)n);
    job->data_write.data = job;
    job->data_busy =
        uv_write(&job->data_write, (uv_stream_t *)&job->channel, parts, n > 0 ? 2 : 1, data_written) == 0;
    tide_media_job_check(job);
}

static void begin_read(struct tide_media_job *job)
{
    size_t len = job->read.length;

    if (len > job->data_cap) {
        char *bigger = realloc(job->data, len);
        struct tide_err err;

        if (!bigger) {
            tide_err_set(&err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
            tide_media_job_fail(job, &err);
            return;
        }
        job->data = bigger;
        job->data_cap = len;
    }
    job->input_busy = true;
    job->request.input->read_at(job->request.input, job->read.offset, job->data, len, input_read, job);
}

static void on_read(struct tide_media_job *job, const char *payload, size_t len)
{
    if (len != sizeof job->read || job->input_busy || job->read_waiting) {
        violation(job, "READ");
        return;
    }
    memcpy(&job->read, payload, sizeof job->read);
    if (job->read.offset < 0 || job->read.offset > job->request.input->length || job->read.length == 0 ||
        job->read.length > TIDE_MEDIA_READ_MAX) {
        violation(job, "READ out of range");
        return;
    }
    /* The child can have the answer before this loop hears that it was written. */
    if (job->data_busy)
        job->read_waiting = true;
    else
        begin_read(job);
}

/* ---- OUTPUT and PATCH ---- */

static void output_written(void *arg, const struct tide_err *err)
{
    struct tide_media_job *job = arg;

    job->output_busy = false;
    if (err)
        tide_media_job_fail(job, err);
    if (!job->in_frames)
        tide_media_job_frames(job);
    tide_media_job_check(job);
}

static void on_output(struct tide_media_job *job, const char *payload, size_t len)
{
    struct tide_err err;

    if (len == 0 || len > TIDE_MEDIA_OUTPUT_MAX || !job->request.output || job->patched) {
        violation(job, "OUTPUT");
        return;
    }
    if ((int64_t)len > job->max_output - job->result.output_bytes) {
        tide_err_set(&err, TIDE_ERR_LIMIT, false, "the output is larger than %lld bytes",
                     (long long)job->max_output);
        tide_media_job_fail(job, &err);
        return;
    }
    job->result.output_bytes += (int64_t)len;
    job->output_busy = true;
    tide_sink_write(job->request.output, payload, len, output_written, job);
}

static void on_patch(struct tide_media_job *job, const char *payload, size_t len)
{
    struct tide_frame_patch head;
    int64_t span;

    if (len <= sizeof head || len - sizeof head > TIDE_MEDIA_PATCH_MAX || !job->request.patch ||
        job->patched) {
        violation(job, "PATCH");
        return;
    }
    memcpy(&head, payload, sizeof head);
    len -= sizeof head;
    span =
        job->result.output_bytes < TIDE_MEDIA_PATCH_SPAN ? job->result.output_bytes : TIDE_MEDIA_PATCH_SPAN;
    if (head.offset < 0 || head.offset > span || (int64_t)len > span - head.offset) {
        violation(job, "PATCH out of range");
        return;
    }
    job->patched = true;
    job->output_busy = true;
    job->request.patch(job->request.patch_arg, head.offset, payload + sizeof head, len, output_written, job);
}

/* ---- PROGRESS, RESULT, ERROR ---- */

static void on_progress(struct tide_media_job *job, const char *payload, size_t len)
{
    struct tide_frame_progress progress;
    uint64_t now = uv_hrtime();

    if (len != sizeof progress) {
        violation(job, "PROGRESS");
        return;
    }
    memcpy(&progress, payload, sizeof progress);
    if (progress.percent > 100) {
        violation(job, "PROGRESS out of range");
        return;
    }
    if (!job->request.progress || (int)progress.percent <= job->percent ||
        now - job->percent_at < PROGRESS_EVERY_NS)
        return;
    job->percent = (int)progress.percent;
    job->percent_at = now;
    job->request.progress(job->request.arg, job->percent);
}

static bool is_word(const char *text, size_t size)
{
    size_t len = strnlen(text, size);

    for (size_t i = 0; i < len; i++)
        if (!islower((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) && !strchr("_.-", text[i]))
            return false;
    return len < size;
}

static void on_result(struct tide_media_job *job, const char *payload, size_t len)
{
    struct tide_frame_result r;

    if (len != sizeof r) {
        violation(job, "RESULT");
        return;
    }
    memcpy(&r, payload, sizeof r);
    if (r.duration_ms < 0 || r.cpu_ms < 0 || r.peak_memory < 0 || r.sample_rate < 0 ||
        r.sample_rate > 192000 || r.channels < 0 || r.channels > 8 ||
        !is_word(r.container, sizeof r.container) || !is_word(r.codec, sizeof r.codec)) {
        violation(job, "RESULT out of range");
        return;
    }
    job->result.duration_ms = r.duration_ms;
    job->result.cpu_ms = r.cpu_ms;
    job->result.peak_memory = r.peak_memory;
    job->result.sample_rate = r.sample_rate;
    job->result.channels = r.channels;
    memcpy(job->result.container, r.container, sizeof r.container);
    memcpy(job->result.codec, r.codec, sizeof r.codec);
    job->has_result = true;
    tide_media_job_decided(job);
}

static void on_error(struct tide_media_job *job, const char *payload, size_t len)
{
    struct tide_frame_error head;
    char message[TIDE_MEDIA_ERROR_MAX + 1];

    if (len < sizeof head || len - sizeof head > TIDE_MEDIA_ERROR_MAX) {
        violation(job, "ERROR");
        return;
    }
    memcpy(&head, payload, sizeof head);
    if (head.code >= TIDE_MEDIA_FAILURES) {
        violation(job, "ERROR of unknown code");
        return;
    }
    payload += sizeof head;
    len -= sizeof head;
    for (size_t i = 0; i < len; i++)
        message[i] = payload[i] >= ' ' && payload[i] <= '~' ? payload[i] : '?';
    message[len] = '\0';
    tide_err_set(&job->err, tide_media_failures[head.code], false, "%s", message);
    tide_media_job_decided(job);
}

static void on_frame(struct tide_media_job *job, const struct tide_frame *frame, const char *payload)
{
    if (job->has_result) {
        violation(job, "a message after the last");
        return;
    }
    switch (frame->type) {
    case TIDE_FRAME_READ:
        on_read(job, payload, frame->length);
        break;
    case TIDE_FRAME_OUTPUT:
        on_output(job, payload, frame->length);
        break;
    case TIDE_FRAME_PATCH:
        on_patch(job, payload, frame->length);
        break;
    case TIDE_FRAME_PROGRESS:
        on_progress(job, payload, frame->length);
        break;
    case TIDE_FRAME_RESULT:
        on_result(job, payload, frame->length);
        break;
    case TIDE_FRAME_ERROR:
        on_error(job, payload, frame->length);
        break;
    default:
        violation(job, "a message of unknown type");
    }
}

void tide_media_job_frames(struct tide_media_job *job)
{
    struct tide_frame frame;

    job->in_frames = true;
    while (!job->ended && !job->err.code && !job->output_busy &&
           job->in_end - job->in_begin >= sizeof frame) {
        memcpy(&frame, job->in + job->in_begin, sizeof frame);
        if (frame.length > TIDE_MEDIA_IN_MAX - sizeof frame) {
            violation(job, "a message that is too long");
            break;
        }
        if (job->in_end - job->in_begin - sizeof frame < frame.length)
            break;
        job->in_begin += sizeof frame + frame.length;
        on_frame(job, &frame, job->in + job->in_begin - frame.length);
    }
    job->in_frames = false;
}
