/* What one load of settings/settings.h holds on its way; for the files of this folder alone. */
#ifndef TIDE_SETTINGS_LOAD_H
#define TIDE_SETTINGS_LOAD_H

#include "settings/document.h"
#include "settings/settings.h"
#include "settings/table.h"

#define TIDE_ORIGIN 200
#define TIDE_BUNDLE_NAME 32

/* A value under a name that the table doesn't know beforehand: listen.NAME or a bundle's own setting. */
struct tide_settings_extra {
    char bundle[TIDE_BUNDLE_NAME];
    char key[64]; /* "" for listen */
    char *text;
    char origin[TIDE_ORIGIN];
};

struct tide_settings_load {
    struct tide_settings *settings;
    const struct tide_settings_input *input;
    struct tide_buf *report;
    bool failed; /* something is in the report */

    char *path, *source; /* the file */
    size_t source_len;
    struct tide_node root;

    char *texts[TIDE_SETTINGS]; /* of the table's settings, from the source that wins; NULL: default */
    char origins[TIDE_SETTINGS][TIDE_ORIGIN];
    struct tide_settings_extra *extras; /* in the order of precedence, lowest first */
    size_t extra_count;
    char *selection; /* TIDEMILL_BUNDLES */

    char (*found)[TIDE_BUNDLE_NAME]; /* bundles there are in `scripts` */
    size_t found_count;
};

/* Appends "origin: message" and marks the load as failed. */
void tide_settings_refuse(struct tide_settings_load *load, const char *origin, const char *fmt, ...)
    TIDE_PRINTF(3, 4);
/* As above without the end of the line: the caller appends it to load->report. */
void tide_settings_refuse_open(struct tide_settings_load *load, const char *origin);

/* Takes over text (heap). */
void tide_settings_put(struct tide_settings_load *load, const struct tide_setting *setting, char *text,
                       const char *origin);
void tide_settings_put_extra(struct tide_settings_load *load, const char *bundle, const char *key, char *text,
                             const char *origin);
/* "tidemill.lua:7: workers" */
void tide_settings_file_origin(const struct tide_settings_load *load, const char *name,
                               char origin[TIDE_ORIGIN]);

/* env.c: the variables of the table's settings; later all others, when the bundles are known. */
void tide_settings_env_known(struct tide_settings_load *load);
void tide_settings_env_others(struct tide_settings_load *load);
const char *tide_settings_env_get(const struct tide_settings_load *load, const char *name);

/* bundles.c */
void tide_settings_find_scripts(struct tide_settings_load *load);
void tide_settings_find_bundles(struct tide_settings_load *load);
void tide_settings_make_bundles(struct tide_settings_load *load);
bool tide_settings_has_bundle(const struct tide_settings_load *load, const char *name);
/* Ends a report line about an unknown bundle: the nearest and all there are. */
void tide_settings_unknown_bundle(struct tide_settings_load *load, const char *name);
/* The directory of what is installed: "<prefix>/share/tidemill/scripts", or "plugins". */
void tide_settings_installed(const char *what, char *path, size_t size);

/* plugins.c: makes of the names in `plugins` their directories. */
void tide_settings_find_plugins(struct tide_settings_load *load);

#endif
