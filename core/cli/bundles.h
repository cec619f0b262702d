/* All bundles of the settings, to look at what they declare: nothing is served, no backend is opened, nothing
 * is written. */
#ifndef TIDE_CLI_BUNDLES_H
#define TIDE_CLI_BUNDLES_H

#include "engine/services.h"

struct tide_cli_bundles {
    struct tide_settings settings; /* the caller's, but without a directory of data */
    struct tide_log log;
    uv_loop_t loop;
    struct tide_services services;
    struct tide_bundle **bundles; /* as many as in the settings; NULL: it can't be loaded */
    size_t failed;
};

/* Adds to `findings` why some can't be loaded. `settings` must stay until the release. False: told on stderr.
 */
bool tide_cli_bundles_load(struct tide_cli_bundles *all, const struct tide_settings *settings,
                           struct tide_findings *findings);
void tide_cli_bundles_release(struct tide_cli_bundles *all);

/* Tells them on stderr, for people. */
void tide_cli_tell(const struct tide_findings *findings);

#endif
