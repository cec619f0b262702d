/* tidemill check, tidemill routes: what the bundles declare, without serving. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "engine/services.h"

/* All bundles of the settings, loaded beside no backend: nothing is opened, nothing is written. */
struct loaded {
    struct tide_settings settings;
    struct tide_log log;
    uv_loop_t loop;
    struct tide_services services;
    struct tide_bundle **bundles;
    size_t failed;
};

static bool load_all(struct loaded *loaded, struct tide_cli *cli)
{
    struct tide_buf report;
    struct tide_err err;

    if (!tide_cli_settings(cli, &loaded->settings))
        return false;
    free(loaded->settings.data); /* no secret is made up and kept by a look */
    loaded->settings.data = NULL;
    tide_cli_log(&loaded->log);
    uv_loop_init(&loaded->loop);
    loaded->bundles = calloc(loaded->settings.bundle_count + 1, sizeof *loaded->bundles);
    if (!loaded->bundles || !tide_services_open(&loaded->services, &loaded->settings, 0, &loaded->loop,
                                                &loaded->log, NULL, &err)) {
        tide_cli_fail("%s", loaded->bundles ? err.message : "out of memory");
        return false;
    }
    for (size_t i = 0; i < loaded->settings.bundle_count; i++) {
        tide_buf_init(&report, 1 << 16);
        loaded->bundles[i] =
            tide_services_load(&loaded->services, &loaded->settings, &loaded->settings.bundles[i], &report);
        if (!loaded->bundles[i]) {
            loaded->failed++;
            fprintf(stderr, "%s%s", report.data ? report.data : "",
                    report.len && report.data[report.len - 1] == '\n' ? "" : "\n");
        }
        tide_buf_release(&report);
    }
    return true;
}

static void release_all(struct loaded *loaded)
{
    for (size_t i = 0; i < loaded->settings.bundle_count; i++)
        tide_bundle_free(loaded->bundles[i]);
    free(loaded->bundles);
    tide_services_close(&loaded->services);
    tide_services_close_loop(&loaded->loop, &loaded->log);
    tide_settings_release(&loaded->settings);
}

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

static bool is_consumed(const struct loaded *loaded, const char *queue)
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

static void note_unconsumed(const struct loaded *loaded, const struct tide_bundle *bundle)
{
    const struct tide_declaration *list;
    size_t count = tide_bundle_declarations(bundle, &list);

    for (size_t k = 0; k < count; k++)
        if (list[k].type == TIDE_DECLARED_PUBLISHER && !is_consumed(loaded, list[k].name))
            printf("%-16s note: %s:%d: no bundle here consumes the queue '%s'\n", "", list[k].file,
                   list[k].line, list[k].name);
}

static void describe(const struct loaded *loaded, size_t i)
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

int tide_cli_check(struct tide_cli *cli)
{
    struct loaded loaded = {0};
    int code;

    if (!load_all(&loaded, cli))
        return TIDE_EXIT_FAILED;
    for (size_t i = 0; i < loaded.settings.bundle_count; i++) {
        if (loaded.bundles[i])
            describe(&loaded, i);
        else
            printf("%-16s FAILED\n", loaded.settings.bundles[i].name);
    }
    code = loaded.failed ? TIDE_EXIT_FAILED : TIDE_EXIT_GOOD;
    release_all(&loaded);
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
    struct loaded loaded = {0};
    int code;

    if (!load_all(&loaded, cli))
        return TIDE_EXIT_FAILED;
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
    release_all(&loaded);
    return code;
}
