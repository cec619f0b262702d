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
#include "engine/supervisor.h"

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

/* In a process of its own: the supervisor never runs a script. Its exit code: 0 made, 3 there already, 1
 * failed. */
static int add_dev_user(const struct tide_settings *settings)
{
    static const char args[] =
        "[{\"email\":\"" DEV_EMAIL "\",\"password\":\"" DEV_PASSWORD "\",\"admin\":true}]";
    struct tide_buf result;
    struct tide_err err = {0};

    tide_buf_init(&result, 65536);
    if (tide_users_call(settings, "add", args, &result, &err))
        return 0;
    if (err.code && strcmp(err.code, TIDE_ERR_EXISTS) == 0)
        return 3;
    return tide_cli_fail("the user " DEV_EMAIL " can't be made: %s", err.message);
}

static bool prepare_dev(void *arg, struct tide_err *err)
{
    const struct tide_settings *settings = arg;
    const char *open = open_listener(settings);
    int status = 0;
    pid_t pid;

    if (!tide_settings_bundle(settings, "auth"))
        return true;
    if (open) {
        fprintf(stderr, "warning: the user " DEV_EMAIL " is not made: listen.%s is not on loopback\n", open);
        return true;
    }
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        _exit(add_dev_user(settings));
    }
    if (pid < 0)
        return tide_err_errno(err, errno, "fork");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 3))
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "--dev: the user can't be made");
    fputs("warning: everybody on this machine can log in as the admin " DEV_EMAIL " / " DEV_PASSWORD
          " (--dev; not for production)\n",
          stderr);
    return true;
}

static void show_use(void *arg, const struct tide_supervisor_listener *listeners, size_t count)
{
    const struct tide_supervisor_listener *gateway = NULL;

    (void)arg;
    for (size_t i = 0; i < count; i++)
        if (strcmp(listeners[i].bundle, "gateway") == 0)
            gateway = &listeners[i];
    if (!gateway)
        return;
    const char *host = strcmp(gateway->host, "0.0.0.0") == 0 ? "127.0.0.1" : gateway->host;
    printf("\n"
           "  log in     curl -X POST http://%s:%d/login -u \"" DEV_EMAIL ":" DEV_PASSWORD "\"\n"
           "  upload     curl -X POST -F 'file=@./video.mp4' -H \"Authorization: Bearer <your-jwt-token>\" "
           "http://%s:%d/upload\n"
           "  download   curl -X GET -H \"Authorization: Bearer <your-jwt-token>\" "
           "\"http://%s:%d/download?fid=<mp3-file-id>\" -o output.mp3\n\n",
           host, gateway->port, host, gateway->port, host, gateway->port);
    fflush(stdout);
}

int tide_cli_run(struct tide_cli *cli)
{
    struct tide_supervisor_options options = {0};
    struct tide_settings settings;
    int code;

    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    if (tide_cli_value(cli, "dev")) {
        options.prepare = prepare_dev;
        options.ready = show_use;
        options.arg = &settings;
    }
    code = tide_supervisor_run(&settings, &options);
    tide_settings_release(&settings);
    return code;
}
