/* The Lua API described, for the command line (help, types). Any thread; no bundle is needed. `plugins`:
 * directories of plugins to describe too, ':' between, or NULL. */
#ifndef TIDE_BIND_REFERENCE_H
#define TIDE_BIND_REFERENCE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends all of it as Markdown (docs/lua-api.md). */
TIDE_WARN_UNUSED bool tide_reference_markdown(struct tide_buf *out, struct tide_err *err);
/* Appends annotations for the Lua language server. */
TIDE_WARN_UNUSED bool tide_reference_annotations(const char *plugins, struct tide_buf *out,
                                                 struct tide_err *err);
/* Appends the help of one name ("tide.queue"), or of "tide" a list of all. TIDE_ERR_NOT_FOUND: the message
 * tells what was meant. */
TIDE_WARN_UNUSED bool tide_reference_help(const char *name, const char *plugins, struct tide_buf *out,
                                          struct tide_err *err);

#endif
