/* tidemill check: what is wrong with the settings and the bundles, without serving. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bundles.h"
#include "cli/command.h"

static bool is_consumed(const struct tide_cli_bundles *loaded, const char *queue)
{
    const struct tide_declaration *list;

    for (size_t i = 0; i < loaded->settings.bundle_count; i++) {
        size_t count = loaded->bundles[i] ? tide_bundle_declarations(loaded->bundles[i], &list) : 0;
        for (size_t k = 0; k < count; k++)
            if (list[k].type == TIDE_DECLARED_CONSUMER && strcmp(list[k].name, queue) == 0)
                return true;
    }
    return false;
}

/* A line of a file on the disk; NULL: there is none. To be freed. */
static char *read_line(const char *path, int number)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    ssize_t len = -1;

    for (int i = 0; file && i < number; i++)
        len = getline(&line, &size, file);
    if (file)
        fclose(file);
    if (len <= 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

/* `finding` with its source line, at the text `quoted` in it. */
static void add_at(struct tide_findings *findings, struct tide_finding *finding, const char *quoted)
{
    char *line = read_line(finding->file, finding->line);
    const char *at = line;

    while (at && (at = strstr(at, quoted)) && (at == line || !strchr("\"'", at[-1])))
        at++;
    finding->source = line;
    finding->column = at ? (int)(at - line) + 1 : 1;
    finding->width = at ? (int)strlen(quoted) : 0;
    tide_findings_add(findings, finding);
    free(line);
}

static void find_unconsumed(const struct tide_cli_bundles *loaded, const struct tide_bundle *bundle,
                            struct tide_findings *findings)
{
    const struct tide_declaration *list;
    size_t count = tide_bundle_declarations(bundle, &list);
    char message[128], more[160];

    for (size_t k = 0; k < count; k++) {
        struct tide_finding finding = {.warning = true,
                                       .code = "queue",
                                       .file = list[k].file,
                                       .line = list[k].line,
                                       .message = message,
                                       .more = more};

        if (list[k].type != TIDE_DECLARED_PUBLISHER || is_consumed(loaded, list[k].name) ||
            tide_settings_queue_is_external(&loaded->settings, list[k].name))
            continue;
        snprintf(message, sizeof message, "no bundle here consumes the queue '%s'", list[k].name);
        snprintf(more, sizeof more,
                 "  where another program does, the settings say so: external_queues = { \"%s\" }",
                 list[k].name);
        add_at(findings, &finding, list[k].name);
    }
}

static void find_moved(const struct tide_settings *settings, const struct tide_bundle *bundle,
                       struct tide_findings *findings)
{
    const struct tide_declaration *list;
    size_t count = tide_bundle_declarations(bundle, &list);
    char message[512];

    for (size_t k = 0; k < count; k++) {
        const struct tide_settings_bundle *moved =
            list[k].type == TIDE_DECLARED_UPSTREAM ? tide_settings_moved(settings, list[k].name) : NULL;

        if (!moved)
            continue;
        snprintf(message, sizeof message,
                 "the bundle '%s' calls %.200s, but '%s' listens on %.64s here: what it calls is one of its "
                 "settings (bundles.%s)",
                 tide_bundle_name(bundle), list[k].name, moved->name, moved->listen,
                 tide_bundle_name(bundle));
        tide_findings_add(findings, &(struct tide_finding){.warning = true,
                                                           .code = "setting",
                                                           .file = list[k].file,
                                                           .line = list[k].line,
                                                           .column = 1,
                                                           .message = message});
    }
}

static void find_without_address(const struct tide_settings *settings,
                                 const struct tide_settings_bundle *bundle, struct tide_findings *findings)
{
    char message[256];

    tide_settings_no_address(bundle, message, sizeof message);
    tide_findings_add(findings,
                      &(struct tide_finding){.code = "setting", .file = settings->path, .message = message});
}

static void find_between(const struct tide_cli_bundles *loaded, struct tide_findings *findings)
{
    for (size_t i = 0; i < loaded->settings.bundle_count; i++) {
        const struct tide_settings_bundle *settings = &loaded->settings.bundles[i];
        const struct tide_bundle *bundle = loaded->bundles[i];

        if (bundle && tide_bundle_has_routes(bundle) && !settings->listen)
            find_without_address(&loaded->settings, settings, findings);
        if (bundle)
            find_moved(&loaded->settings, bundle, findings);
        if (bundle && !loaded->failed) /* a bundle that did not load may be the one that consumes */
            find_unconsumed(loaded, bundle, findings);
    }
}

/* The schema files, on a database that is thrown away. What is meant for a server is left to it. */
static void try_schemas(const struct tide_settings *settings, struct tide_findings *findings)
{
    char directory[32], url[64];
    struct tide_settings own = *settings;
    static const char in_memory[] = "/dev/shm"; /* no disk to wait for */
    static const char *const files[] = {"check.db", "check.db-wal", "check.db-shm"};
    struct tide_log log;
    struct tide_err err;

    if (strncmp(settings->sql, "sqlite:", 7) != 0)
        return;
    snprintf(directory, sizeof directory, "%s/tidemill-check-XXXXXX",
             access(in_memory, W_OK | X_OK) == 0 ? in_memory : "/tmp");
    if (!mkdtemp(directory)) {
        tide_err_errno(&err, errno, directory);
        tide_findings_add_text(findings, "schema", err.message);
        return;
    }
    snprintf(url, sizeof url, "sqlite:%s/check.db", directory);
    own.data = directory;
    own.sql = url;
    tide_cli_log(&log);
    if (!tide_services_migrate(&own, &log, &err))
        tide_findings_add_text(findings, "schema", err.message);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(url, sizeof url, "%s/%s", directory, files[i]);
        unlink(url);
    }
    rmdir(directory);
}

static void check_backends(const struct tide_settings *settings, struct tide_findings *findings)
{
    struct tide_buf report;

    tide_buf_init(&report, TIDE_CLI_REPORT);
    if (!tide_services_check(settings, &report))
        tide_findings_add_text(findings, "setting", report.data ? report.data : "out of memory");
    tide_buf_release(&report);
}

/* ---- for people ---- */

static size_t count_of(const struct tide_bundle *bundle, int type)
{
    const struct tide_declaration *list;
    size_t count = tide_bundle_declarations(bundle, &list), n = 0;

    for (size_t i = 0; i < count; i++)
        n += (int)list[i].type == type;
    return n;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void describe(const char *name, const struct tide_bundle *bundle)
{
    size_t routes, queues, timers;

    if (!bundle) {
        printf("%-16s FAILED\n", name);
        return;
    }
    routes = count_of(bundle, TIDE_DECLARED_ROUTE);
    queues = count_of(bundle, TIDE_DECLARED_CONSUMER);
    timers = count_of(bundle, TIDE_DECLARED_TIMER);
    printf("%-16s ok   %s  %zu route%s, %zu queue%s, %zu timer%s\n", name, tide_bundle_generation(bundle),
           routes, plural(routes), queues, plural(queues), timers, plural(timers));
}

/* ---- the command ---- */

/* False: told on stderr. */
static bool check_bundles(const struct tide_settings *settings, bool json, struct tide_findings *findings)
{
    struct tide_cli_bundles loaded;

    check_backends(settings, findings);
    if (!tide_cli_bundles_load(&loaded, settings, findings))
        return false;
    find_between(&loaded, findings);
    try_schemas(settings, findings);
    if (!json)
        tide_cli_tell(findings);
    for (size_t i = 0; !json && i < loaded.settings.bundle_count; i++)
        describe(loaded.settings.bundles[i].name, loaded.bundles[i]);
    tide_cli_bundles_release(&loaded);
    return true;
}

/* False: told on stderr. */
static bool check_all(struct tide_cli *cli, bool json, struct tide_findings *findings)
{
    struct tide_settings settings;
    struct tide_buf report;
    bool good = true, read;

    tide_buf_init(&report, TIDE_CLI_REPORT);
    read = tide_cli_read_settings(cli, &settings, &report);
    if (read) {
        good = check_bundles(&settings, json, findings);
        tide_settings_release(&settings);
    } else if (report.data) {
        tide_findings_add_text(findings, "setting", report.data);
        if (!json)
            tide_cli_tell(findings);
    } else {
        good = false;
    }
    tide_buf_release(&report);
    return good;
}

static void print_json(const struct tide_findings *findings)
{
    struct tide_buf text;

    tide_buf_init(&text, 8 << 20);
    tide_findings_json(findings, &text);
    fputs(text.data ? text.data : "", stdout);
    tide_buf_release(&text);
}

int tide_cli_check(struct tide_cli *cli)
{
    bool json = tide_cli_value(cli, "json") != NULL, good;
    struct tide_findings findings;

    tide_findings_init(&findings);
    good = check_all(cli, json, &findings);
    if (good && json)
        print_json(&findings);
    good = good && findings.errors == 0;
    tide_findings_release(&findings);
    return good ? TIDE_EXIT_GOOD : TIDE_EXIT_FAILED;
}
