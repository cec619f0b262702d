/* Lua sources compiled into the binary by cmake/embed.cmake. */
#ifndef TIDE_SCRIPT_EMBEDDED_H
#define TIDE_SCRIPT_EMBEDDED_H

#include <stddef.h>

struct tide_embedded_lua {
    const char *name; /* dotted module name; NULL ends a table */
    const char *source;
    size_t len;
};

extern const struct tide_embedded_lua core_script_lua[]; /* core/script/lua */
extern const struct tide_embedded_lua core_bind_lua[];   /* core/bind/lua */
extern const struct tide_embedded_lua core_cli_lua[];    /* core/cli/lua */

#endif
