/* The name of a bundle's content. */
#ifndef TIDE_BIND_GENERATION_H
#define TIDE_BIND_GENERATION_H

#include <stddef.h>

#include "base/err.h"

/* Hashes names and contents of all files below the directories (sorted; dot files and the directory spec left
 * out) into 12 hex digits. Blocks; at load only. */
TIDE_WARN_UNUSED bool tide_generation_hash(const char *const *directories, size_t count, char out[13],
                                           struct tide_err *err);

#endif
