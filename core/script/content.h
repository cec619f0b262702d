/*
 * The files of a bundle as they were at one moment: what one generation is made of, and named by. The
 * supervisor reads them once; every worker loads its state from those same bytes, whatever happens to the
 * directory meanwhile. It lies in a sealed memory file, so it can be handed to another process.
 * What belongs to it: all files below the bundle's directory, dot files and the bundle's specs left out, and
 * of the library the modules that the bundle requires, and those that they require, and of the plugins that
 * are required in the same way all Lua files. A `require` whose name is not written out counts as one of
 * every module of the library and of every plugin.
 */
#ifndef TIDE_SCRIPT_CONTENT_H
#define TIDE_SCRIPT_CONTENT_H

#include <stddef.h>

#include "base/err.h"

#define TIDE_CONTENT_MAX (64 << 20)     /* bytes of all files together */
#define TIDE_CONTENT_FILE_MAX (1 << 20) /* bytes of one file */
#define TIDE_GENERATION_LEN 13          /* 12 hex digits and the end */

struct tide_content;

/* Reads until two readings are the same: an editor or a mount may be in the middle of a change. `library` may
 * be NULL, and so may `plugins`, directories with ':' between them. Blocks. NULL: err. */
struct tide_content *tide_content_read(const char *directory, const char *library, const char *plugins,
                                       struct tide_err *err);
/* The content that another process has read. Takes fd over. NULL: err. */
struct tide_content *tide_content_map(int fd, struct tide_err *err);
void tide_content_free(struct tide_content *content); /* or NULL */

/* The content's own descriptor, for another process. */
int tide_content_fd(const struct tide_content *content);
/* Hash of the names and bytes of all files, 12 hex digits. */
const char *tide_content_generation(const struct tide_content *content);
/* A file by its path, DIRECTORY/NAME, LIBRARY/NAME or PLUGIN/NAME; NULL when there is none. Valid as long as
 * the content.
 */
const char *tide_content_file(const struct tide_content *content, const char *path, size_t *len);

enum tide_content_change { TIDE_CONTENT_ADDED, TIDE_CONTENT_CHANGED, TIDE_CONTENT_REMOVED };
/* Calls `each` for every file that is not the same in both. */
void tide_content_compare(const struct tide_content *before, const struct tide_content *after,
                          void (*each)(void *arg, enum tide_content_change change, const char *path),
                          void *arg);

/* Whether its scripts may use `tide.PART`: one says so, or takes `tide` in a way that doesn't tell, as in
 * `local t = tide`. */
bool tide_content_uses(const struct tide_content *content, const char *part);
/* Lets go of memory that is not needed until the next tide_content_file. */
void tide_content_rest(const struct tide_content *content);

#endif
