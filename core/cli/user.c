/* tidemill user. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/users.h"

#define MAX_PASSWORD 1024

/* ---- passwords ---- */

/* One line without its end. False: nothing could be read, or it is too long. */
static bool read_line(FILE *file, char *line, size_t size)
{
    size_t len;

    if (!fgets(line, (int)size, file))
        return false;
    len = strcspn(line, "\r\n");
    if (line[len] == '\0' && !feof(file))
        return false;
    line[len] = '\0';
    return true;
}

static bool ask(FILE *terminal, const char *prompt, char *line, size_t size)
{
    struct termios before, quiet;
    bool ok;

    if (tcgetattr(fileno(terminal), &before) != 0)
        return false;
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    fputs(prompt, terminal);
    fflush(terminal);
    tcsetattr(fileno(terminal), TCSAFLUSH, &quiet);
    ok = read_line(terminal, line, size);
    tcsetattr(fileno(terminal), TCSAFLUSH, &before);
    fputc('\n', terminal);
    return ok;
}

static bool ask_twice(char *password, size_t size)
{
    FILE *terminal = fopen("/dev/tty", "r+e");
    char again[MAX_PASSWORD + 2];
    bool ok;

    if (!terminal) {
        tide_cli_fail(
            "there is no terminal to ask for the password: use --password-stdin or --password-file");
        return false;
    }
    ok = ask(terminal, "Password: ", password, size) && ask(terminal, "Again: ", again, sizeof again);
    fclose(terminal);
    if (!ok)
        tide_cli_fail("no password was given");
    else if (strcmp(password, again) != 0)
        tide_cli_fail("the two passwords differ");
    ok = ok && strcmp(password, again) == 0;
    explicit_bzero(again, sizeof again);
    return ok;
}

static bool get_password(const struct tide_cli *cli, char *password, size_t size)
{
    const char *path = tide_cli_value(cli, "password-file");
    FILE *file;
    bool ok;

    if (!path && !tide_cli_value(cli, "password-stdin"))
        return ask_twice(password, size);
    file = path ? fopen(path, "re") : stdin;
    if (!file) {
        tide_cli_fail("--password-file %s: %s", path, strerror(errno));
        return false;
    }
    ok = read_line(file, password, size);
    if (path)
        fclose(file);
    if (!ok)
        tide_cli_fail("there is no password in %s, or it is longer than %d bytes",
                      path ? path : "the standard input", MAX_PASSWORD);
    return ok;
}

/* ---- the five ---- */

static int call(const struct tide_settings *settings, const char *function, struct tide_buf *args,
                struct tide_buf *result)
{
    struct tide_err err;
    bool ok = tide_users_call(settings, function, args->data, result, &err);

    explicit_bzero(args->data, args->len);
    return ok ? TIDE_EXIT_GOOD : tide_cli_fail("%s", err.message);
}

static void put_email(struct tide_buf *args, const char *email)
{
    tide_buf_puts(args, "[{\"email\":");
    tide_buf_json(args, email, strlen(email));
}

/* add and passwd: both take an address and a new password. */
static int with_password(const struct tide_cli *cli, const struct tide_settings *settings,
                         struct tide_buf *args, struct tide_buf *result)
{
    bool add = strcmp(cli->argv[0], "add") == 0;
    char password[MAX_PASSWORD + 2];
    int code;

    if (!get_password(cli, password, sizeof password))
        return TIDE_EXIT_FAILED;
    put_email(args, cli->argv[1]);
    tide_buf_puts(args, ",\"password\":");
    tide_buf_json(args, password, strlen(password));
    if (add)
        tide_buf_puts(args, tide_cli_value(cli, "admin") ? ",\"admin\":true" : ",\"admin\":false");
    tide_buf_puts(args, "}]");
    explicit_bzero(password, sizeof password);
    code = call(settings, cli->argv[0], args, result);
    if (code == TIDE_EXIT_GOOD)
        printf(add ? "%s is added%s\n" : "%s has a new password%s\n", cli->argv[1],
               add && tide_cli_value(cli, "admin") ? " as an admin" : "");
    return code;
}

static int role(const struct tide_cli *cli, const struct tide_settings *settings, struct tide_buf *args,
                struct tide_buf *result)
{
    bool on = strcmp(cli->argv[3], "on") == 0;
    int code;

    put_email(args, cli->argv[1]);
    tide_buf_printf(args, ",\"admin\":%s}]", on ? "true" : "false");
    code = call(settings, "role", args, result);
    if (code == TIDE_EXIT_GOOD)
        printf("%s is %s admin\n", cli->argv[1], on ? "an" : "no");
    return code;
}

static int remove_user(const struct tide_cli *cli, const struct tide_settings *settings,
                       struct tide_buf *args, struct tide_buf *result)
{
    int code;

    put_email(args, cli->argv[1]);
    tide_buf_puts(args, "}]");
    code = call(settings, "remove", args, result);
    if (code == TIDE_EXIT_GOOD)
        printf("%s is removed; tokens that were given stay good until they expire\n", cli->argv[1]);
    return code;
}

static void print_user(json_t *user)
{
    const char *email = "";
    int admin = 0;

    if (json_unpack(user, "{s:s, s:b}", "email", &email, "admin", &admin) == 0)
        printf("%s%s\n", email, admin ? "  admin" : "");
}

static int list(const struct tide_cli *cli, const struct tide_settings *settings, struct tide_buf *args,
                struct tide_buf *result)
{
    json_t *users;
    int code;

    tide_buf_puts(args, "[]");
    code = call(settings, "list", args, result);
    if (code != TIDE_EXIT_GOOD)
        return code;
    if (tide_cli_value(cli, "json")) {
        puts(result->data);
        return code;
    }
    users = json_loadb(result->data, result->len, 0, NULL);
    for (size_t i = 0; i < json_array_size(users); i++)
        print_user(json_array_get(users, i));
    json_decref(users);
    return code;
}

static int dispatch(const struct tide_cli *cli, const struct tide_settings *settings)
{
    struct tide_buf args, result;
    int code;

    tide_buf_init(&args, 16384);
    tide_buf_init(&result, 16 << 20);
    if (strcmp(cli->argv[0], "list") == 0)
        code = list(cli, settings, &args, &result);
    else if (strcmp(cli->argv[0], "remove") == 0)
        code = remove_user(cli, settings, &args, &result);
    else if (strcmp(cli->argv[0], "role") == 0)
        code = role(cli, settings, &args, &result);
    else
        code = with_password(cli, settings, &args, &result);
    tide_buf_release(&args);
    tide_buf_release(&result);
    return code;
}

int tide_cli_user(struct tide_cli *cli)
{
    static const struct {
        const char *name;
        int words;
    } verbs[] = {{"add", 2}, {"list", 1}, {"passwd", 2}, {"role", 4}, {"remove", 2}};
    static const char *const missing[] = {"", "EMAIL", "admin on|off", "on|off"};
    struct tide_settings settings;
    size_t i;
    int code;

    for (i = 0; i < sizeof verbs / sizeof *verbs && strcmp(verbs[i].name, cli->argv[0]) != 0; i++)
        ;
    if (i == sizeof verbs / sizeof *verbs)
        return tide_cli_usage(cli, "'%s' is none of add, list, passwd, role, remove", cli->argv[0]);
    if (cli->argc < verbs[i].words)
        return tide_cli_usage(cli, "%s: %s is missing", verbs[i].name, missing[cli->argc]);
    if (cli->argc > verbs[i].words)
        return tide_cli_usage(cli, "%s: too many words", verbs[i].name);
    if (i == 3 && (strcmp(cli->argv[2], "admin") != 0 ||
                   (strcmp(cli->argv[3], "on") != 0 && strcmp(cli->argv[3], "off") != 0)))
        return tide_cli_usage(cli, "write it as: role %s admin on|off", cli->argv[1]);
    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    code = strcmp(verbs[i].name, "list") != 0 || tide_cli_has_data(&settings, settings.sql)
               ? dispatch(cli, &settings)
               : TIDE_EXIT_FAILED;
    tide_settings_release(&settings);
    return code;
}
