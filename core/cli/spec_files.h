/* Which spec files a command line asks for. */
#ifndef TIDE_CLI_SPEC_FILES_H
#define TIDE_CLI_SPEC_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "settings/settings.h"

#define TIDE_SPEC_SUFFIX "_spec.lua"

struct tide_spec_file {
    char *path;
    int line; /* of the test to run; 0: all */
};

struct tide_spec_files { /* zeroed: empty */
    struct tide_spec_file *list;
    size_t count;
};

/* Each word is a bundle or a plugin of the settings, a directory, FILE or FILE:LINE; without one: all of
 * spec/, of the bundles and of the plugins. NULL, or the first word that is none of these. */
const char *tide_spec_files_choose(struct tide_spec_files *files, const struct tide_settings *settings,
                                   char *const *words, int count);
bool tide_spec_files_put(struct tide_spec_files *files, const char *path, int line); /* false: no memory */
void tide_spec_files_release(struct tide_spec_files *files);

#endif
