/* Sound of every container to MP3, checked by FFmpeg's own programs. */
#include "fixture.h"

/* `exact`: the MP3 must have the input's number of samples to one; else within a hundredth. */
struct container_case {
    const char *file, *container, *codec;
    int sample_rate, channels;
    bool exact;
};

static const struct container_case container_cases[] = {
    {"clip-7s.mp4", "mov", "aac", 44100, 2, true},
    {"faststart.mp4", "mov", "aac", 44100, 2, true},
    {"fragmented.mp4", "mov", "aac", 44100, 2, true},
    {"clip.m4a", "mov", "aac", 44100, 2, true},
    {"clip.mov", "mov", "pcm_s16le", 44100, 2, true},
    {"clip.mkv", "matroska", "vorbis", 44100, 2, true},
    {"clip.webm", "matroska", "vorbis", 44100, 2, true},
    {"opus.webm", "matroska", "opus", 48000, 2, true},
    {"clip.avi", "avi", "mp3", 44100, 2, true},
    {"clip.ts", "mpegts", "aac", 44100, 2, true},
    {"clip.flv", "flv", "aac", 44100, 2, true},
    {"clip.mpg", "mpeg", "mp2", 44100, 2, true},
    {"clip.m2ts", "mpegts", "ac3", 44100, 2, true},
    {"clip.mka", "matroska", "eac3", 44100, 2, true},
    {"clip.caf", "caf", "alac", 44100, 2, true},
    {"clip.aiff", "aiff", "pcm_s24be", 44100, 2, true},
    {"clip.w64", "w64", "pcm_s32le", 44100, 2, true},
    {"clip.au", "au", "pcm_mulaw", 44100, 2, true},
    {"clip.ac3", "ac3", "ac3", 44100, 2, true},
    {"clip.wmv", "asf", "wmav2", 44100, 2, true},
    {"clip.mp3", "mp3", "mp3", 44100, 2, true},
    {"clip.wav", "wav", "pcm_s16le", 44100, 2, true},
    {"float.wav", "wav", "pcm_f32le", 44100, 2, true},
    {"clip.flac", "flac", "flac", 44100, 2, true},
    {"clip.ogg", "ogg", "vorbis", 44100, 2, true},
    {"clip.aac", "aac", "aac", 44100, 2, true},
    {"mono-8k.wav", "wav", "pcm_s16le", 8000, 1, true},
    {"surround.wav", "wav", "pcm_s16le", 48000, 2, false},
    {"short-sound.mp4", "mov", "aac", 44100, 2, true},
};

static void check_mp3(struct run *run, const char *path, const struct container_case *c)
{
    char command[1024], text[256], expected[64];
    long in = samples_of(clip(c->file)), out = samples_of(path);

    snprintf(command, sizeof command,
             "ffprobe -v error -show_entries stream=codec_name,sample_rate,channels -of csv=p=0 '%s'", path);
    output_of(command, text, sizeof text);
    snprintf(expected, sizeof expected, "mp3,%d,%d", c->sample_rate, c->channels);
    assert_string_equal(text, expected);
    if (c->exact && in != out)
        fail_msg("%s: %ld samples became %ld", c->file, in, out);
    if (!c->exact && labs(in / 2 - out) > out / 100)
        fail_msg("%s: %ld samples became %ld", c->file, in, out);
    assert_in_range(run->result.duration_ms, out * 1000 / c->sample_rate - 1,
                    out * 1000 / c->sample_rate + 1);
}

static void test_container(const struct container_case *c)
{
    struct run *run = new_run_of_file(clip(c->file));
    char dir[64], path[80];

    make_dir(dir);
    snprintf(path, sizeof path, "%s/out.mp3", dir);
    run_job(run);
    if (!run->ok)
        fail_msg("%s: %s: %s", c->file, run->err.code, run->err.message);
    assert_string_equal(run->result.container, c->container);
    assert_string_equal(run->result.codec, c->codec);
    assert_int_equal(run->result.sample_rate, c->sample_rate);
    assert_int_equal(run->result.channels, c->channels);
    assert_int_equal(run->result.output_bytes, run->output.len);
    assert_int_equal(run->patches, 1);
    assert_true(run->result.cpu_ms > 0 && run->result.peak_memory > 1000000);
    write_file(path, run->output.data, run->output.len, 0600);
    check_mp3(run, path, c);
    free_run(run);
    remove_dir(dir);
}

static void test_every_container(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof container_cases / sizeof *container_cases; i++)
        test_container(&container_cases[i]);
}

/* Samples that make LAME abort. */
static void test_samples_that_are_no_sound(void **state)
{
    static const uint32_t bits[] = {0x7FC00000 /* NaN */, 0x7F800000 /* infinity */, 0xFF800000, 0x7F7FFFFF,
                                    0xFF7FFFFF};

    (void)state;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        struct run *run = new_run_of_file(clip("float.wav"));
        char *samples = memmem(run->bytes, 1024, "data", 4);

        assert_non_null(samples);
        samples += 8;
        for (int64_t k = 20000; k < 500000; k += 997)
            memcpy(samples + 4 * k, &bits[i], 4);
        run_job(run);
        expect_success(run);
        assert_int_equal(run->result.duration_ms, 7000);
        free_run(run);
    }
}

/* What is missing in the middle is silence, so that the rest stays in step with the pictures. */
static void test_gap_in_the_middle(void **state)
{
    struct run *run = new_run_of_file(clip("gap.mkv"));

    (void)state;
    run_job(run);
    expect_success(run);
    assert_in_range(run->result.duration_ms, 6900, 7100);
    free_run(run);
}

/* The MP3 of sound that ends before its pictures ends with it. */
static void test_short_sound_is_not_padded(void **state)
{
    struct run *run = new_run_of_file(clip("short-sound.mp4"));

    (void)state;
    run_job(run);
    expect_success(run);
    assert_in_range(run->result.duration_ms, 2990, 3050);
    free_run(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_container),
        cmocka_unit_test(test_samples_that_are_no_sound),
        cmocka_unit_test(test_gap_in_the_middle),
        cmocka_unit_test(test_short_sound_is_not_padded),
    };

    return cmocka_run_group_tests(tests, make_clips, NULL);
}
