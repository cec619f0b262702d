/*
 * A settings file read into plain data. The file is Lua, run once in a throwaway state that has nothing but
 * string, table and math, a few MiB of memory and a bounded number of instructions; what it returns is copied
 * into a tree and the state is closed. Used by settings/settings.c; the one file of the engine that includes
 * lua.h. Any thread.
 */
#ifndef TIDE_SETTINGS_DOCUMENT_H
#define TIDE_SETTINGS_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum tide_node_type { TIDE_NODE_BOOL, TIDE_NODE_NUMBER, TIDE_NODE_STRING, TIDE_NODE_TABLE };

struct tide_node {
    enum tide_node_type type;
    char *key; /* "" for the root and for list items */
    bool boolean;
    double number;
    char *string;               /* NUL-terminated, without NUL inside */
    struct tide_node *children; /* in the order of their keys; a list in its own order */
    size_t count;
    bool list; /* a table with the keys 1..n */
};

/* Runs `source` (named `path` in messages). False: `report` has "path:line: what is wrong". */
bool tide_document_parse(const char *source, size_t len, const char *path, struct tide_node *root,
                         struct tide_buf *report);
void tide_node_release(struct tide_node *node);

const struct tide_node *tide_node_child(const struct tide_node *table, const char *key); /* NULL: none */
const char *tide_node_type_name(const struct tide_node *node); /* "a string", "a table", ... */

/* Appends the node as JSON. */
void tide_node_json(const struct tide_node *node, struct tide_buf *out);

/* The line of `path` ("listen.gateway") in the source: found by looking for its keys one behind the other
 * outside of comments and strings; 0 when the file makes them in another way. */
int tide_document_line(const char *source, size_t len, const char *path);

#endif
