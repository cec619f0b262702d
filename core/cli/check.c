/* tidemill check, tidemill routes: what the bundles declare, without serving. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bundles.h"
#include "cli/command.h"

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

static void note_unconsumed(const struct tide_cli_bundles *loaded, const struct tide_bundle *bundle)
{
    const struct tide_declaration *list;
    size_t count = tide_bundle_declarations(bundle, &list);

    for (size_t k = 0; k < count; k++)
        if (list[k].type == TIDE_DECLARED_PUBLISHER && !is_consumed(loaded, list[k].name))
            printf("%-16s note: %s:%d: no bundle here consumes the queue '%s'\n", "", list[k].file,
                   list[k].line, list[k].name);
}

static void describe(const struct tide_cli_bundles *loaded, size_t i)
{
    const struct tide_settings_bundle *settings = &loaded->settings.bundles[i];
    const struct tide_bundle *bundle = loaded->bundles[i];
    size_t routes = count_of(bundle, TIDE_DECLARED_ROUTE), queues = count_of(bundle, TIDE_DECLARED_CONSUMER),
           timers = count_of(bundle, TIDE_DECLARED_TIMER);

    printf("%-16s ok   %s  %zu route%s, %zu queue%s, %zu timer%s\n", settings->name,
           tide_bundle_generation(bundle), routes, plural(routes), queues, plural(queues), timers,
           plural(timers));
    if (routes && !settings->listen)
        printf("%-16s note: it has routes but no address: run needs listen = { %s = \"127.0.0.1:PORT\" }\n",
               "", settings->name);
    if (!loaded->failed) /* a bundle that did not load may be the one that consumes */
        note_unconsumed(loaded, bundle);
}

/* The schema files, on a database that is thrown away. False: told. What is meant for a server is left to it.
 */
static bool try_schemas(const struct tide_settings *settings)
{
    char directory[] = "/tmp/tidemill-check-XXXXXX", url[64];
    struct tide_settings own = *settings;
    static const char *const files[] = {"check.db", "check.db-wal", "check.db-shm"};
    struct tide_log log;
    struct tide_err err;
    bool ok;

    if (strncmp(settings->sql, "sqlite:", 7) != 0)
        return true;
    if (!mkdtemp(directory))
        return !tide_cli_fail("%s: %s", directory, strerror(errno));
    snprintf(url, sizeof url, "sqlite:%s/check.db", directory);
    own.data = directory;
    own.sql = url;
    tide_cli_log(&log);
    ok = tide_services_migrate(&own, &log, &err) || !fprintf(stderr, "%s\n", err.message);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(url, sizeof url, "%s/%s", directory, files[i]);
        unlink(url);
    }
    rmdir(directory);
    return ok;
}

/* False: told. */
static bool check_backends(const struct tide_settings *settings)
{
    struct tide_buf report;
    bool good;

    tide_buf_init(&report, 1 << 16);
    good = tide_services_check(settings, &report);
    fputs(report.data ? report.data : "", stderr);
    tide_buf_release(&report);
    return good;
}

int tide_cli_check(struct tide_cli *cli)
{
    struct tide_settings settings;
    struct tide_cli_bundles loaded;
    bool backends;
    int code;

    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    backends = check_backends(&settings);
    if (!tide_cli_bundles_load(&loaded, &settings, false)) {
        tide_settings_release(&settings);
        return TIDE_EXIT_FAILED;
    }
    for (size_t i = 0; i < loaded.settings.bundle_count; i++) {
        if (loaded.bundles[i])
            describe(&loaded, i);
        else
            printf("%-16s FAILED\n", loaded.settings.bundles[i].name);
    }
    code = backends && try_schemas(&settings) && !loaded.failed ? TIDE_EXIT_GOOD : TIDE_EXIT_FAILED;
    tide_cli_bundles_release(&loaded);
    tide_settings_release(&settings);
    return code;
}

/* ---- routes ---- */

static const char *const kinds[] = {"route", "consumes", "publishes", "every", "calls"};

static void print_row(const char *bundle, const struct tide_declaration *declaration)
{
    printf("%-10s %-32s %-14s %s:%d\n", kinds[declaration->type], declaration->name, bundle,
           declaration->file, declaration->line);
}

static void print_json(const char *bundle, const struct tide_declaration *declaration, bool first)
{
    struct tide_buf line;

    tide_buf_init(&line, 1 << 16);
    tide_buf_printf(&line, "%s{\"kind\":\"%s\",\"name\":", first ? "" : ",\n ", kinds[declaration->type]);
    tide_buf_json(&line, declaration->name, strlen(declaration->name));
    tide_buf_printf(&line, ",\"bundle\":\"%s\",\"file\":", bundle);
    tide_buf_json(&line, declaration->file, strlen(declaration->file));
    tide_buf_printf(&line, ",\"line\":%d}", declaration->line);
    fputs(line.data, stdout);
    tide_buf_release(&line);
}

int tide_cli_routes(struct tide_cli *cli)
{
    bool json = tide_cli_value(cli, "json") != NULL, first = true;
    struct tide_settings settings;
    struct tide_cli_bundles loaded;
    int code;

    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    if (!tide_cli_bundles_load(&loaded, &settings, false)) {
        tide_settings_release(&settings);
        return TIDE_EXIT_FAILED;
    }
    if (json)
        putchar('[');
    for (size_t i = 0; i < loaded.settings.bundle_count; i++) {
        const struct tide_declaration *list;
        size_t count = loaded.bundles[i] ? tide_bundle_declarations(loaded.bundles[i], &list) : 0;
        for (size_t k = 0; k < count; k++) {
            if (json)
                print_json(loaded.settings.bundles[i].name, &list[k], first);
            else
                print_row(loaded.settings.bundles[i].name, &list[k]);
            first = false;
        }
    }
    if (json)
        puts("]");
    code = loaded.failed ? TIDE_EXIT_FAILED : TIDE_EXIT_GOOD;
    tide_cli_bundles_release(&loaded);
    tide_settings_release(&settings);
    return code;
}
