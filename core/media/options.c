#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/job.h"

#define HOUR_MS (INT64_C(3600) * 1000)
#define MIN_MS (INT64_C(60) * 1000)
#define MIB (INT64_C(1) << 20)

static bool set_quality(const char *quality, struct tide_frame_start *start, struct tide_err *err)
{
    static const int rates[] = {64, 80, 96, 112, 128, 160, 192, 224, 256, 320};
    char *end;
    long rate;

    if (!quality)
        quality = "V2";
    start->vbr = -1;
    if (quality[0] == 'V' && quality[1] >= '0' && quality[1] <= '9' && !quality[2]) {
        start->vbr = quality[1] - '0';
        return true;
    }
    rate = strtol(quality, &end, 10);
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        if (rate == rates[i] && strcmp(end, "k") == 0 && quality[0] >= '1' && quality[0] <= '9') {
            start->bitrate = rates[i];
            return true;
        }
    return tide_err_set(
        err, TIDE_ERR_INVALID, false,
        "quality: \"%.20s\" is not \"V0\" (best) to \"V9\" nor a constant bit rate of \"64k\", \"80k\", "
        "\"96k\", \"112k\", \"128k\", \"160k\", \"192k\", \"224k\", \"256k\" or \"320k\"",
        quality);
}

static bool set_shape(const struct tide_media_options *options, struct tide_frame_start *start,
                      struct tide_err *err)
{
    static const int rates[] = {0, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};

    if (options->channels < 0 || options->channels > 2)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "channels: %d is not 1, 2 or 0 (as the input, at most 2)", options->channels);
    start->channels = options->channels;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        if (options->sample_rate == rates[i]) {
            start->sample_rate = rates[i];
            return true;
        }
    return tide_err_set(
        err, TIDE_ERR_INVALID, false,
        "sample_rate: %d is not 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000 or 0 "
        "(nearest to the input)",
        options->sample_rate);
}

static bool set_gain(double gain_db, struct tide_frame_start *start, struct tide_err *err)
{
    if (!(gain_db >= -60 && gain_db <= 30))
        return tide_err_set(err, TIDE_ERR_INVALID, false, "gain: %g dB is not within -60 to 30", gain_db);
    start->gain = pow(10, gain_db / 20);
    return true;
}

static bool set_title(const char *title, struct tide_media_start_message *message, struct tide_err *err)
{
    size_t len = title ? strlen(title) : 0;

    if (len > TIDE_MEDIA_TITLE_MAX)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "title: %zu bytes, more than %d", len,
                            TIDE_MEDIA_TITLE_MAX);
    if (len > 0)
        memcpy(message->title, title, len);
    message->start.title_length = (uint32_t)len;
    return true;
}

static bool set_limit(const char *name, int64_t value, int64_t standard, int64_t min, int64_t max,
                      int64_t *out, struct tide_err *err)
{
    if (value == 0)
        value = standard;
    if (value < min || value > max)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "%s: %lld is not within %lld to %lld, or 0 for %lld", name, (long long)value,
                            (long long)min, (long long)max, (long long)standard);
    *out = value;
    return true;
}

static bool set_limits(const struct tide_media_options *o, struct tide_media_job *job, struct tide_err *err)
{
    struct tide_frame_start *start = &job->start.start;

    return set_limit("max_duration_ms", o->max_duration_ms, 12 * HOUR_MS, 1, 1000 * HOUR_MS,
                     &start->max_duration_ms, err) &&
           set_limit("max_output", o->max_output, 2048 * MIB, 1, MIB * MIB, &start->max_output, err) &&
           set_limit("max_memory", o->max_memory, 1024 * MIB, 8 * MIB, MIB * MIB, &start->max_memory, err) &&
           set_limit("max_cpu_ms", o->max_cpu_ms, 20 * MIN_MS, 1, 1000 * HOUR_MS, &start->max_cpu_ms, err) &&
           set_limit("timeout_ms", o->timeout_ms, 25 * MIN_MS, 1, 1000 * HOUR_MS, &job->timeout_ms, err);
}

bool tide_media_job_options(struct tide_media_job *job, struct tide_err *err)
{
    const struct tide_media_options *options = &job->request.options;
    struct tide_frame_start *start = &job->start.start;

    bool pcm = options->format && strcmp(options->format, "pcm") == 0;

    if (options->format && !pcm && strcmp(options->format, "mp3") != 0)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "format: \"%.20s\" is not \"mp3\" or \"pcm\"",
                            options->format);
    if (!set_quality(options->quality, start, err) || !set_shape(options, start, err) ||
        !set_gain(options->gain_db, start, err) || !set_title(options->title, &job->start, err) ||
        !set_limits(options, job, err))
        return false;
    start->version = TIDE_MEDIA_PROTOCOL_VERSION;
    start->encode = !job->request.output ? TIDE_MEDIA_LOOK : pcm ? TIDE_MEDIA_PCM : TIDE_MEDIA_MP3;
    start->can_patch = job->request.patch != NULL;
    start->input_length = job->request.input->length;
    job->start.frame.type = TIDE_FRAME_START;
    job->start.frame.length = (uint32_t)sizeof *start + start->title_length;
    job->max_output = start->max_output;
    return true;
}
