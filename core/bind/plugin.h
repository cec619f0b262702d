/* Handles of plugins in C, as other bindings (media) see them. Loop thread only. */
#ifndef TIDE_BIND_PLUGIN_H
#define TIDE_BIND_PLUGIN_H

#include "bind/native.h"
#include "bind/tidemill_plugin.h"
#include "stream/stream.h"

/* An object of a plugin: the script and calls that use it have a reference each. */
struct tide_plugin_object {
    const struct tidemill_handle_type *type;
    void *object;
    unsigned references;
    bool busy; /* in the hands of a call */
};

/* The object of the handle at `index`; raises when it is none or in use. */
struct tide_plugin_object *tide_plugin_check(lua_State *L, int index);
/* Holds an object for a call: with a reference more, and busy. */
struct tide_plugin_object *tide_plugin_take(struct tide_plugin_object *object);
/* What tide_plugin_take gave. */
void tide_plugin_give_back(struct tide_plugin_object *object);

/* A sink that feeds `object`, which takes sound, on the pool. It takes over what tide_plugin_take gave; close
 * frees it. */
struct tide_sink *tide_plugin_sink(struct tide_plugin_object *object, struct tide_pool *pool);

#endif
