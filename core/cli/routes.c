/* tidemill routes: what the bundles declare, and where. */
#include <stdio.h>
#include <string.h>

#include "cli/bundles.h"
#include "cli/command.h"
#include "cli/graph.h"

static const char *const kinds[] = {"route", "consumes", "publishes", "every", "calls", "bucket"};

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

static void print_list(const struct tide_cli_bundles *loaded, bool json)
{
    bool first = true;

    if (json)
        putchar('[');
    for (size_t i = 0; i < loaded->settings.bundle_count; i++) {
        const struct tide_declaration *list;
        size_t count = loaded->bundles[i] ? tide_bundle_declarations(loaded->bundles[i], &list) : 0;
        for (size_t k = 0; k < count; k++) {
            if (json)
                print_json(loaded->settings.bundles[i].name, &list[k], first);
            else
                print_row(loaded->settings.bundles[i].name, &list[k]);
            first = false;
        }
    }
    if (json)
        puts("]");
}

static void print_graph(const struct tide_cli_bundles *loaded)
{
    struct tide_buf text;

    tide_buf_init(&text, 4 << 20);
    tide_cli_graph(loaded, &text);
    fputs(text.data ? text.data : "", stdout);
    tide_buf_release(&text);
}

int tide_cli_routes(struct tide_cli *cli)
{
    struct tide_settings settings;
    struct tide_cli_bundles loaded;
    struct tide_findings findings;
    int code = TIDE_EXIT_FAILED;

    if (tide_cli_value(cli, "json") && tide_cli_value(cli, "graph"))
        return tide_cli_usage(cli, "--json or --graph: one of them");
    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    tide_findings_init(&findings);
    if (tide_cli_bundles_load(&loaded, &settings, &findings)) {
        tide_cli_tell(&findings);
        if (tide_cli_value(cli, "graph"))
            print_graph(&loaded);
        else
            print_list(&loaded, tide_cli_value(cli, "json") != NULL);
        code = loaded.failed ? TIDE_EXIT_FAILED : TIDE_EXIT_GOOD;
        tide_cli_bundles_release(&loaded);
    }
    tide_findings_release(&findings);
    tide_settings_release(&settings);
    return code;
}
