#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mail/mail.h"
#include "mail/mime.h"

static struct tide_mail_message sample(void)
{
    return (struct tide_mail_message){.from = "tidemill <mill@example.com>",
                                      .to = "georgio@email.com",
                                      .subject = "MP3 Download",
                                      .text = "Your MP3 is ready.\n",
                                      .id = "6543210fedcba98765432100"};
}

static char *build(const struct tide_mail_message *message)
{
    struct tide_err err = {0};
    struct tide_buf out;

    tide_buf_init(&out, 1 << 20);
    if (!tide_mail_build(message, "example.com", &out, &err))
        fail_msg("%s: %s", err.code, err.message);
    assert_int_equal(strlen(out.data), out.len);
    return tide_buf_take(&out, NULL);
}

/* Every line ends with CRLF, is at most 78 long in the header and 76 in the body, and is ASCII. */
static void expect_well_formed(const char *text)
{
    size_t max = 78;

    while (*text) {
        size_t len = strcspn(text, "\r\n");

        if (len == 0)
            max = 76;
        assert_true(len <= max);
        for (size_t i = 0; i < len; i++)
            assert_true(text[i] == '\t' || (text[i] >= 0x20 && text[i] <= 0x7E));
        assert_memory_equal(text + len, "\r\n", 2);
        text += len + 2;
    }
}

/* What Python's parser makes of the message: `code` is an expression over `m`. */
static char *python(const char *message, const char *code)
{
    static char out[70000];
    char path[] = "/tmp/tide-mail-XXXXXX", command[1024];
    int fd = mkstemp(path);
    FILE *pipe;
    size_t n;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, message, strlen(message)), strlen(message));
    close(fd);
    snprintf(command, sizeof command,
             "python3 -c 'import sys, email, email.header, email.policy, email.utils\n"
             "def name(raw):\n"
             "    raw = email.utils.parseaddr(raw.replace(\"\\r\\n\", \"\"))[0]\n"
             "    return email.header.make_header(email.header.decode_header(raw))\n"
             "m = email.message_from_binary_file(open(\"%s\", \"rb\"), policy=email.policy.default)\n"
             "assert not m.defects, m.defects\n"
             "assert not any(p.defects for p in m.walk())\n"
             "assert not any(h.defects for h in m.values())\n"
             "sys.stdout.buffer.write(str((%s)).encode())'",
             path, code);
    pipe = popen(command, "r");
    n = fread(out, 1, sizeof out - 1, pipe);
    out[n] = '\0';
    assert_int_equal(pclose(pipe), 0);
    unlink(path);
    return out;
}

static void is_a_proper_message(void **state)
{
    struct tide_mail_message message = sample();
    char *text = build(&message), id[128];

    (void)state;
    expect_well_formed(text);
    assert_string_equal(python(text, "m[\"from\"]"), "tidemill <mill@example.com>");
    assert_string_equal(python(text, "m[\"to\"].addresses[0].addr_spec"), "georgio@email.com");
    assert_string_equal(python(text, "m[\"subject\"]"), "MP3 Download");
    assert_string_equal(
        python(text, "(m[\"auto-submitted\"] + \"\", m[\"mime-version\"] + \"\", m.get_content_type())"),
        "('auto-generated', '1.0', 'text/plain')");
    assert_string_equal(python(text, "m.get_content()"), "Your MP3 is ready.\n");
    assert_string_equal(
        python(text, "abs((m[\"date\"].datetime - email.utils.localtime()).total_seconds()) < 60"), "True");
    tide_mail_message_id(message.id, "example.com", id);
    assert_string_equal(python(text, "m[\"message-id\"]"), id);
    free(text);
}

static void has_text_before_html(void **state)
{
    struct tide_mail_message message = sample();
    char *text;

    (void)state;
    message.text = "Grüße, no line end";
    message.html = "<p>Grüße = <a href=\"http://x/?a=1\">MP3</a></p>\n";
    text = build(&message);
    expect_well_formed(text);
    assert_string_equal(python(text, "m.get_content_type()"), "multipart/alternative");
    assert_string_equal(python(text, "[p.get_content_type() for p in m.iter_parts()]"),
                        "['text/plain', 'text/html']");
    assert_string_equal(python(text, "m.get_body((\"html\",)).get_content()"), message.html);
    assert_string_equal(python(text, "m.get_body((\"plain\",)).get_content().strip()"), message.text);
    free(text);
}

static void encodes_names(void **state)
{
    static const struct {
        const char *text, *name, *spec;
    } address[] = {
        {"a@b.c", "", "a@b.c"},
        {"<a@b.c>", "", "a@b.c"},
        {"Anna <a@b.c>", "Anna", "a@b.c"},
        {"Anna B. Cee <a+tag@mail.b-c.de>", "Anna B. Cee", "a+tag@mail.b-c.de"},
        {"\"Cee, Anna \\\"x\\\" <y>\" <a@b.c>", "Cee, Anna \"x\" <y>", "a@b.c"},
        {"J\xC3\xBCrgen <j@b.c>", "J\xC3\xBCrgen", "j@b.c"},
        {"A very long name that has no character of any other script than the Latin one <a@b.c>",
         "A very long name that has no character of any other script than the Latin one", "a@b.c"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof address / sizeof *address; i++) {
        struct tide_mail_message message = sample();
        char *text;

        message.to = address[i].text;
        text = build(&message);
        expect_well_formed(text);
        /* By the older parser: the newer one puts a blank between the encoded words of a name. */
        assert_string_equal(python(text, "name(dict(m.raw_items())[\"To\"])"), address[i].name);
        assert_string_equal(python(text, "m[\"to\"].addresses[0].addr_spec"), address[i].spec);
        assert_string_equal(python(text, "len(m[\"to\"].addresses)"), "1");
        free(text);
    }
}

/* Mixed widths, so that cuts fall within and between characters. */
static void keeps_every_subject(void **state)
{
    static const char *const subjects[] = {
        "Dein Lied ist fertig: \xE2\x99\xAB \xC3\xBC\xC3\xB6\xC3\xA4",
        "\xF0\x9F\x8E\xB5\xF0\x9F\x8E\xB5\xF0\x9F\x8E\xB5\xF0\x9F\x8E\xB5\xF0\x9F\x8E\xB5\xF0\x9F\x8E\xB5"
        "x\xF0\x9F\x8E\xB5\xF0\x9F\x8E\xB5\xF0\x9F\x8E\xB5\xF0\x9F\x8E\xB5\xF0\x9F\x8E\xB5\xF0\x9F\x8E\xB5",
        "=?UTF-8?B?QQ==?= is not a word to decode",
        "an ASCII subject that is much longer than any line of an e-mail may be, so it has to be cut "
        "somewhere",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "a",
        "a"};

    (void)state;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        struct tide_mail_message message = sample();
        char *text;

        message.subject = subjects[i];
        text = build(&message);
        expect_well_formed(text);
        assert_string_equal(python(text, "m[\"subject\"]"), subjects[i]);
        free(text);
    }
}

static void keeps_every_body(void **state)
{
    static const char *const bodies[] = {"",
                                         "\n",
                                         "trailing blanks  \t\nand at the end ",
                                         ".\n..\nFrom here\n",
                                         "a=b==\n=3D\n",
                                         "\xE2\x99\xAB\xE2\x99\xAB\xE2\x99\xAB\xE2\x99\xAB\xE2\x99\xAB\xE2"
                                         "\x99\xAB\xE2\x99\xAB\xE2\x99\xAB\xE2\x99\xAB\n"};
    char line[2000], want[4000];

    (void)state;
    for (size_t i = 0; i <= sizeof bodies / sizeof *bodies; i++) {
        struct tide_mail_message message = sample();
        char *text;

        memset(line, 'x', sizeof line);
        for (size_t k = 70; k < sizeof line; k += 73)
            line[k] = k % 2 ? '=' : ' ';
        line[sizeof line - 1] = '\0';
        message.text = i < sizeof bodies / sizeof *bodies ? bodies[i] : line;
        text = build(&message);
        expect_well_formed(text);
        snprintf(want, sizeof want, "%s", message.text);
        if (*want && want[strlen(want) - 1] != '\n')
            strcat(want, "\n"); /* a message's last line is ended */
        assert_string_equal(python(text, "m.get_content()"), want);
        free(text);
    }
}

static void leaves_a_link_as_it_is(void **state)
{
    struct tide_mail_message message = sample();
    char *text;

    (void)state;
    message.text =
        "Fetch it:\n\n  curl \"http://h/download?fid=0123456789abcdef01234567&x=1234567890123456789\" -o a\n";
    text = build(&message);
    assert_non_null(strstr(text, "?fid=0123456789abcdef01234567&x=1234567890123456789\" -o a\r\n"));
    free(text);
    message.text = "--=_boundary\n"; /* what a boundary begins with never stands in a part */
    text = build(&message);
    assert_null(strstr(strstr(text, "\r\n\r\n"), "\n--=_boundary"));
    free(text);
}

static void makes_every_line_end_crlf(void **state)
{
    struct tide_buf out;

    (void)state;
    tide_buf_init(&out, 1000);
    tide_mail_put_quoted(&out, "a\nb\r\nc\rd\n\n");
    assert_string_equal(out.data, "a\r\nb\r\nc\r\nd\r\n\r\n");
    tide_buf_release(&out);
}

static void refuse(struct tide_mail_message message, const char *domain, const char *code, size_t max)
{
    struct tide_err err = {0};
    struct tide_buf out;

    tide_buf_init(&out, max);
    assert_false(tide_mail_build(&message, domain, &out, &err));
    assert_string_equal(err.code, code);
    assert_null(strpbrk(err.message, "\r\n"));
    tide_buf_release(&out);
}

static void refuses_what_would_break_a_header(void **state)
{
    static const char *const addresses[] = {"",
                                            "a",
                                            "@b.c",
                                            "a@",
                                            "a b@c.d",
                                            "a@b.c, d@e.f",
                                            "a@b.c\r\nBcc: d@e.f",
                                            "a@b.c\n",
                                            "A <a@b.c",
                                            "A, B <a@b.c>",
                                            "a@b..c",
                                            ".a@b.c",
                                            "<a@b.c> x",
                                            "\xC3\xBC@b.c",
                                            "a@b.c>",
                                            "A\nB <a@b.c>",
                                            "\xFF <a@b.c>",
                                            "a@b.c <d@e.f",
                                            "a@[127.0.0.1]",
                                            "a@b_c.d"};
    struct tide_mail_message message;

    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        message = sample();
        message.to = addresses[i];
        refuse(message, "example.com", TIDE_ERR_INVALID, 10000);
        message = sample();
        message.from = addresses[i];
        refuse(message, "example.com", TIDE_ERR_INVALID, 10000);
    }
    message = sample();
    message.subject = "x\r\nBcc: a@b.c";
    refuse(message, "example.com", TIDE_ERR_INVALID, 10000);
    message.subject = "\xFF";
    refuse(message, "example.com", TIDE_ERR_INVALID, 10000);
    message = sample();
    message.text = "\xC3";
    refuse(message, "example.com", TIDE_ERR_INVALID, 10000);
    message = sample();
    message.html = "\xC3";
    refuse(message, "example.com", TIDE_ERR_INVALID, 10000);
    refuse(sample(), "bad domain", TIDE_ERR_INVALID, 10000);
    refuse(sample(), "example.com", TIDE_ERR_TOO_LARGE, 100);
}

static void one_id_is_one_message_id(void **state)
{
    char a[128], b[128], c[128];
    struct tide_mail_message message = sample();
    char *first, *second;

    (void)state;
    tide_mail_message_id("x", "example.com", a);
    tide_mail_message_id("x", "example.com", b);
    tide_mail_message_id("y", "example.com", c);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    assert_int_equal(strlen(a), 32 + strlen("<@example.com>"));
    message.id = NULL;
    first = build(&message);
    second = build(&message);
    snprintf(a, sizeof a, "%s", python(first, "m[\"message-id\"]"));
    assert_string_not_equal(python(second, "m[\"message-id\"]"), a);
    free(first);
    free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_a_proper_message),
        cmocka_unit_test(has_text_before_html),
        cmocka_unit_test(encodes_names),
        cmocka_unit_test(keeps_every_subject),
        cmocka_unit_test(keeps_every_body),
        cmocka_unit_test(leaves_a_link_as_it_is),
        cmocka_unit_test(makes_every_line_end_crlf),
        cmocka_unit_test(refuses_what_would_break_a_header),
        cmocka_unit_test(one_id_is_one_message_id),
    };
    return cmocka_run_group_tests_name("mail/message", tests, NULL, NULL);
}
