/* tidemill run. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/users.h"
#include "supervisor/supervisor.h"

struct run {
    const struct tide_settings *settings;
    const char *open; /* a listener that is not on loopback; NULL: none */
    bool dev;
};

#define DEV_EMAIL "georgio@email.com"
#define DEV_PASSWORD "Admin123"

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "localhost:", 10) == 0 ||
           strncmp(address, "[::1]:", 6) == 0;
}

static const char *open_listener(const struct tide_settings *settings)
{
    if (settings->admin && !is_loopback(settings->admin))
        return "admin";
    for (size_t i = 0; i < settings->bundle_count; i++) {
        const char *address = tide_settings_address(&settings->bundles[i]);
        if (address && !is_loopback(address))
            return settings->bundles[i].name;
    }
    return NULL;
}

/* What a child process found out; as its exit code. */
enum { DONE = 0, FAILED = 1, NOT = 3 };

static int add_dev_user(const struct tide_settings *settings)
{
    static const char args[] =
        "[{\"email\":\"" DEV_EMAIL "\",\"password\":\"" DEV_PASSWORD "\",\"admin\":true}]";
    struct tide_buf result;
    struct tide_err err = {0};

    tide_buf_init(&result, 65536);
    if (tide_users_call(settings, "add", args, &result, &err))
        return DONE;
    if (err.code && strcmp(err.code, TIDE_ERR_EXISTS) == 0)
        return NOT;
    tide_cli_fail("the user " DEV_EMAIL " can't be made: %s", err.message);
    return FAILED;
}

static int try_dev_user(const struct tide_settings *settings)
{
    struct tide_buf result;
    struct tide_err err;

    tide_buf_init(&result, 65536);
    if (!tide_users_call(settings, "authenticate", "[\"" DEV_EMAIL "\",\"" DEV_PASSWORD "\"]", &result, &err))
        return FAILED;
    return result.len && result.data[0] == '{' ? DONE : NOT; /* the user, or nothing */
}

/* In a process of its own: the supervisor never runs a script. */
static int in_child(const struct tide_settings *settings, int (*work)(const struct tide_settings *settings))
{
    int status = 0;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        _exit(work(settings));
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
}

static bool prepare(void *arg, struct tide_err *err)
{
    const struct run *run = arg;

    if (!tide_settings_bundle(run->settings, "auth"))
        return true;
    if (run->open && in_child(run->settings, try_dev_user) == DONE)
        fprintf(stderr,
                "warning: listen.%s is not on loopback, and the user " DEV_EMAIL
                " has the password of the demo: "
                "tidemill user passwd, or user remove\n",
                run->open);
    if (!run->dev)
        return true;
    if (run->open) {
        fprintf(stderr, "warning: the user " DEV_EMAIL " is not made: listen.%s is not on loopback\n",
                run->open);
        return true;
    }
    if (in_child(run->settings, add_dev_user) == FAILED)
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "--dev: the user can't be made");
    fputs("warning: everybody on this machine can log in as the admin " DEV_EMAIL " / " DEV_PASSWORD
          " (--dev; not for production)\n",
          stderr);
    return true;
}

static void show_use(void *arg, const struct tide_supervisor_listener *listeners, size_t count)
{
    const struct run *run = arg;
    const struct tide_supervisor_listener *gateway = NULL;
    const char *login = run->open ? "EMAIL:PASSWORD" : DEV_EMAIL ":" DEV_PASSWORD;

    for (size_t i = 0; i < count; i++)
        if (strcmp(listeners[i].bundle, "gateway") == 0)
            gateway = &listeners[i];
    if (!gateway)
        return;
    const char *host = strcmp(gateway->host, "0.0.0.0") == 0 ? "127.0.0.1" : gateway->host;
    printf("\n"
           "  log in     curl -X POST http://%s:%d/login -u \"%s\"\n"
           "  upload     curl -X POST -F 'file=@./video.mp4' -H \"Authorization: Bearer <your-jwt-token>\" "
           "http://%s:%d/upload\n"
           "  state      curl -H \"Authorization: Bearer <your-jwt-token>\" http://%s:%d/jobs/<job>\n"
           "  download   curl -X GET -H \"Authorization: Bearer <your-jwt-token>\" "
           "\"http://%s:%d/download?fid=<mp3-file-id>\" -o output.mp3\n\n",
           host, gateway->port, login, host, gateway->port, host, gateway->port, host, gateway->port);
    fflush(stdout);
}

int tide_cli_run(struct tide_cli *cli)
{
    struct tide_supervisor_options options = {.prepare = prepare};
    struct tide_settings settings;
    struct run run = {.settings = &settings, .dev = tide_cli_value(cli, "dev") != NULL};
    int code;

    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    run.open = open_listener(&settings);
    options.arg = &run;
    if (run.dev)
        options.ready = show_use;
    code = tide_supervisor_run(&settings, &options);
    tide_settings_release(&settings);
    return code;
}
