#include "media/child/transcode.h"

#include <libavutil/avstring.h>
#include <libavutil/common.h>
#include <string.h>

#include "media/child/allowed.h"
#include "media/child/container.h"
#include "media/child/encoder.h"
#include "media/child/pcm.h"

/* Damaged packets that are passed over: a few, and a twentieth of all. */
#define DAMAGE_TOLERATED 20
#define DAMAGE_SHARE 20
/* A hole in the sound of this many microseconds becomes silence; a longer one is a clock that was set. */
#define GAP_MIN 250000
#define GAP_MAX 60000000
#define SILENCE_BLOCK 4096
#define PCM_FRAMES 1024  /* worked on at once */
#define SAMPLE_MAX 31.9f /* below what the encoder takes */

struct transcode {
    const struct tide_frame_start *start;
    const char *title;
    struct channel *channel;
    struct input input;
    struct container container;
    AVCodecContext *decoder;
    AVPacket *packet;
    AVFrame *frame;
    struct pcm pcm;
    struct output output;
    struct encoder *encoder;
    bool begun;        /* the first frame was seen */
    bool has_origin;   /* origin_us is set */
    int64_t origin_us; /* the time stamp of the first sample */
    int64_t samples;   /* written, each channel */
    int64_t packets, damaged;
};

static bool no_memory(struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_LIMIT, false, "out of memory");
}

static bool open_decoder(struct transcode *t, struct tide_err *err)
{
    const AVStream *sound = t->container.sound;
    int rc;

    t->decoder = avcodec_alloc_context3(t->container.codec);
    t->packet = av_packet_alloc();
    t->frame = av_frame_alloc();
    if (!t->decoder || !t->packet || !t->frame)
        return no_memory(err);
    rc = avcodec_parameters_to_context(t->decoder, sound->codecpar);
    t->decoder->pkt_timebase = sound->time_base;
    t->decoder->thread_count = 1;
    t->decoder->codec_whitelist = av_strdup(ALLOWED_DECODERS);
    if (rc >= 0)
        rc = avcodec_open2(t->decoder, t->container.codec, NULL);
    if (is_out_of_memory(rc))
        return no_memory(err);
    if (rc < 0)
        return tide_err_set(err, TIDE_MEDIA_CORRUPT, false, "the decoder %s refuses the sound's parameters",
                            t->container.codec->name);
    return true;
}

static int64_t position_us(const struct transcode *t)
{
    return t->begun ? av_rescale(t->samples, 1000000, t->pcm.sample_rate) : 0;
}

static bool begin(struct transcode *t, struct tide_err *err)
{
    struct encoder_config config = {.vbr = t->start->vbr, .bitrate = t->start->bitrate, .title = t->title};

    if (!pcm_init(&t->pcm, t->frame, t->start->channels, t->start->sample_rate, err))
        return false;
    t->begun = true;
    if (t->start->encode != TIDE_MEDIA_MP3)
        return true;
    config.sample_rate = t->pcm.sample_rate;
    config.channels = t->pcm.channels;
    t->encoder = encoder_open(&config, &t->output, err);
    return t->encoder != NULL;
}

static void tell_progress(struct transcode *t)
{
    double done = t->container.duration_us > 0 ? (double)position_us(t) / (double)t->container.duration_us
                                               : container_position(&t->container);

    if (done > 0 && done <= 1)
        channel_progress(t->channel, (uint32_t)(done * 100));
}

static bool write_pcm(struct transcode *t, const struct pcm_block *block, struct tide_err *err)
{
    float frames[2 * PCM_FRAMES];
    int channels = t->pcm.channels;

    for (int from = 0, count; from < block->count; from += count) {
        count = block->count - from < PCM_FRAMES ? block->count - from : PCM_FRAMES;
        for (int i = 0; i < count; i++)
            for (int c = 0; c < channels; c++)
                frames[i * channels + c] = block->samples[c][from + i];
        if (!output_write(&t->output, frames, (size_t)count * (size_t)channels * sizeof *frames, err))
            return false;
    }
    return true;
}

static bool encode_scaled(struct transcode *t, const struct pcm_block *block, struct tide_err *err)
{
    float left[PCM_FRAMES], right[PCM_FRAMES], *const scaled[2] = {left, right};
    const float *const samples[2] = {left, right}, gain = (float)t->start->gain;

    for (int from = 0, count; from < block->count; from += count) {
        count = block->count - from < PCM_FRAMES ? block->count - from : PCM_FRAMES;
        for (int c = 0; c < t->pcm.channels; c++)
            for (int i = 0; i < count; i++)
                scaled[c][i] = av_clipf(block->samples[c][from + i] * gain, -SAMPLE_MAX, SAMPLE_MAX);
        if (!encoder_encode(t->encoder, samples, count, err))
            return false;
    }
    return true;
}

static bool encode(struct transcode *t, const struct pcm_block *block, struct tide_err *err)
{
    if (block->count == 0)
        return true;
    t->samples += block->count;
    if (position_us(t) / 1000 > t->start->max_duration_ms)
        return tide_err_set(err, TIDE_MEDIA_TOO_LONG, false, "the sound is longer than %lld s",
                            (long long)t->start->max_duration_ms / 1000);
    if (t->start->encode == TIDE_MEDIA_PCM)
        return write_pcm(t, block, err);
    if (t->start->gain != 1)
        return encode_scaled(t, block, err);
    return encoder_encode(t->encoder, block->samples, block->count, err);
}

/* Keeps the sound in step with its time stamps where something is missing in the middle. What is missing in
 * front is left out, as the sound may begin later than the pictures. */
static bool fill_gap(struct transcode *t, struct tide_err *err)
{
    static const float silence[SILENCE_BLOCK];
    static const AVRational us = {1, 1000000};
    int64_t stamp = t->frame->best_effort_timestamp, now, missing;

    if (!t->container.gaps || stamp == AV_NOPTS_VALUE)
        return true;
    now = av_rescale_q(stamp, t->container.sound->time_base, us);
    if (!t->has_origin)
        t->origin_us = now - position_us(t);
    t->has_origin = true;
    missing = now - t->origin_us - position_us(t);
    if (missing > GAP_MAX || missing < -GAP_MIN)
        t->origin_us = now - position_us(t);
    if (missing < GAP_MIN || missing > GAP_MAX)
        return true;
    for (int64_t left = av_rescale(missing, t->pcm.sample_rate, 1000000); left > 0; left -= SILENCE_BLOCK) {
        struct pcm_block block = {{silence, silence}, left < SILENCE_BLOCK ? (int)left : SILENCE_BLOCK};

        if (!encode(t, &block, err))
            return false;
    }
    return true;
}

static bool take_frame(struct transcode *t, struct tide_err *err)
{
    struct pcm_block block;

    if (!t->begun && !begin(t, err))
        return false;
    if (!t->start->encode)
        return true;
    return fill_gap(t, err) && pcm_convert(&t->pcm, t->frame, &block, err) && encode(t, &block, err);
}

static bool count_damage(struct transcode *t, int rc, struct tide_err *err)
{
    if (is_out_of_memory(rc))
        return no_memory(err);
    t->damaged++;
    if (t->damaged > DAMAGE_TOLERATED + t->packets / DAMAGE_SHARE)
        return tide_err_set(err, TIDE_MEDIA_CORRUPT, false,
                            "%lld of the first %lld packets of sound are damaged", (long long)t->damaged,
                            (long long)t->packets);
    return true;
}

/* Gives the decoder a packet, or NULL at the end, and takes all that comes out. */
static bool decode(struct transcode *t, const AVPacket *packet, struct tide_err *err)
{
    int rc = avcodec_send_packet(t->decoder, packet);

    if (rc < 0 && rc != AVERROR_EOF && rc != AVERROR(EAGAIN) && !count_damage(t, rc, err))
        return false;
    while ((rc = avcodec_receive_frame(t->decoder, t->frame)) >= 0) {
        bool ok = t->frame->nb_samples <= 0 || take_frame(t, err);

        av_frame_unref(t->frame);
        if (!ok)
            return false;
    }
    return rc == AVERROR(EAGAIN) || rc == AVERROR_EOF || count_damage(t, rc, err);
}

/* The end was reached: was it the whole? Sound that ends before its pictures is whole; a file that was cut
 * off isn't. */
static bool check_whole(const struct transcode *t, bool broken, struct tide_err *err)
{
    const struct container *container = &t->container;
    int64_t expected = container->duration_us, got = position_us(t), tolerated = expected / 50;
    bool ended_early = broken || container->cut || (container->exact && t->input.past_end);

    if (!t->begun && t->packets == 0 && !ended_early)
        return tide_err_set(err, TIDE_MEDIA_NO_AUDIO, false, "the sound track is empty");
    if (!t->begun)
        return tide_err_set(err, TIDE_MEDIA_CORRUPT, false, "none of the sound can be decoded");
    if (tolerated < 100000)
        tolerated = 100000;
    if (tolerated > 1000000)
        tolerated = 1000000;
    if (ended_early && (expected == 0 || expected - got > tolerated))
        return tide_err_set(err, TIDE_MEDIA_CORRUPT, false,
                            "the file is cut off after %.1f of %.1f s of sound", (double)got / 1e6,
                            (double)expected / 1e6);
    return true;
}

static bool finish(struct transcode *t, bool broken, struct tide_err *err)
{
    struct pcm_block block;

    if (!decode(t, NULL, err) || !check_whole(t, broken, err))
        return false;
    return pcm_drain(&t->pcm, &block, err) && encode(t, &block, err) &&
           (!t->encoder || encoder_finish(t->encoder, err));
}

/* Looks for the first frame when only asked what the file is; else runs to the end. */
static bool run(struct transcode *t, struct tide_err *err)
{
    int rc;

    while ((rc = container_read(&t->container, t->packet)) > 0) {
        bool ok;

        t->packets++;
        ok = decode(t, t->packet, err);
        av_packet_unref(t->packet);
        if (!ok)
            return false;
        if (!t->start->encode && t->begun)
            return true;
        if (t->start->encode && t->packets % 16 == 0)
            tell_progress(t);
    }
    if (is_out_of_memory(rc))
        return no_memory(err);
    if (!t->start->encode)
        return decode(t, NULL, err) && (t->begun || check_whole(t, rc < 0, err));
    return finish(t, rc < 0, err);
}

static bool open_all(struct transcode *t, struct tide_err *err)
{
    if (!input_init(&t->input, t->channel, t->start->input_length))
        return no_memory(err);
    if (!container_open(&t->container, &t->input, err))
        return false;
    if (t->container.duration_us / 1000 > t->start->max_duration_ms)
        return tide_err_set(err, TIDE_MEDIA_TOO_LONG, false, "the sound lasts %lld s, longer than %lld s",
                            (long long)t->container.duration_us / 1000000,
                            (long long)t->start->max_duration_ms / 1000);
    return open_decoder(t, err);
}

static void describe(const struct transcode *t, struct tide_frame_result *result)
{
    container_name(&t->container, result->container, sizeof result->container);
    av_strlcpy(result->codec, avcodec_get_name(t->container.codec->id), sizeof result->codec);
    result->duration_ms = (t->start->encode ? position_us(t) : t->container.duration_us) / 1000;
    result->sample_rate = t->pcm.sample_rate;
    result->channels = t->pcm.channels;
}

bool transcode(struct channel *channel, const struct tide_frame_start *start, const char *title,
               struct tide_frame_result *result, struct tide_err *err)
{
    struct transcode t = {.start = start, .title = title, .channel = channel};
    bool ok;

    t.output = (struct output){channel, start->max_output, 0, start->can_patch != 0};
    ok = open_all(&t, err) && run(&t, err);
    if (ok)
        describe(&t, result);
    encoder_close(t.encoder);
    pcm_release(&t.pcm);
    av_frame_free(&t.frame);
    av_packet_free(&t.packet);
    avcodec_free_context(&t.decoder);
    container_close(&t.container);
    input_release(&t.input);
    return ok;
}
