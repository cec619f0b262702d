#include "cli/bundles.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/command.h"

#define MAX_REPORT (4 << 20)

bool tide_cli_bundles_load(struct tide_cli_bundles *all, const struct tide_settings *settings,
                           struct tide_findings *findings)
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
    for (size_t i = 0; i < settings->bundle_count; i++) {
        all->bundles[i] =
            tide_services_load(&all->services, &all->settings, &settings->bundles[i], NULL, findings);
        all->failed += !all->bundles[i];
    }
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

void tide_cli_tell(const struct tide_findings *findings)
{
    bool colour = isatty(STDERR_FILENO) == 1 && !getenv("NO_COLOR");
    struct tide_buf text;

    if (findings->count == 0)
        return;
    tide_buf_init(&text, MAX_REPORT);
    tide_findings_text(findings, TIDE_FINDINGS_COLUMNS | (colour ? TIDE_FINDINGS_COLOUR : 0), &text);
    fprintf(stderr, "%s\n", text.data ? text.data : "");
    tide_buf_release(&text);
}
