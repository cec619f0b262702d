#include <lame/lame.h>
#include <stdlib.h>

#include "media/child/encoder.h"
#include "media/child/id3.h"

#define BLOCK 4608 /* samples given to LAME at a time */
#define FRAMES_MAX (BLOCK * 5 / 4 + 7200)
#define TAG_MAX 2880 /* bytes of the largest MPEG frame, which the Xing header is */

struct encoder {
    lame_global_flags *lame;
    struct output *output;
    int64_t tag_offset; /* where the frame of the Xing header lies */
    uint8_t frames[FRAMES_MAX];
};

static void silent(const char *format, va_list args)
{
    (void)format;
    (void)args;
}

/* As FFmpeg sets it up, so that the same options give the same sound: rates of input and output are equal,
 * as libswresample did the conversion already, and LAME's own default for the effort. */
static int configure(lame_global_flags *lame, const struct encoder_config *config, bool header)
{
    int rc = 0;

    lame_set_errorf(lame, silent);
    lame_set_msgf(lame, silent);
    lame_set_debugf(lame, silent);
    rc |= lame_set_num_channels(lame, config->channels);
    rc |= lame_set_in_samplerate(lame, config->sample_rate);
    rc |= lame_set_out_samplerate(lame, config->sample_rate);
    rc |= lame_set_mode(lame, config->channels == 1 ? MONO : JOINT_STEREO);
    if (config->vbr >= 0) {
        rc |= lame_set_VBR(lame, vbr_default);
        rc |= lame_set_VBR_quality(lame, (float)config->vbr);
    } else {
        rc |= lame_set_brate(lame, config->bitrate);
    }
    lame_set_write_id3tag_automatic(lame, 0);
    rc |= lame_set_bWriteVbrTag(lame, header);
    return rc != 0 ? rc : lame_init_params(lame);
}

struct encoder *encoder_open(const struct encoder_config *config, struct output *output, struct tide_err *err)
{
    struct encoder *encoder = malloc(sizeof *encoder);
    uint8_t tag[ID3_MAX];
    size_t tag_len;

    if (!encoder || !(encoder->lame = lame_init())) {
        tide_err_set(err, TIDE_ERR_LIMIT, false, "out of memory for the encoder");
        free(encoder);
        return NULL;
    }
    encoder->output = output;
    if (configure(encoder->lame, config, output->can_patch) < 0) {
        tide_err_set(err, TIDE_MEDIA_UNSUPPORTED, false, "no MP3 of %d Hz and %d channels can be made",
                     config->sample_rate, config->channels);
        encoder_close(encoder);
        return NULL;
    }
    tag_len = id3_title(config->title, tag);
    encoder->tag_offset = (int64_t)tag_len;
    if (!output_write(output, tag, tag_len, err)) {
        encoder_close(encoder);
        return NULL;
    }
    return encoder;
}

/* `n` is what LAME returned: bytes in encoder->frames, or an error. */
static bool write_frames(struct encoder *encoder, int n, struct tide_err *err)
{
    if (n == -2)
        return tide_err_set(err, TIDE_ERR_LIMIT, false, "out of memory in the encoder");
    if (n < 0)
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "LAME failed (%d)", n);
    return output_write(encoder->output, encoder->frames, (size_t)n, err);
}

bool encoder_encode(struct encoder *encoder, const float *const samples[2], int count, struct tide_err *err)
{
    for (int done = 0; done < count; done += BLOCK) {
        int part = count - done < BLOCK ? count - done : BLOCK;
        int n = lame_encode_buffer_ieee_float(encoder->lame, samples[0] + done, samples[1] + done, part,
                                              encoder->frames, sizeof encoder->frames);

        if (!write_frames(encoder, n, err))
            return false;
    }
    return true;
}

bool encoder_finish(struct encoder *encoder, struct tide_err *err)
{
    int n = lame_encode_flush(encoder->lame, encoder->frames, sizeof encoder->frames);
    uint8_t header[TAG_MAX];
    size_t len;

    if (!write_frames(encoder, n, err))
        return false;
    if (!encoder->output->can_patch)
        return true;
    /* Only now LAME knows the number of frames, the padding, the seek table and the checksum, and puts them
     * into the empty frame that it began with. */
    len = lame_get_lametag_frame(encoder->lame, header, sizeof header);
    if (len == 0 || len > sizeof header)
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "LAME gave no header");
    channel_patch(encoder->output->channel, encoder->tag_offset, header, len);
    return true;
}

void encoder_close(struct encoder *encoder)
{
    if (!encoder)
        return;
    lame_close(encoder->lame);
    free(encoder);
}
