/*
 * The SMTP driver against a server: SMTP_URL and SMTPS_URL (spec/servers) with SERVERS_CA, SMTP_MAILDIR (what
 * it took) and SMTP_BEHAVIOUR (a file that makes it misbehave). Without them only what needs no server is
 * tested.
 */
#include "loop.h"

#include "base/clock.h"
#include "mail/mail.h"

#define FROM "tidemill <mill@example.com>"

static uv_loop_t loop;
static int files_before;
static struct tide_mailer *mailer;

struct result {
    int called;
    bool retryable;
    char code[24], message[320];
};

static const char *server(const char *name)
{
    const char *value = getenv(name);

    if (!value) {
        print_message("skipped: no %s in the environment (spec/servers sets it)\n", name);
        skip();
    }
    return value;
}

/* The server's URL with parameters. */
static const char *url_with(const char *name, const char *parameters)
{
    static char url[512];

    snprintf(url, sizeof url, "%s%s", server(name), parameters);
    return url;
}

static const char *trusting(const char *name, const char *more)
{
    char parameters[300];

    snprintf(parameters, sizeof parameters, "?cacert=%s%s", server("SERVERS_CA"), more);
    return url_with(name, parameters);
}

static int setup(void **state)
{
    (void)state;
    files_before = loop_open(&loop);
    return 0;
}

static void behave(const char *rules)
{
    const char *path = getenv("SMTP_BEHAVIOUR");
    FILE *file;

    if (!path)
        return;
    unlink(path);
    if (!*rules)
        return;
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(rules, file);
    fclose(file);
}

static int teardown(void **state)
{
    (void)state;
    behave("");
    tide_mailer_close(mailer);
    mailer = NULL;
    uv_run(&loop, UV_RUN_NOWAIT);
    uv_loop_close(&loop);
    return 0;
}

static void open_mailer(const char *url)
{
    struct tide_err err = {0};

    mailer = tide_mailer_open(&loop, NULL, url, FROM, &err);
    if (!mailer)
        fail_msg("%s: %s", err.code, err.message);
}

static void on_sent(void *arg, const struct tide_err *err)
{
    struct result *r = arg;

    r->called++;
    r->retryable = err && err->retryable;
    snprintf(r->code, sizeof r->code, "%s", err ? err->code : "");
    snprintf(r->message, sizeof r->message, "%s", err ? err->message : "");
}

static struct tide_mail_call *start(const struct tide_mail_message *message, struct result *r)
{
    struct tide_err err = {0};
    struct tide_mail_call *call = tide_mail_send(mailer, message, on_sent, r, &err);

    if (!call)
        fail_msg("%s: %s", err.code, err.message);
    return call;
}

static struct result send_mail(const char *id)
{
    struct tide_mail_message message = {
        .to = "anna@example.com", .subject = "MP3 Download", .text = "ready\n", .id = id};
    struct result r = {0};

    start(&message, &r);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(r.called, 1);
    return r;
}

static void assert_failed(struct result r, const char *code, bool retryable, const char *words)
{
    if (strcmp(r.code, code) != 0 || r.retryable != retryable || !strstr(r.message, words))
        fail_msg("got %s, %sretryable: %s", r.code, r.retryable ? "" : "not ", r.message);
}

static void assert_sent(struct result r)
{
    if (r.code[0])
        fail_msg("%s: %s", r.code, r.message);
}

/* Messages of the server's maildir with this text; the last one's bytes, without CR, are in `found`. */
static int look_for(const char *text, char found[8192])
{
    char command[600], part[8192];
    FILE *pipe;
    int n = 0;

    snprintf(command, sizeof command, "grep -lF -- '%s' '%s'/new/* 2>/dev/null", text,
             server("SMTP_MAILDIR"));
    pipe = popen(command, "r");
    assert_non_null(pipe);
    while (fgets(command, 512, pipe)) {
        FILE *file;

        command[strcspn(command, "\n")] = '\0';
        file = fopen(command, "r");
        assert_non_null(file);
        found[0] = '\0';
        while (fgets(part, sizeof part, file)) {
            part[strcspn(part, "\r\n")] = '\0';
            assert_true(strlen(found) + strlen(part) + 2 < 8192);
            strcat(strcat(found, part), "\n");
        }
        fclose(file);
        n++;
    }
    pclose(pipe);
    return n;
}

/* An id that no earlier run has used. */
static const char *fresh_id(void)
{
    static char id[64];
    static int count;

    snprintf(id, sizeof id, "%d-%llu-%d", (int)getpid(), (unsigned long long)uv_hrtime(), count++);
    return id;
}

static void message_id_of(const char *id, char out[128])
{
    tide_mail_message_id(id, "example.com", out);
}

/* ---- what it hands over ---- */

static void the_message_arrives_as_it_is(void **state)
{
    struct tide_mail_message message = {.to = "Änna <anna@example.com>",
                                        .subject = "Grüße ☾",
                                        .text = "eins\n.\n..zwei\n.drei\n\nvier\n",
                                        .id = fresh_id()};
    char found[8192], id[128];
    struct result r = {0};

    (void)state;
    open_mailer(server("SMTP_URL"));
    start(&message, &r);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_sent(r);
    message_id_of(message.id, id);
    assert_int_equal(look_for(id, found), 1);
    assert_non_null(strstr(found, "Return-Path: <mill@example.com>\n"));
    assert_non_null(strstr(found, "\nDelivered-To: anna@example.com\n"));
    assert_non_null(strstr(found, "\nSubject: =?UTF-8?B?R3LDvMOfZSDimL4=?=\n"));
    assert_non_null(strstr(found, "\neins\n.\n..zwei\n.drei\n\nvier\n"));
}

/* Whether this header line is not among `lines` yet, where it is then. */
static bool is_new(char *lines, size_t size, const char *header)
{
    char line[32];

    assert_non_null(header);
    snprintf(line, sizeof line, "%.*s\n", (int)strcspn(header, "\n"), header);
    if (strstr(lines, line))
        return false;
    assert_true(strlen(lines) + strlen(line) < size);
    strcat(lines, line);
    return true;
}

static void many_go_over_few_connections(void **state)
{
    struct result r[40] = {{0}};
    char id[128], found[8192];
    const char *ids[40];
    struct tide_mail_message message = {.to = "anna@example.com", .subject = "one of many", .text = "x"};
    char ports[1024] = "";
    int connections = 0;

    (void)state;
    server("SMTP_BEHAVIOUR"); /* this server notes the client's port */
    open_mailer(server("SMTP_URL"));
    for (int i = 0; i < 40; i++) {
        message.id = ids[i] = strdup(fresh_id());
        start(&message, &r[i]);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (int i = 0; i < 40; i++) {
        assert_sent(r[i]);
        message_id_of(ids[i], id);
        assert_int_equal(look_for(id, found), 1);
        free((void *)ids[i]);
        connections += is_new(ports, sizeof ports, strstr(found, "X-Client-Port: "));
    }
    assert_in_range(connections, 1, 4);
}

static void goes_by_tls(void **state)
{
    (void)state;
    open_mailer(trusting("SMTP_URL", "&tls=required"));
    assert_sent(send_mail(fresh_id()));
    tide_mailer_close(mailer);
    open_mailer(trusting("SMTP_URL", "&tls=opportunistic"));
    assert_sent(send_mail(fresh_id()));
    tide_mailer_close(mailer);
    open_mailer(trusting("SMTPS_URL", ""));
    assert_sent(send_mail(fresh_id()));
    assert_true(tide_mailer_ready(mailer, NULL));
}

static void trusts_no_certificate_that_nobody_signed(void **state)
{
    static const char *const names[] = {"SMTP_URL", "SMTPS_URL"};
    struct tide_err err = {0};

    (void)state;
    for (int i = 0; i < 2; i++) {
        open_mailer(url_with(names[i], i == 0 ? "?tls=required" : ""));
        assert_failed(send_mail(NULL), TIDE_ERR_UNAVAILABLE, true, "certificate");
        assert_false(tide_mailer_ready(mailer, &err));
        tide_mailer_close(mailer);
        mailer = NULL;
    }
}

static void a_certificate_is_for_its_host(void **state)
{
    static const char *const names[] = {"SMTP_URL", "SMTPS_URL"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        char url[512];

        snprintf(url, sizeof url, "%s", trusting(names[i], i == 0 ? "&tls=required" : ""));
        assert_non_null(strstr(url, "@127.0.0.1:"));
        strstr(url, "@127.0.0.1:")[9] = '2';
        open_mailer(url);
        assert_failed(send_mail(NULL), TIDE_ERR_UNAVAILABLE, true, "certificate is not trusted");
        tide_mailer_close(mailer);
        mailer = NULL;
    }
}

/* Nothing goes out in the clear because a server, or who is between, says that there is no TLS. */
static void no_tls_is_no_reason_to_do_without(void **state)
{
    static const char *const rules[] = {"STARTTLS off\n", "STARTTLS 454 4.7.0 not now\n"};
    struct tide_err err = {0};
    char id[128], found[8192];

    (void)state;
    server("SMTP_BEHAVIOUR");
    open_mailer(trusting("SMTP_URL", "&tls=required"));
    for (int i = 0; i < 2; i++) {
        const char *fresh = fresh_id();

        behave(rules[i]);
        message_id_of(fresh, id);
        assert_failed(send_mail(fresh), TIDE_ERR_UNAVAILABLE, true, "takes no STARTTLS");
        assert_int_equal(look_for(id, found), 0);
        assert_false(tide_mailer_ready(mailer, &err));
        behave("");
    }
    assert_sent(send_mail(NULL));
}

static void a_wrong_password_is_no_reason_to_give_a_message_up(void **state)
{
    char url[256];
    const char *at = strrchr(server("SMTP_URL"), '@');
    struct tide_err err = {0};
    struct result r;

    (void)state;
    snprintf(url, sizeof url, "smtp://tidemill:hush%%40hush%s", at);
    open_mailer(url);
    r = send_mail(NULL);
    assert_failed(r, TIDE_ERR_DENIED, true, "535");
    assert_null(strstr(r.message, "hush"));
    assert_false(tide_mailer_ready(mailer, &err));
    assert_string_equal(err.code, TIDE_ERR_DENIED);
}

/* ---- what the server says ---- */

static void replies_decide(void **state)
{
    static const struct {
        const char *rules, *code, *words;
    } cases[] = {
        {"MAIL 451 4.3.0 come back\n", TIDE_ERR_UNAVAILABLE, "451 4.3.0 come back"},
        {"RCPT 452 4.2.2 mailbox full\n", TIDE_ERR_UNAVAILABLE, "452 4.2.2 mailbox full"},
        {"DATA 450 4.7.1 greylisted\n", TIDE_ERR_UNAVAILABLE, "450 4.7.1 greylisted"},
        {"MAIL 550 5.7.1 not you\n", TIDE_ERR_INVALID, "550 5.7.1 not you"},
        {"RCPT 550 5.1.1 no such mailbox\n", TIDE_ERR_INVALID, "550 5.1.1 no such mailbox"},
        {"DATA 554 5.6.0 not this\n", TIDE_ERR_INVALID, "554 5.6.0 not this"},
        {"MAIL 530 5.7.0 sign in first\n", TIDE_ERR_DENIED, "530 5.7.0 sign in first"},
        {"MAIL 999 what\n", TIDE_ERR_UNAVAILABLE, "no reply of SMTP: 999 what"},
        {"RCPT 600 what\n", TIDE_ERR_UNAVAILABLE, "no reply of SMTP: 600 what"},
        {"DATA 999 what\n", TIDE_ERR_UNAVAILABLE, "no reply of SMTP: 999 what"},
        {"DATA 199 what\n", TIDE_ERR_UNAVAILABLE, "no reply of SMTP: 199 what"},
    };

    (void)state;
    server("SMTP_BEHAVIOUR");
    open_mailer(server("SMTP_URL"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        behave(cases[i].rules);
        assert_failed(send_mail(NULL), cases[i].code, strcmp(cases[i].code, TIDE_ERR_INVALID) != 0,
                      cases[i].words);
        behave("");
        assert_sent(send_mail(NULL));
    }
}

static void a_connection_that_ends_in_mid_message_is_made_anew(void **state)
{
    (void)state;
    server("SMTP_BEHAVIOUR");
    open_mailer(server("SMTP_URL"));
    assert_sent(send_mail(NULL));
    behave("CLOSE DATA\n");
    for (int i = 0; i < 3; i++)
        assert_failed(send_mail(NULL), TIDE_ERR_UNAVAILABLE, true, "smtp://");
    behave("");
    assert_sent(send_mail(NULL));
}

static void a_slow_server_is_waited_for(void **state)
{
    (void)state;
    server("SMTP_BEHAVIOUR");
    open_mailer(server("SMTP_URL"));
    behave("DELAY 1.5\n");
    assert_sent(send_mail(NULL));
}

/* The test's limit is shorter than what the server takes. */
static void what_is_too_late_does_not_arrive(void **state)
{
    struct tide_mail_message message = {.to = "anna@example.com", .subject = "late", .text = "late\n"};
    struct result r = {0};
    char found[8192], id[128];

    (void)state;
    open_mailer(server("SMTP_URL"));
    behave("DELAY 1.5\n");
    message.id = fresh_id();
    message.before_ms = tide_clock_now_ms() + 500;
    start(&message, &r);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_failed(r, TIDE_ERR_TIMEOUT, true, "in time");
    behave("");
    message_id_of(message.id, id);
    assert_int_equal(look_for(id, found), 0);
    message.before_ms = tide_clock_now_ms() + 20000;
    start(&message, &r);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(look_for(id, found), 1);
}

static void what_was_canceled_keeps_nobody_waiting(void **state)
{
    struct tide_mail_message message = {.to = "a@b.c", .subject = "never", .text = "x", .id = fresh_id()};
    struct result r[10] = {{0}};
    char id[128], found[8192];

    (void)state;
    server("SMTP_BEHAVIOUR");
    open_mailer(server("SMTP_URL"));
    behave("DELAY 50\n");
    for (int i = 0; i < 10; i++)
        tide_mail_call_cancel(start(&message, &r[i]));
    tide_mailer_close(mailer);
    mailer = NULL;
    for (int i = 0; i < 10; i++)
        assert_int_equal(r[i].called, 0);
    message_id_of(message.id, id);
    assert_int_equal(look_for(id, found), 0);
}

static void a_server_that_is_not_there_is_waited_for(void **state)
{
    struct tide_err err = {0};
    struct result r;

    (void)state;
    open_mailer("smtp://anna:hush@127.0.0.1:1"); /* tcpmux: nobody has it */
    r = send_mail(NULL);
    assert_failed(r, TIDE_ERR_UNAVAILABLE, true, "smtp://127.0.0.1:1");
    assert_null(strstr(r.message, "hush"));
    assert_false(tide_mailer_ready(mailer, &err));
    assert_true(err.retryable);
}

/* ---- what it refuses ---- */

static void no_header_gets_in(void **state)
{
    static const struct tide_mail_message bad[] = {
        {.to = "a@b.c\r\nBcc: all@b.c", .subject = "x", .text = "y"},
        {.to = "a@b.c> RCPT TO:<all@b.c", .subject = "x", .text = "y"},
        {.to = "a@b.c", .subject = "x\r\nBcc: all@b.c", .text = "y"},
        {.to = "a@b.c", .from = "a@b.c\nRCPT TO:<all@b.c>", .subject = "x", .text = "y"},
    };
    struct result r = {0};
    struct tide_err err;

    (void)state;
    open_mailer("smtp://127.0.0.1:1");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (struct tide_err){0};
        assert_null(tide_mail_send(mailer, &bad[i], on_sent, &r, &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
        assert_false(err.retryable);
    }
    assert_int_equal(r.called, 0);
}

static void refuses_urls_by_name(void **state)
{
    static const struct {
        const char *url, *words;
    } bad[] = {
        {"smtp://u:hush@127.0.0.1?timeout=3", "'timeout'"},
        {"smtp://u:hush@127.0.0.1?tls=maybe", "required, opportunistic or off"},
        {"smtps://u:hush@127.0.0.1?tls=off", "TLS always"},
        {"smtp://u:hush@127.0.0.1?cacert=", "cacert"},
        {"smtp://u:hush@127.0.0.1/path", "path"},
        {"smtp://hush@127.0.0.1", "without a password"},
        {"smtp://u:hush@127.0.0.1:99999", "port"},
        {"smtp://", "host"},
        {"smtp://u:%@hush@h", "@ is %40"},
    };
    struct tide_err err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (struct tide_err){0};
        assert_null(tide_mailer_open(&loop, NULL, bad[i].url, FROM, &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
        assert_null(strstr(err.message, "hush"));
        if (!strstr(err.message, bad[i].words))
            fail_msg("%s: %s", bad[i].url, err.message);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_message_arrives_as_it_is),
        TEST(many_go_over_few_connections),
        TEST(goes_by_tls),
        TEST(trusts_no_certificate_that_nobody_signed),
        TEST(a_certificate_is_for_its_host),
        TEST(no_tls_is_no_reason_to_do_without),
        TEST(a_wrong_password_is_no_reason_to_give_a_message_up),
        TEST(replies_decide),
        TEST(a_connection_that_ends_in_mid_message_is_made_anew),
        TEST(a_slow_server_is_waited_for),
        TEST(what_is_too_late_does_not_arrive),
        TEST(what_was_canceled_keeps_nobody_waiting),
        TEST(a_server_that_is_not_there_is_waited_for),
        TEST(no_header_gets_in),
        TEST(refuses_urls_by_name),
    };
    return cmocka_run_group_tests_name("mail/smtp", tests, NULL, NULL);
}
