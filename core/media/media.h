/*
 * Runs one transcoding job in a sandboxed child process, the executable tidemill-media. The engine never
 * parses media bytes: the child reads its input through a channel that this side serves from a seekable
 * input, and sends encoded bytes back, which go to a sink. Everything on the loop thread. Protocol between
 * the two: media/protocol.h. The process must ignore SIGPIPE: a child may die while it is written to.
 *
 * tide_media_cancel may come while a call of the input or output is in flight. Its buffer is the job's, so
 * the caller closes the input and the output before it returns to the loop. Before `done` no call is left in
 * flight.
 */
#ifndef TIDE_MEDIA_MEDIA_H
#define TIDE_MEDIA_MEDIA_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/log.h"
#include "stream/stream.h"

/* Codes of a failed job, beside those of base/err.h. */
#define TIDE_MEDIA_NO_AUDIO "no_audio" /* a media file without sound */
#define TIDE_MEDIA_CORRUPT "corrupt"   /* damaged or cut off */
#define TIDE_MEDIA_UNSUPPORTED                                                                               \
    "unsupported"                      /* not a media file, or a format or codec that is not allowed         \
                                        */
#define TIDE_MEDIA_TOO_LONG "too_long" /* over max_duration_ms */
#define TIDE_MEDIA_CRASHED "crashed"   /* the child died of a signal; not retryable after the second time */
/* TIDE_ERR_LIMIT: output size, CPU or memory limit. TIDE_ERR_TIMEOUT: wall time; retryable. */

/* The input: read at any offset; at most one read in flight. */
struct tide_media_input {
    void (*read_at)(struct tide_media_input *input, int64_t offset, void *buf, size_t len, tide_read_cb *cb,
                    void *arg);
    int64_t length; /* bytes */
};

struct tide_media_options {
    const char *format;  /* "mp3", or "pcm": floats, the channels side by side; NULL: "mp3" */
    const char *quality; /* "V0".."V9", or a constant bit rate "64k".."320k" (the MPEG rates); NULL: "V2" */
    const char *title;   /* ID3v2 title, UTF-8, NULL: none */
    double gain_db;      /* what the sound is turned up by, -60 to 30; samples above 31.9 are cut */
    int channels;        /* 1, 2, or 0: as the input, at most 2 */
    int sample_rate;     /* Hz, an MPEG rate, or 0: nearest to the input */
    int64_t max_duration_ms; /* of the audio; 0: 12 h */
    int64_t max_output;      /* bytes; 0: 2 GiB */
    int64_t max_memory;      /* bytes of address space of the child, 8 MiB at least; 0: 1 GiB */
    int64_t max_cpu_ms;      /* CPU time of the child; 0: 20 min */
    int64_t timeout_ms;      /* wall time; 0: 25 min */
};

struct tide_media_result {
    int64_t duration_ms; /* of the audio written; when only looking: as declared, 0 when it isn't */
    int64_t output_bytes;
    int64_t cpu_ms;      /* the child's */
    int64_t peak_memory; /* the child's maximum resident set, bytes */
    char container[32];  /* of the input, FFmpeg's name: "mov,mp4,m4a,3gp,3g2,mj2" cut to its first word */
    char codec[32];      /* of the input's audio */
    int sample_rate, channels; /* of the output; when only looking: that it would have */
};

struct tide_media_job;
typedef void tide_media_progress_cb(void *arg, int percent); /* 0..100, rising, at most 10 a second */
typedef void tide_media_done_cb(void *arg, const struct tide_media_result *result,
                                const struct tide_err *err);

/* Writes again over bytes that the output has taken already, all within its first 64 KiB: the header of an
 * MP3 holds what is known only at its end. `data` stays valid until the callback. */
typedef void tide_media_patch_fn(void *patch_arg, int64_t offset, const void *data, size_t len,
                                 tide_write_cb *cb, void *arg);

struct tide_media_request {
    struct tide_media_input *input; /* outlives the job */
    struct tide_sink
        *output; /* outlives the job, is not closed by it. NULL: only look (probe), nothing is encoded */
    tide_media_patch_fn *patch; /* NULL: the output can't be patched, the MP3 gets no Xing/LAME header */
    void *patch_arg;
    struct tide_media_options options;
    const char
        *helper; /* path of tidemill-media; NULL: $TIDEMILL_MEDIA_HELPER, else beside this executable */
    tide_media_progress_cb *progress; /* may be NULL */
    tide_media_done_cb *done;         /* once, never inside tide_media_start, unless canceled */
    void *arg;
};

/* TIDE_ERR_INVALID for wrong options, TIDE_ERR_UNAVAILABLE when no process can be had. */
struct tide_media_job *tide_media_start(uv_loop_t *loop, const struct tide_log *log,
                                        const struct tide_media_request *request, struct tide_err *err);
/* Kills the child; done is not called; input and output are not touched after this returns. */
void tide_media_cancel(struct tide_media_job *job);

#endif
