/* tidemill new: a bundle to start from, out of the templates in cli/lua/new. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "engine/lock.h"
#include "engine/settings_load.h"
#include "script/embedded.h"

#define MAX_PATH 1024

static bool is_name(const char *name)
{
    size_t len = strlen(name);

    return islower((unsigned char)name[0]) && len < TIDE_BUNDLE_NAME &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

/* What the directory of a bundle, or its entry in `listen`, would mean something else. */
static bool is_reserved(const char *name)
{
    return strcmp(name, "lib") == 0 || strcmp(name, "admin") == 0;
}

/* Appends the template with every NAME replaced. */
static void fill(const char *text, const char *name, struct tide_buf *out)
{
    for (const char *hole; (hole = strstr(text, "NAME")); text = hole + 4) {
        tide_buf_append(out, text, (size_t)(hole - text));
        tide_buf_puts(out, name);
    }
    tide_buf_puts(out, text);
}

static bool write_new(const char *path, const struct tide_buf *content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool ok;

    if (fd < 0) {
        tide_cli_fail("%s: %s", path, strerror(errno));
        return false;
    }
    ok = write(fd, content->data, content->len) == (ssize_t)content->len;
    ok = close(fd) == 0 && ok;
    if (!ok)
        tide_cli_fail("%s: %s", path, strerror(errno));
    else
        printf("made %s\n", path);
    return ok;
}

static bool write_template(const char *template, const char *path, const char *name)
{
    const struct tide_embedded_lua *file = core_cli_lua;
    struct tide_buf content;
    bool ok;

    while (file->name && strcmp(file->name, template) != 0)
        file++;
    if (!file->name) {
        tide_cli_fail("the template %s is missing in this executable", template);
        return false;
    }
    tide_buf_init(&content, 1 << 20);
    fill(file->source, name, &content);
    ok = write_new(path, &content);
    tide_buf_release(&content);
    return ok;
}

static int make(const char *program, const char *dir, const char *name)
{
    char bundle[MAX_PATH], path[MAX_PATH + 96];
    struct tide_err err;

    if (snprintf(bundle, sizeof bundle, "%s/%s", dir, name) >= (int)sizeof bundle)
        return tide_cli_fail("the path is too long");
    if (access(bundle, F_OK) == 0)
        return tide_cli_fail("%s is there already", bundle);
    if (!tide_lock_make_directory(dir, &err))
        return tide_cli_fail("%s", err.message);
    snprintf(path, sizeof path, "%s/spec", bundle);
    if (mkdir(bundle, 0777) != 0 || mkdir(path, 0777) != 0)
        return tide_cli_fail("%s: %s", bundle, strerror(errno));
    snprintf(path, sizeof path, "%s/init.lua", bundle);
    if (!write_template("new.init", path, name))
        return TIDE_EXIT_FAILED;
    snprintf(path, sizeof path, "%s/spec/%s_spec.lua", bundle, name);
    if (!write_template("new.spec", path, name))
        return TIDE_EXIT_FAILED;
    if (!tide_cli_write_types(dir))
        return TIDE_EXIT_FAILED;
    printf("for editors: %s/.luarc.json and %s/.types\n", dir, dir);
    printf("next: give it an address in the settings, since it has routes (and name it in TIDEMILL_BUNDLES "
           "where that is set):\n  listen = { %s = \"127.0.0.1:8081\" }\nthen\n  %s check --bundle %s\n"
           "  %s test %s\n  %s run --bundle %s\n",
           name, program, name, program, name, program, name);
    return TIDE_EXIT_GOOD;
}

int tide_cli_new(struct tide_cli *cli)
{
    const char *dir = tide_cli_value(cli, "dir");

    if (!is_name(cli->argv[0]))
        return tide_cli_usage(
            cli,
            "'%s' can't be a bundle's name: a letter, then letters, digits, _ or -, in lower case, "
            "at most 31",
            cli->argv[0]);
    if (is_reserved(cli->argv[0]))
        return tide_cli_usage(cli, "'%s' can't be a bundle's name: it is reserved for %s", cli->argv[0],
                              strcmp(cli->argv[0], "lib") == 0 ? "what bundles share" : "the admin listener");
    return make(cli->program, dir ? dir : "scripts", cli->argv[0]);
}
