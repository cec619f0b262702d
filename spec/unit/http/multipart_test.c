#include "http/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"

#define TYPE "multipart/form-data; boundary=XX"
#define PART(disposition) "--XX\r\nContent-Disposition: form-data; " disposition "\r\n\r\n"

/* Feeds `body` in two pieces, taking content `cap` bytes at a time, and writes down what happens:
 * "[name|filename|type]content;" for each part, then "END", "MORE" when cut off, or "BAD". */
static void run(struct tide_multipart *multipart, const char *body, size_t len, size_t split, size_t cap,
                struct tide_buf *story)
{
    const char *pieces[2] = {body, body + split};
    size_t lens[2] = {split, len - split}, out_len = 0;
    char out[64];
    enum tide_multipart_event event = TIDE_MULTIPART_MORE;
    int piece;

    tide_buf_reset(story);
    for (piece = 0; piece < 2 && event != TIDE_MULTIPART_END && event != TIDE_MULTIPART_BAD; piece++)
        do {
            event = tide_multipart_parse(multipart, &pieces[piece], &lens[piece], out, cap, &out_len);
            tide_buf_append(story, out, out_len);
            out_len = 0;
            if (event == TIDE_MULTIPART_PART)
                tide_buf_printf(
                    story, "[%s|%s|%s]", tide_multipart_name(multipart),
                    tide_multipart_filename(multipart) ? tide_multipart_filename(multipart) : "-",
                    tide_multipart_content_type(multipart) ? tide_multipart_content_type(multipart) : "-");
            if (event == TIDE_MULTIPART_PART_END)
                tide_buf_puts(story, ";");
        } while (event != TIDE_MULTIPART_MORE && event != TIDE_MULTIPART_END && event != TIDE_MULTIPART_BAD);
    tide_buf_puts(story, event == TIDE_MULTIPART_END ? "END" : event == TIDE_MULTIPART_BAD ? "BAD" : "MORE");
}

static void check(const char *type, const char *body, size_t len, const char *expected)
{
    static const size_t caps[] = {1, 3, 64};
    struct tide_multipart *multipart;
    struct tide_buf story;
    struct tide_err err;
    size_t split, i;

    tide_buf_init(&story, 1 << 20);
    for (split = 0; split <= len; split++)
        for (i = 0; i < 3; i++) {
            multipart = tide_multipart_new(type, &err);
            assert_non_null(multipart);
            run(multipart, body, len, split, caps[i], &story);
            if (strcmp(story.data, expected) != 0)
                fail_msg("split at %zu, %zu bytes a time:\n%s\nnot\n%s\nin\n%s", split, caps[i], story.data,
                         expected, body);
            tide_multipart_free(multipart);
        }
    tide_buf_release(&story);
}

static void bodies_are_taken_apart_at_every_split(void **state)
{
    static const struct {
        const char *body, *story;
    } cases[] = {
        {PART("name=a") "hello\r\n--XX--", "[a|-|-]hello;END"},
        {PART("name=a") "hello\r\n--XX--\r\nepilogue", "[a|-|-]hello;END"},
        {"preamble\r\n" PART("name=a") "1\r\n" PART("name=b") "2\r\n--XX--", "[a|-|-]1;[b|-|-]2;END"},
        {"--X\r\n-- XX\r\n" PART("name=a") "\r\n--XX--", "[a|-|-];END"},
        {"\r\n" PART("name=a") "1\r\n--XX--", "[a|-|-]1;END"},
        {PART("name=a") "\r\n--XX--", "[a|-|-];END"},
        {PART("name=a") "--XX--", "[a|-|-];END"}, /* no content, not even its CR LF */
        {PART("name=a") "\r\n\r\n--XX--", "[a|-|-]\r\n;END"},
        {PART("name=a") "\r\r\n\r\n-\r\n--\r\n--X\r\n--XY--XX\n--XX\r\n--XX--",
         "[a|-|-]\r\r\n\r\n-\r\n--\r\n--X\r\n--XY--XX\n--XX;END"},
        {"--XX \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--XX  --", "[a|-|-]1;END"},
        {PART("name=\"a b\"; filename=\"C:\\dir\\v.mp4\"") "1\r\n--XX--", "[a b|v.mp4|-]1;END"},
        {PART("name=f; filename=\"../../etc/passwd\"") "1\r\n--XX--", "[f|passwd|-]1;END"},
        {PART("name=f; filename=\"..\"") "1\r\n--XX--", "[f||-]1;END"},
        {PART("name=f; filename=\"\"") "\r\n--XX--", "[f||-];END"},
        {PART("name=\"a\\\"b\"; filename=\"x\\\\y\\\"z.mp4\"") "1\r\n--XX--", "[a\"b|y\"z.mp4|-]1;END"},
        {PART("name=\"a%22b\"; filename=\"x%22y%0D%0Az%41.mp4\"") "1\r\n--XX--",
         "[a\"b|x\"yz%41.mp4|-]1;END"},
        {PART("name=f; filename=\"a.mp4\"; filename*=UTF-8''%e2%82%ac%20x.mp4") "1\r\n--XX--",
         "[f|\xe2\x82\xac x.mp4|-]1;END"},
        {PART("name=f; filename*=UTF-8'en'..%2fx.mp4") "1\r\n--XX--", "[f|x.mp4|-]1;END"},
        {PART("name=f; filename=a.mp4; filename*=latin1''b.mp4") "1\r\n--XX--", "[f|a.mp4|-]1;END"},
        {PART("name=f; filename=\"\xc3\xa4;=.mp4\" ; size=3") "1\r\n--XX--", "[f|\xc3\xa4;=.mp4|-]1;END"},
        {"--XX\r\ncontent-type:  video/mp4 \r\nContent-Disposition:FORM-DATA;NAME=f\r\nX-Other: "
         "y\r\n\r\n1\r\n--XX--",
         "[f|-|video/mp4]1;END"},
        {"--XX--", "END"},
        {"", "MORE"},
        {"--XX", "MORE"},
        {"nothing of the kind", "MORE"},
        {PART("name=a") "hello", "[a|-|-]helloMORE"},
        {PART("name=a") "hello\r\n--XX", "[a|-|-]hello;MORE"},
        {PART("name=a") "hello\r\n--XX-", "[a|-|-]hello;MORE"},
        {"--XX\r\nContent-Disposition: form-data; name=a\r\n", "MORE"},
        {"--XXY\r\n", "BAD"},
        {PART("name=a") "1\r\n--XX\n\n", "[a|-|-]1;BAD"},
        {"--XX\r\n\r\nno head", "BAD"},
        {"--XX\r\nContent-Type: text/plain\r\n\r\n1\r\n--XX--", "BAD"},
        {"--XX\r\nContent-Disposition form-data\r\n\r\n", "BAD"},
        {"--XX\r\nContent-Disposition : form-data; name=a\r\n\r\n", "BAD"},
        {"--XX\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\n", "BAD"},
        {"--XX\r\nContent-Disposition: attachment; name=a\r\n\r\n", "BAD"},
        {"--XX\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n",
         "BAD"},
        {"--XX\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n",
         "BAD"},
        {PART("filename=a"), "BAD"},
        {PART("name=a; name=b"), "BAD"},
        {PART("name=\"a"), "BAD"},
        {PART("name=\"a\"b"), "BAD"},
        {PART("name=a b"), "BAD"},
        {PART("name"), "BAD"},
        {PART("name="), "BAD"},
        {PART("name=a\x01"), "BAD"},
        {PART("name=\"\xe9\""), "BAD"},
        {PART("name=a; filename=\"\xe9t\xe9.mp4\""), "BAD"},
        {PART("name=a; filename*=UTF-8''%E9.mp4"), "BAD"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++)
        check(TYPE, cases[i].body, strlen(cases[i].body), cases[i].story);
}

static void a_nul_in_a_head_is_refused(void **state)
{
    static const char body[] = "--XX\r\nContent-Disposition: form-data; name=a\0b\r\n\r\n1\r\n--XX--";

    (void)state;
    check(TYPE, body, sizeof body - 1, "BAD");
}

static void boundaries_are_read_from_the_content_type(void **state)
{
    static const struct {
        const char *type;
        bool good;
    } cases[] = {
        {"multipart/form-data; boundary=XX", true},
        {"Multipart/Form-Data;charset=utf-8;BOUNDARY=\"XX\"", true},
        {"multipart/form-data; boundary=XX; x=y", true},
        {NULL, false},
        {"", false},
        {"text/plain; boundary=XX", false},
        {"multipart/mixed; boundary=XX", false},
        {"multipart/form-data", false},
        {"multipart/form-data; boundary=", false},
        {"multipart/form-data; boundary=\"\"", false},
        {"multipart/form-data; boundary=\"XX ", false},
        {"multipart/form-data; boundary=\"XX \"", false},
        {"multipart/form-data; boundary=\xc3\xa4", false},
        {"multipart/form-data; "
         "boundary=0123456789012345678901234567890123456789012345678901234567890123456789",
         true},
        {"multipart/form-data; "
         "boundary=01234567890123456789012345678901234567890123456789012345678901234567890",
         false},
    };
    static const char spaced[] = "--a b\r\nContent-Disposition: form-data; name=q\r\n\r\n1\r\n--a b--";
    struct tide_multipart *multipart;
    struct tide_err err;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        multipart = tide_multipart_new(cases[i].type, &err);
        if ((multipart != NULL) != cases[i].good)
            fail_msg("%s", cases[i].type);
        if (!multipart)
            assert_string_equal(err.code, TIDE_ERR_INVALID);
        tide_multipart_free(multipart);
    }
    check("multipart/form-data; boundary=\"a b\"", spaced, sizeof spaced - 1, "[q|-|-]1;END");
}

static enum tide_multipart_event skip_all(const struct tide_buf *body, const char **fault)
{
    struct tide_multipart *multipart = tide_multipart_new(TYPE, NULL);
    const char *data = body->data;
    size_t len = body->len;
    enum tide_multipart_event event;

    do
        event = tide_multipart_parse(multipart, &data, &len, NULL, 0, NULL);
    while (event == TIDE_MULTIPART_PART || event == TIDE_MULTIPART_PART_END);
    *fault = tide_multipart_fault(multipart);
    tide_multipart_free(multipart);
    return event;
}

static void limits_hold(void **state)
{
    struct tide_buf body;
    const char *fault;
    int parts, i;

    (void)state;
    tide_buf_init(&body, 1 << 20);
    for (parts = TIDE_MULTIPART_MAX_PARTS; parts <= TIDE_MULTIPART_MAX_PARTS + 1; parts++) {
        tide_buf_reset(&body);
        for (i = 0; i < parts; i++)
            tide_buf_puts(&body, PART("name=a") "1\r\n");
        tide_buf_puts(&body, "--XX--");
        assert_int_equal(skip_all(&body, &fault),
                         parts == TIDE_MULTIPART_MAX_PARTS ? TIDE_MULTIPART_END : TIDE_MULTIPART_BAD);
    }
    assert_string_equal(fault, "the body has more than 100 parts");
    for (i = 0; i < 2; i++) {
        tide_buf_reset(&body);
        tide_buf_puts(&body, "--XX\r\nContent-Disposition: form-data; name=a\r\nX: ");
        while (body.len < (size_t)TIDE_MULTIPART_MAX_HEAD + (i ? 100 : -100))
            tide_buf_putc(&body, 'x');
        tide_buf_puts(&body, "\r\n\r\n1\r\n--XX--");
        assert_int_equal(skip_all(&body, &fault), i ? TIDE_MULTIPART_BAD : TIDE_MULTIPART_END);
    }
    assert_string_equal(fault, "a part's headers are over 8 KiB");
    tide_buf_release(&body);
}

/* 64 MiB of bytes as media have them, and of nothing but CR: no input may be much slower than another. */
static void scanning_is_fast(void **state)
{
    enum { SIZE = 64 << 20, PIECE = 16 << 10 };
    char *body = malloc(SIZE), *out = malloc(1 << 18);
    uint32_t x = 1;
    size_t i;
    int kind;

    (void)state;
    for (kind = 0; kind < 2; kind++) {
        struct tide_multipart *multipart = tide_multipart_new(TYPE, NULL);
        size_t head = strlen(PART("name=a")), taken = 0;
        struct timespec a, b;

        for (i = 0; i < SIZE; i++)
            body[i] = kind ? '\r' : (char)((x = x * 1664525 + 1013904223) >> 24);
        memcpy(body, PART("name=a"), head);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        for (i = 0; i < SIZE; i += PIECE) {
            const char *data = body + i;
            size_t len = PIECE, out_len = 0;
            enum tide_multipart_event event;

            do {
                event = tide_multipart_parse(multipart, &data, &len, out, 1 << 18, &out_len);
                assert_true(event == TIDE_MULTIPART_PART || event == TIDE_MULTIPART_MORE);
            } while (event != TIDE_MULTIPART_MORE);
            taken += out_len;
        }
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
        tide_multipart_free(multipart);
        assert_in_range(taken, SIZE - head - 4, SIZE - head);
        print_message("%s: %.2f GB/s\n", kind ? "only CR" : "random",
                      SIZE / ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)));
    }
    free(body);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_taken_apart_at_every_split),
        cmocka_unit_test(a_nul_in_a_head_is_refused),
        cmocka_unit_test(boundaries_are_read_from_the_content_type),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(scanning_is_fast),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
