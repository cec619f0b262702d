/*
 * A running job, shared by the files of core/media/: media.c (the process and the job's end), frames.c (what
 * the child says) and options.c. Nobody else includes it. Loop thread only.
 */
#ifndef TIDE_MEDIA_JOB_H
#define TIDE_MEDIA_JOB_H

#include "media/media.h"
#include "media/process.h"
#include "media/protocol.h"

#define TIDE_MEDIA_IN_MAX                                                                                    \
    (sizeof(struct tide_frame) + sizeof(struct tide_frame_patch) + TIDE_MEDIA_OUTPUT_MAX)
#define TIDE_MEDIA_COMPLAINT_MAX 4096

struct tide_media_start_message {
    struct tide_frame frame;
    struct tide_frame_start start;
    char title[TIDE_MEDIA_TITLE_MAX];
};

struct tide_media_job {
    const struct tide_log *log;
    struct tide_media_request request;
    int64_t max_output, timeout_ms;

    struct tide_media_process process;
    uv_pipe_t channel, complaints; /* complaints: the child's standard error */
    uv_timer_t timer;
    unsigned open_handles;
    bool exited, killed;
    int exit_status, exit_signal;
    char complaint[TIDE_MEDIA_COMPLAINT_MAX + 1];
    size_t complaint_len;

    struct tide_media_start_message start;
    uv_write_t start_write;

    /* From the child: a part of the stream, of which frames are taken off the front. */
    char *in;
    size_t in_begin, in_end;
    bool in_frames;     /* the frames in `in` are being handled further up the stack */
    bool channel_ended; /* nothing more will come */
    bool output_busy;   /* the sink works on bytes in `in`, so nothing may move there */
    bool patched;

    /* To the child: the answer to its READ. */
    char *data;
    size_t data_cap;
    struct tide_frame data_frame;
    uv_write_t data_write;
    bool input_busy;   /* read_at is in flight */
    bool data_busy;    /* its answer is on the way to the child */
    bool read_waiting; /* the next READ came before the write of the last answer was reported */
    struct tide_frame_read read;

    int percent;
    uint64_t percent_at;
    struct tide_media_result result;
    bool has_result;
    struct tide_err err; /* the first failure */
    bool ended;          /* done was called, or the job was canceled */
};

/* options.c: checks the options and writes them into the job's START. */
TIDE_WARN_UNUSED bool tide_media_job_options(struct tide_media_job *job, struct tide_err *err);

/* frames.c: handles the frames that are complete in `in`, until the sink is busy. */
void tide_media_job_frames(struct tide_media_job *job);

/* media.c */
void tide_media_job_fail(struct tide_media_job *job, const struct tide_err *err); /* kills the child */
void tide_media_job_check(struct tide_media_job *job);   /* reads on or calls done, whatever is due */
void tide_media_job_decided(struct tide_media_job *job); /* the child has said its last word */

#endif
