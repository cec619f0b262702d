/* tidemill new: a bundle or a plugin to start from, out of the templates in cli/lua/new. */
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
#include "script/embedded.h"
#include "settings/load.h"
#include "settings/table.h"

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

const char *tide_cli_template(const char *name)
{
    const struct tide_embedded_lua *file = core_cli_lua;

    while (file->name && strcmp(file->name, name) != 0)
        file++;
    if (!file->name)
        tide_cli_fail("the template %s is missing in this executable", name);
    return file->source;
}

static bool write_template(const char *template, const char *path, const char *name)
{
    const char *source = tide_cli_template(template);
    struct tide_buf content;
    bool ok;

    if (!source)
        return false;
    tide_buf_init(&content, 1 << 20);
    fill(source, name, &content);
    ok = write_new(path, &content);
    tide_buf_release(&content);
    return ok;
}

/* What is made of which template; NAME is the name in paths, too. */
struct made {
    const char *path, *template; /* NULL ends a list */
};

static const struct made bundle_files[] = {{"init.lua", "new.init"}, {"spec/NAME_spec.lua", "new.spec"}, {0}};
static const struct made lua_plugin_files[] = {{"plugin.lua", "new.plugin.manifest"},
                                               {"init.lua", "new.plugin.init"},
                                               {"spec/NAME_spec.lua", "new.plugin.spec"},
                                               {0}};
static const struct made native_plugin_files[] = {{"plugin.lua", "new.plugin.manifest_native"},
                                                  {"init.lua", "new.plugin.init_native"},
                                                  {"NAME.c", "new.plugin.native.c"},
                                                  {"tidemill_plugin.h", "new.plugin.tidemill_plugin.h"},
                                                  {"CMakeLists.txt", "new.plugin.CMakeLists.txt"},
                                                  {"spec/NAME_spec.lua", "new.plugin.spec"},
                                                  {0}};

static bool write_files(const char *home, const char *name, const struct made *files)
{
    struct tide_buf path;
    bool ok = true;

    tide_buf_init(&path, MAX_PATH);
    for (; ok && files->path; files++) {
        tide_buf_reset(&path);
        tide_buf_printf(&path, "%s/", home);
        fill(files->path, name, &path);
        ok = path.overflow ? !tide_cli_fail("the path is too long")
                           : write_template(files->template, path.data, name);
    }
    tide_buf_release(&path);
    return ok;
}

static bool make(const char *dir, const char *name, const struct made *files)
{
    char home[MAX_PATH], spec[MAX_PATH + 8];
    struct tide_err err;

    if (snprintf(home, sizeof home, "%s/%s", dir, name) >= (int)sizeof home)
        return !tide_cli_fail("the path is too long");
    if (access(home, F_OK) == 0)
        return !tide_cli_fail("%s is there already", home);
    if (!tide_lock_make_directory(dir, &err))
        return !tide_cli_fail("%s", err.message);
    snprintf(spec, sizeof spec, "%s/spec", home);
    if (mkdir(home, 0777) != 0 || mkdir(spec, 0777) != 0)
        return !tide_cli_fail("%s: %s", home, strerror(errno));
    return write_files(home, name, files);
}

static int new_bundle(const struct tide_cli *cli, const char *name)
{
    const char *dir = tide_cli_value(cli, "dir"), *program = cli->program;
    char key[64];

    if (!dir)
        dir = "scripts";
    if (!make(dir, name, bundle_files) || !tide_cli_write_types(dir))
        return TIDE_EXIT_FAILED;
    tide_setting_key(name, key, sizeof key);
    printf("for editors: %s/.luarc.json and %s/.types\n", dir, dir);
    printf("next: give it an address in the settings, since it has routes (and name it in TIDEMILL_BUNDLES "
           "where that is set):\n  listen = { %s = \"127.0.0.1:8081\" }\nthen\n  %s check --bundle %s\n"
           "  %s test %s\n  %s run --bundle %s\n",
           key, program, name, program, name, program, name);
    return TIDE_EXIT_GOOD;
}

static int new_plugin(const struct tide_cli *cli, const char *name)
{
    const char *dir = tide_cli_value(cli, "dir");
    bool lua = tide_cli_value(cli, "lua") != NULL;

    if (!dir)
        dir = "plugins";
    if (!make(dir, name, lua ? lua_plugin_files : native_plugin_files))
        return TIDE_EXIT_FAILED;
    puts("next:");
    if (!lua)
        printf("  cmake -S %s/%s -B %s/%s/build && cmake --build %s/%s/build\n", dir, name, dir, name, dir,
               name);
    printf("  TIDEMILL_PLUGINS=%s %s test %s\nand list it in the settings, plugins = { \"%s\" }, for bundles "
           "to require it\n",
           name, cli->program, name, name);
    return TIDE_EXIT_GOOD;
}

int tide_cli_new(struct tide_cli *cli)
{
    const char *name = cli->argv[0];
    bool plugin = tide_cli_value(cli, "plugin") != NULL;

    if (!is_name(name) || (plugin && strchr(name, '-')))
        return tide_cli_usage(
            cli,
            "'%s' can't be a %s's name: a letter, then letters, digits%s, in lower case, at "
            "most 31",
            name, plugin ? "plugin" : "bundle", plugin ? " or _" : ", _ or -");
    if (!plugin && is_reserved(name))
        return tide_cli_usage(cli, "'%s' can't be a bundle's name: it is reserved for %s", name,
                              strcmp(name, "lib") == 0 ? "what bundles share" : "the admin listener");
    if (tide_cli_value(cli, "lua") && !plugin)
        return tide_cli_usage(cli, "--lua is for --plugin; a bundle is always in Lua");
    return plugin ? new_plugin(cli, name) : new_bundle(cli, name);
}
