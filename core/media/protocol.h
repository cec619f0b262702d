/*
 * What the engine and tidemill-media say to each other over one stream socket (descriptor 3 of the child).
 * Used by core/media/ (the parent) and core/media/child/. Both are built together and run on one machine, so
 * integers are in the machine's order. A frame is a struct tide_frame and `length` bytes of payload.
 *
 * The child parses untrusted media and may be taken over by it: the parent checks every frame and kills a
 * child that sends anything not listed here.
 *
 *   parent                          child
 *   START options ->
 *                                   (enters its sandbox)
 *                                <- READ offset, length         any number, one unanswered at a time
 *   DATA bytes ->                                               fewer than asked for only at the input's end
 *                                <- OUTPUT bytes                any number
 *                                <- PROGRESS percent            rising
 *                                <- PATCH offset, bytes         at most once, after the last OUTPUT
 *                                <- RESULT or ERROR             the last; then it exits
 */
#ifndef TIDE_MEDIA_PROTOCOL_H
#define TIDE_MEDIA_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "media/media.h"

#define TIDE_MEDIA_CHANNEL_FD 3
#define TIDE_MEDIA_PROTOCOL_VERSION 2
#define TIDE_MEDIA_READ_MAX (1024 * 1024)  /* bytes of a READ */
#define TIDE_MEDIA_OUTPUT_MAX (256 * 1024) /* bytes of an OUTPUT */
#define TIDE_MEDIA_PATCH_MAX (16 * 1024)   /* bytes of a PATCH */
#define TIDE_MEDIA_PATCH_SPAN (64 * 1024)  /* a PATCH lies within the first bytes of the output */
#define TIDE_MEDIA_ERROR_MAX 256           /* bytes of an ERROR's message */
#define TIDE_MEDIA_TITLE_MAX 1024          /* bytes of a title */

enum tide_frame_type {
    TIDE_FRAME_START = 1,
    TIDE_FRAME_DATA,
    TIDE_FRAME_READ,
    TIDE_FRAME_OUTPUT,
    TIDE_FRAME_PATCH,
    TIDE_FRAME_PROGRESS,
    TIDE_FRAME_RESULT,
    TIDE_FRAME_ERROR,
};

struct tide_frame {
    uint32_t type;
    uint32_t length; /* of the payload, bytes */
};

enum tide_media_encode {
    TIDE_MEDIA_LOOK,
    TIDE_MEDIA_MP3,
    TIDE_MEDIA_PCM, /* OUTPUTs are whole frames of floats, the channels side by side */
};

struct tide_frame_start {
    uint32_t version;
    uint32_t encode;       /* enum tide_media_encode */
    uint32_t can_patch;    /* 0: the output can't be patched, so no Xing header is written */
    int32_t vbr;           /* 0..9, or -1: constant bit rate */
    int32_t bitrate;       /* kbit/s when vbr is -1 */
    int32_t channels;      /* 0, 1, 2 */
    int32_t sample_rate;   /* 0 or an MPEG rate */
    uint32_t title_length; /* bytes behind this struct */
    double gain;           /* factor of every sample */
    int64_t input_length;
    int64_t max_duration_ms;
    int64_t max_output;
    int64_t max_memory;
    int64_t max_cpu_ms;
};

struct tide_frame_read {
    int64_t offset;
    uint32_t length;
    uint32_t reserved; /* 0 */
};

struct tide_frame_patch {
    int64_t offset; /* the bytes follow */
};

struct tide_frame_progress {
    uint32_t percent; /* 0..100 */
};

struct tide_frame_result {
    int64_t duration_ms;
    int64_t cpu_ms;
    int64_t peak_memory;
    int32_t sample_rate, channels;
    char container[32], codec[32]; /* NUL-terminated, [a-z0-9_.-] */
};

struct tide_frame_error {
    uint32_t code; /* index of tide_media_failures; the message follows, without NUL */
};

/* The failures that a child may report. */
#define TIDE_MEDIA_FAILURES 6
static const char *const tide_media_failures[TIDE_MEDIA_FAILURES] = {
    TIDE_MEDIA_NO_AUDIO, TIDE_MEDIA_CORRUPT, TIDE_MEDIA_UNSUPPORTED,
    TIDE_MEDIA_TOO_LONG, TIDE_ERR_LIMIT,     TIDE_ERR_INTERNAL,
};

#endif
