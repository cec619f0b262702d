/* tidemill migrate. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "engine/services.h"

#define MAX_LIST (1 << 20)

static void tell(const struct tide_buf *list, const char *what)
{
    for (const char *line = list->data, *end; line && (end = strchr(line, '\n')); line = end + 1)
        printf("%.*s %s\n", (int)(end - line), line, what);
}

static int check(const struct tide_settings *settings, const struct tide_log *log, struct tide_buf *pending)
{
    struct tide_buf changed;
    struct tide_err err;
    int code = TIDE_EXIT_GOOD;

    tide_buf_init(&changed, MAX_LIST);
    if (!tide_services_review(settings, log, pending, &changed, &err)) {
        code = tide_cli_fail("%s", err.message);
    } else if (pending->len + changed.len > 0) {
        tell(&changed, "was changed after it was applied: put it back, and the change into a new file");
        tell(pending, "is pending");
        code = TIDE_EXIT_FAILED;
    } else {
        puts("nothing is pending");
    }
    tide_buf_release(&changed);
    return code;
}

static int migrate(const struct tide_settings *settings, const struct tide_log *log, struct tide_buf *pending)
{
    struct tide_buf changed;
    struct tide_err err;
    bool ok;

    tide_buf_init(&changed, MAX_LIST); /* the migration logs them */
    ok = tide_services_review(settings, log, pending, &changed, &err) &&
         tide_services_migrate(settings, log, &err);
    tide_buf_release(&changed);
    if (!ok)
        return tide_cli_fail("%s", err.message);
    tell(pending, "applied");
    if (pending->len == 0)
        puts("nothing is pending");
    return TIDE_EXIT_GOOD;
}

int tide_cli_migrate(struct tide_cli *cli)
{
    struct tide_settings settings;
    struct tide_buf pending;
    struct tide_log log;
    int code;

    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    tide_cli_log(&log);
    tide_buf_init(&pending, MAX_LIST);
    code =
        tide_cli_value(cli, "check") ? check(&settings, &log, &pending) : migrate(&settings, &log, &pending);
    tide_buf_release(&pending);
    tide_settings_release(&settings);
    return code;
}
