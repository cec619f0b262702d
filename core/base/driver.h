/*
 * Which driver serves a URL: its scheme chooses. Used by the features that have several drivers (queue, blob,
 * sql, mail). A driver that brings client libraries of its own is a module, a shared object that is loaded
 * when a URL first asks for it: a process that needs no broker doesn't pay for one at its start.
 */
#ifndef TIDE_BASE_DRIVER_H
#define TIDE_BASE_DRIVER_H

#include <stddef.h>

#include "base/err.h"

struct tide_driver_choice {
    const char *scheme;  /* without the colon */
    const char *example; /* of a whole URL */
    const void *driver;  /* the feature's struct; NULL: the module has it */
    const char *module;  /* its file's name without ".so" */
};

/* A module declares its feature's driver struct: TIDE_MODULE_EXPORT const struct ... TIDE_MODULE_DRIVER. */
#define TIDE_MODULE_DRIVER tide_module_driver
#define TIDE_MODULE_EXPORT __attribute__((visibility("default")))

/* The driver that `module` declares, NULL with err, which begins with `feature`. Modules are looked for in
 * $TIDEMILL_MODULES, or in "modules" beside the executable, or in "../lib/tidemill" from there; one that was
 * loaded stays. Any thread. */
const void *tide_driver_load(const char *feature, const char *module, struct tide_err *err);

/* The driver of `url`, NULL with err. The messages never hold the URL, which may carry a password. Any
 * thread. */
const void *tide_driver_find(const char *feature, const struct tide_driver_choice *choices, size_t count,
                             const char *url, struct tide_err *err);

/* Where the module of this name is, or would be: there may be none. Any thread. */
void tide_driver_module(const char *module, char *path, size_t size);

/* The path in the URL of something local, such as sqlite:data/x.db or sqlite:///var/x.db; "" when the URL
 * names a host. */
const char *tide_driver_location(const char *url);
/* Whether it names something local, where that is all that such a URL may say. */
TIDE_WARN_UNUSED bool tide_driver_check_location(const char *url, struct tide_err *err);

#endif
