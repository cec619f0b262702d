/* Opens what the bindings of a process use, from the settings. Worker, command line. Loop thread; opening
 * blocks. */
#ifndef TIDE_ENGINE_SERVICES_H
#define TIDE_ENGINE_SERVICES_H

#include "bind/bundle.h"
#include "bind/services.h"
#include "settings/settings.h"

enum {
    TIDE_WITH_SQL = 1,
    TIDE_WITH_QUEUE = 2,
    TIDE_WITH_BLOB = 4,
    TIDE_WITH_MAIL = 8,
    TIDE_WITH_HTTP = 16,
    TIDE_WITH_CRYPTO = 32,
    TIDE_WITH_ALL = 63
};

/* Whether the URLs of the backends are right, as their start would see them; reaches and makes nothing.
 * Appends a line for each that is wrong: the setting, who set it, and what is allowed, without a password. */
TIDE_WARN_UNUSED bool tide_services_check(const struct tide_settings *settings, struct tide_buf *report);
/* `which`: TIDE_WITH_* together; the others stay NULL. log and metrics outlive the services. On false nothing
 * is held, and the error names the setting. */
TIDE_WARN_UNUSED bool tide_services_open(struct tide_services *services, const struct tide_settings *settings,
                                         unsigned which, uv_loop_t *loop, const struct tide_log *log,
                                         struct tide_metrics *metrics, struct tide_err *err);
/* What scripts use of TIDE_WITH_SQL to TIDE_WITH_MAIL. */
unsigned tide_services_used(const struct tide_content *content);
/* Opens those of `which` that are not open yet. On false some may be; the error names the setting. */
TIDE_WARN_UNUSED bool tide_services_add(struct tide_services *services, const struct tide_settings *settings,
                                        unsigned which, struct tide_err *err);
/* Bundles must be freed before. The loop must run once more to close what has handles. */
void tide_services_close(struct tide_services *services);

/* Loads one bundle of the settings. `content` is taken over; NULL: what is on the disk. NULL: findings. */
struct tide_bundle *tide_services_load(const struct tide_services *services,
                                       const struct tide_settings *settings,
                                       const struct tide_settings_bundle *bundle,
                                       struct tide_content *content, struct tide_findings *findings);

/* The limits of a bundle's listener. */
void tide_services_http_limits(const struct tide_settings *settings, struct tide_http_limits *limits);

/* Brings the tables of all bundles (<bundle>/schema/) up to date. Blocks. Before anything else uses the
 * database. Retryable: the database can't be reached. */
TIDE_WARN_UNUSED bool tide_services_migrate(const struct tide_settings *settings, const struct tide_log *log,
                                            struct tide_err *err);
/* The schema files that it would apply, one a line, and those that are not what they were when they were
 * applied (`changed` NULL: they are logged); nothing is changed. */
TIDE_WARN_UNUSED bool tide_services_review(const struct tide_settings *settings, const struct tide_log *log,
                                           struct tide_buf *pending, struct tide_buf *changed,
                                           struct tide_err *err);

/* Whether none is pending; the error names the first and what to do. */
TIDE_WARN_UNUSED bool tide_services_migrated(const struct tide_settings *settings, const struct tide_log *log,
                                             struct tide_err *err);

/* Runs the loop until its handles are closed and closes it. False when handles were left open for a second:
 * their number and kinds are logged as an error. */
bool tide_services_close_loop(uv_loop_t *loop, const struct tide_log *log);

#endif
