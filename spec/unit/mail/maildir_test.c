#include "loop.h"

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "mail/mail.h"

static uv_loop_t loop;
static int files_before;
static char root[64], url[96];
static struct tide_mailer *mailer;

struct result {
    int called;
    char code[24];
};

static void open_mailer(void)
{
    struct tide_err err = {0};

    files_before = loop_open(&loop);
    mailer = tide_mailer_open(&loop, NULL, url, "tidemill <mill@example.com>", &err);
    if (!mailer)
        fail_msg("%s: %s", err.code, err.message);
}

static void close_mailer(void)
{
    tide_mailer_close(mailer);
    mailer = NULL;
    loop_close(&loop, files_before);
}

static int setup(void **state)
{
    (void)state;
    strcpy(root, "/tmp/tide-mail-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(url, sizeof url, "maildir:%s/deep/mail", root);
    open_mailer();
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    if (mailer) /* closed already when a test failed half-way */
        close_mailer();
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Files in a part of the maildir; the last one's path goes to `last`. */
static int count(const char *part, char last[512])
{
    char path[128];
    struct dirent *entry;
    int n = 0;
    DIR *dir;

    snprintf(path, sizeof path, "%s/deep/mail/%s", root, part);
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        n++;
        if (last)
            snprintf(last, 512, "%s/%s", path, entry->d_name);
    }
    closedir(dir);
    return n;
}

static void on_sent(void *arg, const struct tide_err *err)
{
    struct result *r = arg;

    r->called++;
    snprintf(r->code, sizeof r->code, "%s", err ? err->code : "");
}

static struct tide_mail_call *start(const char *id, struct result *r)
{
    struct tide_mail_message message = {
        .to = "a@b.c", .subject = "MP3 Download", .text = "ready\n", .html = "<p>ready", .id = id};
    struct tide_mail_call *call = tide_mail_send(mailer, &message, on_sent, r, NULL);

    assert_non_null(call);
    assert_int_equal(r->called, 0);
    return call;
}

static const char *send_mail(const char *id)
{
    static struct result r;

    r = (struct result){0};
    start(id, &r);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(r.called, 1);
    return r.code;
}

static void delivers_into_new(void **state)
{
    char path[512], text[4096] = "";
    FILE *file;

    (void)state;
    assert_string_equal(send_mail("job-1"), "");
    assert_int_equal(count("new", path), 1);
    assert_int_equal(count("tmp", NULL), 0);
    assert_non_null(strstr(path, ".eml"));
    file = fopen(path, "r");
    assert_true(fread(text, 1, sizeof text - 1, file) > 200);
    fclose(file);
    assert_non_null(strstr(text, "From: tidemill\r\n <mill@example.com>\r\n"));
    assert_non_null(strstr(text, "\r\nTo: a@b.c\r\n"));
    assert_non_null(strstr(text, "@example.com>\r\n"));
}

static void keeps_one_message_an_id(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_string_equal(send_mail("job-1"), "");
    assert_int_equal(count("new", NULL), 1);
    assert_string_equal(send_mail("job-2"), "");
    assert_string_equal(send_mail(NULL), "");
    assert_string_equal(send_mail(NULL), "");
    assert_int_equal(count("new", NULL), 4);
}

static void knows_messages_that_were_read(void **state)
{
    static const char *const suffixes[] = {"", ":2,S", ":2,RS"};
    char from[512], to[600];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char id[] = {'j', (char)('0' + i), 0};

        assert_string_equal(send_mail(id), "");
        assert_int_equal(count("new", from), 1);
        snprintf(to, sizeof to, "%s/deep/mail/cur%s%s", root, strrchr(from, '/'), suffixes[i]);
        assert_int_equal(rename(from, to), 0);
        assert_string_equal(send_mail(id), "");
        assert_int_equal(count("new", NULL), 0);
        assert_int_equal(count("cur", NULL), i + 1);
    }
}

static void processes_make_one_message_together(void **state)
{
    pid_t pids[8];
    int status;

    (void)state;
    close_mailer();
    for (int i = 0; i < 8; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            bool ok = true;

            open_mailer();
            for (int k = 0; k < 25; k++) {
                char id[16];

                snprintf(id, sizeof id, "job-%d", k);
                ok = ok && strcmp(send_mail(id), "") == 0;
            }
            close_mailer();
            _exit(ok ? 0 : 1);
        }
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count("new", NULL), 25);
    assert_int_equal(count("tmp", NULL), 0);
    open_mailer();
}

static void a_canceled_call_stays_silent(void **state)
{
    struct result r = {0}, second = {0};
    struct tide_mail_call *call = start("job-1", &r);

    (void)state;
    start("job-2", &second);
    tide_mail_call_cancel(call);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(r.called, 0);
    assert_int_equal(second.called, 1);
}

static void a_full_disk_leaves_nothing(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    close_mailer();
    pid = fork();
    if (pid == 0) {
        struct rlimit limit = {100, 100};
        const char *code;

        open_mailer();
        setrlimit(RLIMIT_FSIZE, &limit);
        code = send_mail("job-1");
        _exit(strcmp(code, TIDE_ERR_FULL) == 0 && count("new", NULL) == 0 && count("tmp", NULL) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    open_mailer();
    assert_string_equal(send_mail("job-1"), "");
}

static void removes_old_leftovers(void **state)
{
    char old[128], young[128], command[300];

    (void)state;
    snprintf(old, sizeof old, "%s/deep/mail/tmp/old", root);
    snprintf(young, sizeof young, "%s/deep/mail/tmp/young", root);
    snprintf(command, sizeof command, "touch -d '2 days ago' %s && touch %s", old, young);
    assert_int_equal(system(command), 0);
    close_mailer();
    open_mailer();
    assert_int_equal(access(old, F_OK), -1);
    assert_int_equal(access(young, F_OK), 0);
}

static void refuses_at_once_what_can_never_go(void **state)
{
    struct tide_mail_message message = {.to = "nobody", .subject = "x", .text = "y"};
    struct tide_err err = {0};
    struct result r = {0};

    (void)state;
    assert_null(tide_mail_send(mailer, &message, on_sent, &r, &err));
    assert_string_equal(err.code, TIDE_ERR_INVALID);
    assert_int_equal(r.called, 0);
    assert_true(tide_mailer_ready(mailer, &err));
}

static void opens_by_url(void **state)
{
    static const char *const bad[] = {"maildir:", "pop3://user:secret@host", "x", "maildir:/proc/nope"};
    struct tide_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err.code = NULL;
        assert_null(tide_mailer_open(&loop, NULL, bad[i], "a@b.c", &err));
        assert_non_null(err.code);
        assert_null(strstr(err.message, "secret"));
    }
    assert_null(tide_mailer_open(&loop, NULL, url, "not an address", &err));
    assert_string_equal(err.code, TIDE_ERR_INVALID);
}

static void close_delivers_what_was_sent(void **state)
{
    struct result r[20] = {{0}};
    int called = 0;

    (void)state;
    for (int i = 0; i < 20; i++)
        start(NULL, &r[i]);
    close_mailer();
    for (int i = 0; i < 20; i++)
        called += r[i].called;
    assert_int_equal(called, 20);
    assert_int_equal(count("new", NULL), 20);
    open_mailer();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(delivers_into_new),
        TEST(keeps_one_message_an_id),
        TEST(knows_messages_that_were_read),
        TEST(processes_make_one_message_together),
        TEST(a_canceled_call_stays_silent),
        TEST(a_full_disk_leaves_nothing),
        TEST(removes_old_leftovers),
        TEST(refuses_at_once_what_can_never_go),
        TEST(opens_by_url),
        TEST(close_delivers_what_was_sent),
    };
    return cmocka_run_group_tests_name("mail/maildir", tests, NULL, NULL);
}
