/* Input that can't be converted, limits, and the failures of what the job stands between. */
#include "fixture.h"

static void expect_file_failure(const char *file, const char *code, const char *part)
{
    struct run *run = new_run_of_file(clip(file));

    run_job(run);
    expect_failure(run, code, part);
    free_run(run);
}

static void expect_bytes_failure(const void *bytes, size_t len, const char *code, const char *part)
{
    struct run *run = new_run(bytes, len);

    run_job(run);
    expect_failure(run, code, part);
    assert_int_equal(run->output.len, 0);
    free_run(run);
}

static void test_no_audio(void **state)
{
    (void)state;
    expect_file_failure("silent.mp4", TIDE_MEDIA_NO_AUDIO, "no sound track");
}

static void test_corrupt(void **state)
{
    (void)state;
    expect_file_failure("moovless.mp4", TIDE_MEDIA_CORRUPT, "index");
    expect_file_failure("truncated.mp4", TIDE_MEDIA_CORRUPT, "cut off after");
    expect_file_failure("truncated.mkv", TIDE_MEDIA_CORRUPT, "cut off after");
}

static void cut(const char *file, double keep, const char *code)
{
    struct run *run = new_run_of_file(clip(file));

    run->input.length = (int64_t)((double)run->input.length * keep);
    run_job(run);
    if (code && run->ok)
        fail_msg("%s cut to %.3f was taken", file, keep);
    if (!code && !run->ok)
        fail_msg("%s cut to %.3f: %s: %s", file, keep, run->err.code, run->err.message);
    if (code)
        assert_string_equal(run->err.code, code);
    free_run(run);
}

/* Half a file is no file, but one that lacks its last few bytes is taken. */
static void test_cut_files(void **state)
{
    static const char *const files[] = {"clip.mkv", "opus.webm", "clip.wav", "clip.mov",
                                        "clip.mp3", "clip.flac", "clip.avi", "fragmented.mp4"};

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        cut(files[i], 0.5, TIDE_MEDIA_CORRUPT);
    cut("clip.mkv", 0.999, NULL);
    cut("clip.wav", 0.999, NULL);
    cut("clip.mp3", 0.999, NULL);
    cut("faststart.mp4", 0.999, NULL);
}

/* Programs that write to a pipe leave the lengths in the header of a WAV open. */
static void test_wav_without_length(void **state)
{
    struct run *run = new_run_of_file(clip("clip.wav"));

    (void)state;
    memset(run->bytes + 4, 0xFF, 4);
    for (char *at = run->bytes; at < run->bytes + 200; at++)
        if (memcmp(at, "data", 4) == 0)
            memset(at + 4, 0xFF, 4);
    run_job(run);
    expect_success(run);
    assert_in_range(run->result.duration_ms, 6999, 7001);
    free_run(run);
}

static void test_unsupported(void **state)
{
    static const char hls[] = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:1/x.ts\n"
                              "#EXT-X-ENDLIST\n";
    static const char concat[] = "ffconcat version 1.0\nfile /etc/passwd\n";
    static const char sdp[] = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
                              "m=audio 5004 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n";
    static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0";
    char noise[8192];
    unsigned seed = 1;

    (void)state;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
    expect_file_failure("text.mp4", TIDE_MEDIA_UNSUPPORTED, "not a media file");
    expect_bytes_failure("", 0, TIDE_MEDIA_UNSUPPORTED, "empty");
    expect_bytes_failure("x", 1, TIDE_MEDIA_UNSUPPORTED, "not a media file");
    expect_bytes_failure(hls, sizeof hls - 1, TIDE_MEDIA_UNSUPPORTED, "");
    expect_bytes_failure(concat, sizeof concat - 1, TIDE_MEDIA_UNSUPPORTED, "");
    expect_bytes_failure(sdp, sizeof sdp - 1, TIDE_MEDIA_UNSUPPORTED, "");
    expect_bytes_failure(png, sizeof png - 1, TIDE_MEDIA_UNSUPPORTED, "");
    expect_bytes_failure(noise, sizeof noise, TIDE_MEDIA_UNSUPPORTED, "not a media file");
}

/* A WAV of `rate` Hz and 16 bits with `seconds` of noise. */
static struct run *noise_run(uint32_t rate, uint16_t channels, uint32_t seconds)
{
    uint32_t align = channels * 2u, bytes = rate * seconds * align, seed = 7;
    char *wav = calloc(1, bytes + 44);
    struct run *run;

    assert_non_null(wav);
    memcpy(wav, "RIFF....WAVEfmt \x10\0\0\0\x01\0", 22);
    memcpy(wav + 4, &(uint32_t){bytes + 36}, 4);
    memcpy(wav + 22, &channels, 2);
    memcpy(wav + 24, &rate, 4);
    memcpy(wav + 28, &(uint32_t){rate * align}, 4);
    memcpy(wav + 32, &align, 2);
    memcpy(wav + 34, &(uint16_t){16}, 2);
    memcpy(wav + 36, "data", 4);
    memcpy(wav + 40, &bytes, 4);
    for (uint32_t i = 0; i < bytes; i++)
        wav[44 + i] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
    run = new_run(wav, bytes + 44);
    free(wav);
    return run;
}

static void expect_noise_refused(uint32_t rate, uint16_t channels, uint32_t seconds, const char *part)
{
    struct run *run = noise_run(rate, channels, seconds);

    run_job(run);
    expect_failure(run, TIDE_MEDIA_UNSUPPORTED, part);
    free_run(run);
}

static void test_odd_rates_and_channels(void **state)
{
    (void)state;
    expect_noise_refused(1, 1, 4000, "a sample rate of 1 Hz");
    expect_noise_refused(7999, 1, 1, "a sample rate of 7999 Hz");
    expect_noise_refused(192001, 1, 1, "a sample rate of 192001 Hz");
    expect_noise_refused(8000, 9, 1, "9 channels");
}

static void test_too_long(void **state)
{
    struct run *declared = new_run_of_file(clip("clip-7s.mp4"));
    struct run *actual = new_run_of_file(clip("clip.aac")); /* declares nothing but an estimate */

    (void)state;
    declared->request.options.max_duration_ms = 6900;
    run_job(declared);
    expect_failure(declared, TIDE_MEDIA_TOO_LONG, "longer than 6 s");
    assert_int_equal(declared->output.len, 0);
    free_run(declared);
    actual->request.options.max_duration_ms = 2000;
    run_job(actual);
    expect_failure(actual, TIDE_MEDIA_TOO_LONG, "longer than 2 s");
    free_run(actual);
}

static void test_output_limit(void **state)
{
    struct run *run = new_run_of_file(clip("clip-7s.mp4"));

    (void)state;
    run->request.options.max_output = 70000;
    run_job(run);
    expect_failure(run, TIDE_ERR_LIMIT, "larger than 70000 bytes");
    assert_true(run->output.len <= 70000);
    free_run(run);
}

static void test_cpu_limit(void **state)
{
    struct run *run = noise_run(48000, 2, 600);

    (void)state;
    run->request.options.max_cpu_ms = 1000;
    run->request.options.quality = "V0";
    run_job(run);
    expect_failure(run, TIDE_ERR_LIMIT, "CPU time");
    free_run(run);
}

static void test_memory_limit(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)state; /* an instrumented child has no such limit, see sandbox.c */
    skip();
#else
    struct run *run = new_run_of_file(clip("clip-7s.mp4"));

    (void)state;
    run->request.options.max_memory = 8 << 20;
    run_job(run);
    expect_failure(run, TIDE_ERR_LIMIT, "out of memory");
    free_run(run);
#endif
}

static void test_wall_timeout(void **state)
{
    struct run *run = noise_run(48000, 2, 600);

    (void)state;
    run->request.options.timeout_ms = 200;
    run_job(run);
    expect_failure(run, TIDE_ERR_TIMEOUT, "200 ms");
    assert_true(run->err.retryable);
    free_run(run);
}

static void test_full_sink(void **state)
{
    (void)state;
    for (int slow = 0; slow < 2; slow++) {
        struct run *run = new_run_of_file(clip("clip-7s.mp4"));

        run->slow = slow;
        run->sink_room = 70000;
        run_job(run);
        expect_failure(run, TIDE_ERR_FULL, "no space left");
        assert_true(run->err.retryable);
        free_run(run);
    }
}

static void test_input_that_fails(void **state)
{
    struct run *run = new_run_of_file(clip("clip-7s.mp4"));

    (void)state;
    run->input_fails = true;
    run_job(run);
    expect_failure(run, TIDE_ERR_UNAVAILABLE, "reading the input: the store is away");
    assert_true(run->err.retryable);
    free_run(run);
}

/* Where the type of the next such box of an mp4 is. */
static int64_t find_box(const struct run *run, const char type[4], int64_t from)
{
    for (int64_t i = from; i + 4 <= run->input.length; i++)
        if (memcmp(run->bytes + i, type, 4) == 0)
            return i;
    fail_msg("no box %.4s", type);
    return 0;
}

/* A size that the index claims is far beyond the memory of a job: the file is at fault, not the limit. */
static void test_size_beyond_memory(void **state)
{
    struct run *run = new_run_of_file(clip("faststart.mp4"));
    int64_t sizes = find_box(run, "stsz", find_box(run, "stsz", 0) + 4); /* of the sound, the second track */

    (void)state;
    run->bytes[sizes + 16 + 4 * 100] = 0x31;
    run_job(run);
    expect_failure(run, TIDE_MEDIA_CORRUPT, "cut off");
    free_run(run);
}

/* Bytes changed all over the file: any answer will do but a crash, and one in the middle, which is sound or
 * pictures, must be passed over. */
static void test_damaged_bytes(void **state)
{
    static const char *const files[] = {"faststart.mp4", "clip.mkv",  "clip.avi", "clip.mp3",
                                        "clip.ogg",      "clip.flac", "clip.ts",  "clip.wmv"};
    unsigned seed = 3;

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        for (int damage = 1; damage <= 10000; damage *= 100) {
            struct run *run = new_run_of_file(clip(files[i]));

            for (int k = 0; k < damage; k++) {
                seed = seed * 1664525 + 1013904223;
                run->bytes[damage == 1 ? run->input.length / 2
                                       : 4096 + seed % (unsigned)(run->input.length - 4096)] ^=
                    (char)(seed >> 24 | 1);
            }
            run_job(run);
            if (!run->ok && strcmp(run->err.code, TIDE_MEDIA_CRASHED) == 0)
                fail_msg("%s with %d damaged bytes: %s", files[i], damage, run->err.message);
            if (damage == 1)
                expect_success(run);
            free_run(run);
        }
    }
}

static void test_audio_of_damage_only(void **state)
{
    struct run *run = new_run_of_file(clip("clip.m4a"));
    unsigned seed = 5;

    (void)state;
    for (int64_t i = 64; i < run->input.length - 8000; i++)
        run->bytes[i] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
    run_job(run);
    expect_failure(run, TIDE_MEDIA_CORRUPT, "");
    free_run(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_audio),         cmocka_unit_test(test_corrupt),
        cmocka_unit_test(test_cut_files),        cmocka_unit_test(test_wav_without_length),
        cmocka_unit_test(test_unsupported),      cmocka_unit_test(test_odd_rates_and_channels),
        cmocka_unit_test(test_too_long),         cmocka_unit_test(test_output_limit),
        cmocka_unit_test(test_cpu_limit),        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_wall_timeout),     cmocka_unit_test(test_full_sink),
        cmocka_unit_test(test_input_that_fails), cmocka_unit_test(test_size_beyond_memory),
        cmocka_unit_test(test_damaged_bytes),    cmocka_unit_test(test_audio_of_damage_only),
    };

    return cmocka_run_group_tests(tests, make_clips, NULL);
}
