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
    const char *example; /* of a whole URL, for messages */
    const void *driver;  /* the feature's struct; NULL: in the module */
    const char
        *module; /* name of the module's file, without ".so"; it exports the driver as TIDE_MODULE_DRIVER */
};

#define TIDE_MODULE_DRIVER tide_module_driver /* declared as the feature's struct, with TIDE_MODULE_EXPORT   \
                                               */
#define TIDE_MODULE_EXPORT __attribute__((visibility("default")))

/* The driver of `url`, NULL with err. `feature` begins the messages; they never hold the URL, which may carry
 * a password. Modules are looked for in $TIDEMILL_MODULES, or in "modules" beside the executable, or in
 * "../lib/tidemill" from there; one that was loaded stays. Any thread. */
const void *tide_driver_find(const char *feature, const struct tide_driver_choice *choices, size_t count,
                             const char *url, struct tide_err *err);

/* What follows the scheme and its colon, without the two slashes of sqlite:///var/x. */
const char *tide_driver_location(const char *url);

#endif
