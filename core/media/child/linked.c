/*
 * What of FFmpeg is in this program when it is linked from FFmpeg's archives. There, tables list all
 * demuxers, codecs and protocols, and who uses a table gets 130 libraries with it. Here are shorter tables:
 * as these functions are found first, the archives' are left out, with everything that only they lead to.
 * Left is what reads the containers and decodes the sound that are allowed.
 *
 * All but a few names are FFmpeg's public API. A version that needs others doesn't link, and the build takes
 * the shared libraries (cmake/ffmpeg.cmake), where this file is not used.
 */
#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
#include <stdint.h>
#include <string.h>

#include "media/child/allowed.h"

#define DECLARE_DEMUXER(symbol, name) extern const AVInputFormat ff_##symbol##_demuxer;
#define DECLARE_DECODER(name) extern const AVCodec ff_##name##_decoder;
#define DECLARE_PARSER(name) extern const AVCodecParser ff_##name##_parser;
EACH_FORMAT(DECLARE_DEMUXER)
EACH_DECODER(DECLARE_DECODER)
EACH_PARSER(DECLARE_PARSER)
KNOWN_FORMAT(DECLARE_DEMUXER)
extern const AVBitStreamFilter ff_null_bsf; /* every decoder has it */

#define DEMUXER(symbol, name) &ff_##symbol##_demuxer,
#define DECODER(name) &ff_##name##_decoder,
#define PARSER(name) &ff_##name##_parser,
static const AVInputFormat *const demuxers[] = {EACH_FORMAT(DEMUXER) KNOWN_FORMAT(DEMUXER)};
static const AVCodec *const decoders[] = {EACH_DECODER(DECODER)};
static const AVCodecParser *const parsers[] = {EACH_PARSER(PARSER)};

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* The next index of an iteration that starts with *opaque NULL; count at the end. */
static size_t next(void **opaque, size_t count)
{
    uintptr_t i = (uintptr_t)*opaque;

    if (i < count)
        *opaque = (void *)(i + 1);
    return i;
}

/* ---- libavformat ---- */

const AVInputFormat *av_demuxer_iterate(void **opaque)
{
    size_t i = next(opaque, COUNT(demuxers));

    return i < COUNT(demuxers) ? demuxers[i] : NULL;
}

const AVOutputFormat *av_muxer_iterate(void **opaque)
{
    (void)opaque;
    return NULL;
}

const char *avio_enum_protocols(void **opaque, int output)
{
    (void)opaque;
    (void)output;
    return NULL;
}

const AVClass *avio_protocol_get_class(const char *name)
{
    (void)name;
    return NULL;
}

/* ---- libavcodec ---- */

const AVCodec *av_codec_iterate(void **opaque)
{
    size_t i = next(opaque, COUNT(decoders));

    return i < COUNT(decoders) ? decoders[i] : NULL;
}

const AVCodec *avcodec_find_decoder(enum AVCodecID id)
{
    for (size_t i = 0; i < COUNT(decoders); i++)
        if (decoders[i]->id == id)
            return decoders[i];
    return NULL;
}

const AVCodec *avcodec_find_decoder_by_name(const char *name)
{
    for (size_t i = 0; i < COUNT(decoders); i++)
        if (strcmp(decoders[i]->name, name) == 0)
            return decoders[i];
    return NULL;
}

const AVCodec *avcodec_find_encoder(enum AVCodecID id)
{
    (void)id;
    return NULL;
}

const AVCodec *avcodec_find_encoder_by_name(const char *name)
{
    (void)name;
    return NULL;
}

const AVCodecParser *av_parser_iterate(void **opaque)
{
    size_t i = next(opaque, COUNT(parsers));

    return i < COUNT(parsers) ? parsers[i] : NULL;
}

const AVBitStreamFilter *av_bsf_iterate(void **opaque)
{
    return next(opaque, 1) == 0 ? &ff_null_bsf : NULL;
}

const AVBitStreamFilter *av_bsf_get_by_name(const char *name)
{
    return name && strcmp(name, "null") == 0 ? &ff_null_bsf : NULL;
}

/* ---- not public: what the rest of FFmpeg refers to, and never comes to here ---- */

const AVClass *ff_urlcontext_child_class_iterate(void **iterator);
const struct URLProtocol **ffurl_get_protocols(const char *allowed, const char *denied);
const AVClass *ff_bsf_child_class_iterate(void **opaque);
int avpriv_h264_has_num_reorder_frames(AVCodecContext *codec);
void ff_gnutls_init(void);
void ff_gnutls_deinit(void);

const AVClass *ff_urlcontext_child_class_iterate(void **iterator)
{
    (void)iterator;
    return NULL;
}

const struct URLProtocol **ffurl_get_protocols(const char *allowed, const char *denied)
{
    (void)allowed;
    (void)denied;
    return NULL;
}

const AVClass *ff_bsf_child_class_iterate(void **opaque)
{
    (void)opaque;
    return NULL;
}

/* Asked for pictures in H.264; 0 as well where their decoder is there and not open. */
int avpriv_h264_has_num_reorder_frames(AVCodecContext *codec)
{
    (void)codec;
    return 0;
}

void ff_gnutls_init(void)
{
}

void ff_gnutls_deinit(void)
{
}

/* Descriptions of graphics cards and of another resampler, of type and name 0. */
#define ABSENT(name)                                                                                         \
    extern const void *const name[64];                                                                       \
    const void *const name[64] = {NULL};
ABSENT(ff_hwcontext_type_cuda)
ABSENT(ff_hwcontext_type_drm)
ABSENT(ff_hwcontext_type_opencl)
ABSENT(ff_hwcontext_type_qsv)
ABSENT(ff_hwcontext_type_vaapi)
ABSENT(ff_hwcontext_type_vdpau)
ABSENT(ff_hwcontext_type_vulkan)
ABSENT(swri_soxr_resampler)
