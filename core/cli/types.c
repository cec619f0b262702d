/* tidemill types: what an editor wants to know of the Lua API. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bind/reference.h"
#include "cli/command.h"
#include "engine/lock.h"

#define MAX_PATH 1024

/* EmmyLua's server reads it, too: an element of a list is there. */
static const char luarc[] = "{\n"
                            "  \"runtime.version\": \"LuaJIT\",\n"
                            "  \"workspace.library\": [\".types\"],\n"
                            "  \"strict.arrayIndex\": false\n"
                            "}\n";

static bool write_file(const char *path, int flags, const char *content, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    bool ok;

    if (fd < 0 && errno == EEXIST)
        return true;
    ok = fd >= 0 && write(fd, content, len) == (ssize_t)len;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    if (!ok)
        tide_cli_fail("%s: %s", path, strerror(errno));
    return ok;
}

static bool annotate(struct tide_buf *text, struct tide_err *err)
{
    char *plugins = tide_cli_plugins();
    bool ok = tide_reference_annotations(plugins, text, err);

    free(plugins);
    return ok;
}

static bool write_annotations(const char *path)
{
    struct tide_buf text;
    struct tide_err err;
    bool ok;

    tide_buf_init(&text, 1 << 20);
    ok = annotate(&text, &err);
    if (!ok)
        tide_cli_fail("%s", err.message);
    ok = ok && write_file(path, O_TRUNC, text.data, text.len);
    tide_buf_release(&text);
    return ok;
}

bool tide_cli_write_types(const char *dir)
{
    const char *busted = tide_cli_template("types.busted");
    char path[MAX_PATH];
    struct tide_err err;

    if (!tide_lock_make_directory(dir, &err)) {
        tide_cli_fail("%s", err.message);
        return false;
    }
    if (snprintf(path, sizeof path, "%s/.types/busted.lua", dir) >= (int)sizeof path) {
        tide_cli_fail("the path is too long");
        return false;
    }
    snprintf(path, sizeof path, "%s/.types", dir);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        tide_cli_fail("%s: %s", path, strerror(errno));
        return false;
    }
    snprintf(path, sizeof path, "%s/.types/tide.lua", dir);
    if (!write_annotations(path))
        return false;
    snprintf(path, sizeof path, "%s/.types/busted.lua", dir);
    if (!busted || !write_file(path, O_TRUNC, busted, strlen(busted)))
        return false;
    snprintf(path, sizeof path, "%s/.luarc.json", dir);
    return write_file(path, O_EXCL, luarc, sizeof luarc - 1);
}

static int print(bool (*make)(struct tide_buf *out, struct tide_err *err))
{
    struct tide_buf text;
    struct tide_err err;
    int code = TIDE_EXIT_GOOD;

    tide_buf_init(&text, 1 << 20);
    if (make(&text, &err))
        fputs(text.data, stdout);
    else
        code = tide_cli_fail("%s", err.message);
    tide_buf_release(&text);
    return code;
}

int tide_cli_types(struct tide_cli *cli)
{
    if (tide_cli_value(cli, "reference"))
        return print(tide_reference_markdown);
    if (cli->argc == 0)
        return print(annotate);
    return tide_cli_write_types(cli->argv[0]) ? TIDE_EXIT_GOOD : TIDE_EXIT_FAILED;
}
