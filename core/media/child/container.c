#include "media/child/container.h"

#include <libavutil/avstring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "media/child/allowed.h"

#define PROBE_FIRST 4096
#define PROBE_MAX (1024 * 1024)
/* At most this many entries in the stream list of a hostile file. */
#define STREAMS_MAX 200
/* Bytes; with as many left, no sound is out of memory. */
#define MEMORY_PLENTY (64 * 1024 * 1024)

/* Nothing that a file names may be opened. */
static int deny_open(AVFormatContext *format, AVIOContext **avio, const char *url, int flags,
                     AVDictionary **options)
{
    (void)format;
    (void)url;
    (void)flags;
    (void)options;
    *avio = NULL;
    return AVERROR(EPERM);
}

/* Bytes of an ID3v2 tag at the start, which can be larger than what is probed (a cover picture). */
static int64_t tag_length(struct input *input)
{
    uint8_t b[10];

    if (input_peek(input, 0, b, sizeof b) < sizeof b || memcmp(b, "ID3", 3) != 0)
        return 0;
    return 10 + ((int64_t)(b[6] & 0x7F) << 21 | (b[7] & 0x7F) << 14 | (b[8] & 0x7F) << 7 | (b[9] & 0x7F)) +
           (b[5] & 0x10 ? 10 : 0);
}

/* Looks at more and more of the file until its format is certain. A guess is not good enough: text would
 * become something odd. */
static const AVInputFormat *probe(struct input *input)
{
    int64_t start = tag_length(input);
    uint8_t *buf = malloc(PROBE_MAX + AVPROBE_PADDING_SIZE);
    const AVInputFormat *found = NULL;
    size_t want = PROBE_FIRST, got = 0;

    while (buf && !found) {
        AVProbeData data = {.filename = "", .buf = buf};
        int score = 0;

        got += input_peek(input, start + (int64_t)got, buf + got, want - got);
        memset(buf + got, 0, AVPROBE_PADDING_SIZE);
        data.buf_size = (int)got;
        found = av_probe_input_format3(&data, 1, &score);
        if (got < want || want == PROBE_MAX) {
            if (score < AVPROBE_SCORE_RETRY)
                found = NULL;
            break;
        }
        if (score <= AVPROBE_SCORE_RETRY)
            found = NULL;
        want *= 8;
        if (want > PROBE_MAX)
            want = PROBE_MAX;
    }
    free(buf);
    return found;
}

bool is_out_of_memory(int rc)
{
    void *more;

    if (rc != AVERROR(ENOMEM))
        return false;
    more = mmap(NULL, MEMORY_PLENTY, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (more == MAP_FAILED)
        return true;
    munmap(more, MEMORY_PLENTY);
    return false;
}

static bool open_failed(int rc, const char *what, struct tide_err *err)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";

    if (is_out_of_memory(rc))
        return tide_err_set(err, TIDE_ERR_LIMIT, false, "%s: out of memory", what);
    av_strerror(rc, text, sizeof text);
    return tide_err_set(err, TIDE_MEDIA_CORRUPT, false, "%s: %s", what, text);
}

static bool open_format(struct container *container, struct tide_err *err)
{
    const AVInputFormat *kind = probe(container->input);
    AVDictionary *options = NULL;
    int rc;

    if (!kind)
        return tide_err_set(err, TIDE_MEDIA_UNSUPPORTED, false, "not a media file that is known here");
    if (av_match_list(kind->name, ALLOWED_FORMATS, ',') <= 0)
        return tide_err_set(err, TIDE_MEDIA_UNSUPPORTED, false, "files of the format %s are not taken",
                            kind->name);
    container->format = avformat_alloc_context();
    if (!container->format)
        return open_failed(AVERROR(ENOMEM), "open", err);
    container->format->pb = container->input->avio;
    container->format->flags |= AVFMT_FLAG_CUSTOM_IO;
    container->format->io_open = deny_open;
    container->format->max_streams = STREAMS_MAX;
    av_dict_set(&options, "format_whitelist", ALLOWED_FORMATS, 0);
    av_dict_set(&options, "codec_whitelist", ALLOWED_DECODERS, 0);
    av_dict_set(&options, "protocol_whitelist", "", 0);
    rc = avformat_open_input(&container->format, NULL, kind, &options);
    av_dict_free(&options);
    return rc == 0 || open_failed(rc, "the file's index cannot be read", err);
}

/* Whether the headers alone don't tell what the decoder must know. Looking further decodes part of the file.
 */
static bool needs_look(const AVFormatContext *format)
{
    bool sound = false;

    for (unsigned i = 0; i < format->nb_streams; i++) {
        const AVCodecParameters *par = format->streams[i]->codecpar;

        if (par->codec_type != AVMEDIA_TYPE_AUDIO)
            continue;
        sound = true;
        if (par->codec_id == AV_CODEC_ID_NONE || par->sample_rate <= 0 || par->ch_layout.nb_channels <= 0)
            return true;
        if (format->streams[i]->duration == AV_NOPTS_VALUE && format->duration == AV_NOPTS_VALUE)
            return true;
    }
    return !sound && (format->ctx_flags & AVFMTCTX_NOHEADER);
}

static bool choose_sound(struct container *container, struct tide_err *err)
{
    AVFormatContext *format = container->format;
    const char *codec = NULL;
    int best;

    for (unsigned i = 0; i < format->nb_streams; i++)
        if (format->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO)
            codec = avcodec_get_name(format->streams[i]->codecpar->codec_id);
    if (!codec)
        return tide_err_set(err, TIDE_MEDIA_NO_AUDIO, false, "the file has no sound track");
    best = av_find_best_stream(format, AVMEDIA_TYPE_AUDIO, -1, -1, &container->codec, 0);
    if (best < 0)
        return tide_err_set(err, TIDE_MEDIA_UNSUPPORTED, false, "sound of the codec %s cannot be decoded",
                            codec);
    if (av_match_list(container->codec->name, ALLOWED_DECODERS, ',') <= 0)
        return tide_err_set(err, TIDE_MEDIA_UNSUPPORTED, false, "sound of the codec %s is not taken",
                            container->codec->name);
    container->sound = format->streams[best];
    return true;
}

/* The end of Matroska's Segment as its header gives it, 0 when it is not given. */
static int64_t segment_end(struct input *input)
{
    static const uint8_t id[4] = {0x18, 0x53, 0x80, 0x67};
    uint8_t b[1024];
    size_t n = input_peek(input, 0, b, sizeof b);

    for (size_t i = 0; i + 12 <= n; i++) {
        int width = 1;
        uint64_t size, unknown;

        if (memcmp(b + i, id, sizeof id) != 0 || b[i + 4] == 0)
            continue;
        while (!(b[i + 4] & (0x80 >> (width - 1))))
            width++;
        size = b[i + 4] & (0xFFu >> width);
        for (int k = 1; k < width; k++)
            size = size << 8 | b[i + 4 + (size_t)k];
        unknown = (UINT64_C(1) << (7 * width)) - 1;
        return size == unknown || size > INT64_MAX / 2 ? 0 : (int64_t)size + (int64_t)i + 4 + width;
    }
    return 0;
}

/* The end of a RIFF file (WAV, AVI) as its header gives it; -1 when the program that wrote it to a pipe left
 * the length open, so that nothing that follows from lengths is to be trusted; 0 for other files. */
static int64_t riff_end(struct input *input)
{
    uint8_t b[8];
    uint32_t size;

    if (input_peek(input, 0, b, sizeof b) < sizeof b || memcmp(b, "RIFF", 4) != 0)
        return 0;
    size = (uint32_t)b[4] | (uint32_t)b[5] << 8 | (uint32_t)b[6] << 16 | (uint32_t)b[7] << 24;
    return size == 0 || size >= 0xFFFFFF00u ? -1 : (int64_t)size + 8;
}

/* Whether the file is shorter than it says. libavformat takes the duration of a WAV from the bytes that are
 * there. */
static void check_end(struct container *container, const char *name)
{
    int64_t length = container->input->length, riff = riff_end(container->input);

    if (riff < 0)
        container->duration_us = 0;
    container->cut = riff > length;
    if (container->cut && strcmp(name, "wav") == 0)
        container->duration_us = av_rescale(container->duration_us, riff, length);
    if (strcmp(name, "matroska") == 0)
        container->cut = segment_end(container->input) > length;
}

static void find_duration(struct container *container)
{
    static const AVRational us = {1, 1000000};
    const AVFormatContext *format = container->format;
    const AVStream *sound = container->sound;
    char name[32];

    container_name(container, name, sizeof name);
    if (sound->duration != AV_NOPTS_VALUE && sound->duration > 0)
        container->duration_us = av_rescale_q(sound->duration, sound->time_base, us);
    else if (format->duration != AV_NOPTS_VALUE && format->duration > 0)
        container->duration_us = format->duration;
    check_end(container, name);
    container->exact = container->duration_us > 0 && sound->duration > 0 &&
                       av_match_list(name, "mov,wav,w64,avi,flac,mp3,aiff", ',') &&
                       format->duration_estimation_method != AVFMT_DURATION_FROM_BITRATE;
    container->gaps = av_match_list(name, "mov,matroska,flv,mpegts,asf", ',') > 0;
}

bool container_open(struct container *container, struct input *input, struct tide_err *err)
{
    int rc;

    memset(container, 0, sizeof *container);
    container->input = input;
    if (input->length == 0)
        return tide_err_set(err, TIDE_MEDIA_UNSUPPORTED, false, "the file is empty");
    if (!open_format(container, err))
        return false;
    if (needs_look(container->format)) {
        rc = avformat_find_stream_info(container->format, NULL);
        if (rc < 0)
            return open_failed(rc, "the file's streams cannot be read", err);
    }
    if (!choose_sound(container, err))
        return false;
    find_duration(container);
    input->past_end = false;
    return true;
}

void container_close(struct container *container)
{
    avformat_close_input(&container->format);
}

int container_read(struct container *container, AVPacket *packet)
{
    for (;;) {
        AVFormatContext *format = container->format;
        int rc;

        /* Streams can appear while reading. */
        for (unsigned i = 0; i < format->nb_streams; i++)
            format->streams[i]->discard =
                format->streams[i] == container->sound ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
        rc = av_read_frame(format, packet);
        if (rc == AVERROR_EOF)
            return 0;
        if (rc == AVERROR(EAGAIN))
            continue;
        if (rc < 0)
            return rc;
        if (packet->stream_index == container->sound->index)
            return 1;
        av_packet_unref(packet);
    }
}

void container_name(const struct container *container, char *name, size_t size)
{
    av_strlcpy(name, container->format->iformat->name, size);
    name[strcspn(name, ",")] = '\0';
}

double container_position(const struct container *container)
{
    int64_t length = container->input->length;

    return length > 0 ? (double)avio_tell(container->input->avio) / (double)length : 0;
}
