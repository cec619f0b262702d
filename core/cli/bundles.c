#include "cli/bundles.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"

static void load(struct tide_cli_bundles *all, size_t i, bool quiet)
{
    struct tide_buf report;

    tide_buf_init(&report, 1 << 16);
    all->bundles[i] =
        tide_services_load(&all->services, &all->settings, &all->settings.bundles[i], NULL, &report);
    if (!all->bundles[i]) {
        all->failed++;
        if (!quiet)
            fprintf(stderr, "%s%s", report.data ? report.data : "",
                    report.len && report.data[report.len - 1] == '\n' ? "" : "\n");
    }
    tide_buf_release(&report);
}

bool tide_cli_bundles_load(struct tide_cli_bundles *all, const struct tide_settings *settings, bool quiet)
{
    struct tide_err err;

    *all = (struct tide_cli_bundles){.settings = *settings};
    all->settings.data = NULL; /* no secret is made up and kept by a look */
    tide_cli_log(&all->log);
    uv_loop_init(&all->loop);
    all->bundles = calloc(settings->bundle_count + 1, sizeof *all->bundles);
    if (!all->bundles ||
        !tide_services_open(&all->services, &all->settings, 0, &all->loop, &all->log, NULL, &err)) {
        tide_cli_fail("%s", all->bundles ? err.message : "out of memory");
        free(all->bundles);
        tide_services_close_loop(&all->loop, &all->log);
        return false;
    }
    for (size_t i = 0; i < settings->bundle_count; i++)
        load(all, i, quiet);
    return true;
}

void tide_cli_bundles_release(struct tide_cli_bundles *all)
{
    for (size_t i = 0; i < all->settings.bundle_count; i++)
        tide_bundle_free(all->bundles[i]);
    free(all->bundles);
    tide_services_close(&all->services);
    tide_services_close_loop(&all->loop, &all->log);
}
