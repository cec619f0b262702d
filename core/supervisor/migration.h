/*
 * The tables before the start: brought up to date by the bundles' schema files, or, with the setting
 * `migrate` off, only looked at. A database that can't be reached doesn't stop the start: what is to be done
 * is done as soon as it can be. And those of one bundle before a new generation of it runs. Who uses it: the
 * supervisor. Loop thread.
 */
#ifndef TIDE_SUPERVISOR_MIGRATION_H
#define TIDE_SUPERVISOR_MIGRATION_H

#include <uv.h>

#include "base/log.h"
#include "settings/settings.h"

struct tide_migration;

/* Blocks while the database answers. *migration is NULL when nothing is left to do; else later(arg) is called
 * as soon as it is done. settings and log outlive it. */
TIDE_WARN_UNUSED bool tide_migration_begin(struct tide_migration **migration, uv_loop_t *loop,
                                           const struct tide_settings *settings, const struct tide_log *log,
                                           void (*later)(void *arg), void *arg, struct tide_err *err);
/* Waits for what is under way. NULL is ignored. */
void tide_migration_stop(struct tide_migration *migration);

struct tide_bundle_migration;

/* The same for one bundle (of settings->bundles) while the engine runs, on a thread of its own:
 * done(arg, NULL or what is wrong) once. settings and log outlive it. NULL: err. */
struct tide_bundle_migration *tide_bundle_migration_start(uv_loop_t *loop,
                                                          const struct tide_settings *settings, size_t index,
                                                          const struct tide_log *log,
                                                          void (*done)(void *arg, const struct tide_err *err),
                                                          void *arg, struct tide_err *err);
/* `done` is not called; what is under way goes on, and keeps the loop alive until its end. NULL is ignored.
 */
void tide_bundle_migration_drop(struct tide_bundle_migration *self);

#endif
