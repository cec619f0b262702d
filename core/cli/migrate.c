/* tidemill migrate. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "engine/services.h"

static int told(struct tide_buf *list, const char *what, int code)
{
    for (char *line = list->data, *end; line && (end = strchr(line, '\n')); line = end + 1)
        printf("%.*s %s\n", (int)(end - line), line, what);
    if (list->len == 0)
        puts("nothing is pending");
    return list->len ? code : TIDE_EXIT_GOOD;
}

static int migrate(const struct tide_cli *cli, const struct tide_settings *settings,
                   const struct tide_log *log, struct tide_buf *list)
{
    struct tide_err err;

    if (!tide_services_pending(settings, log, list, &err))
        return tide_cli_fail("%s", err.message);
    if (tide_cli_value(cli, "check"))
        return told(list, "is pending", TIDE_EXIT_FAILED);
    if (!tide_services_migrate(settings, log, &err))
        return tide_cli_fail("%s", err.message);
    return told(list, "applied", TIDE_EXIT_GOOD);
}

int tide_cli_migrate(struct tide_cli *cli)
{
    struct tide_settings settings;
    struct tide_buf list;
    struct tide_log log;
    int code;

    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    tide_cli_log(&log);
    tide_buf_init(&list, 1 << 20);
    code = migrate(cli, &settings, &log, &list);
    tide_buf_release(&list);
    tide_settings_release(&settings);
    return code;
}
