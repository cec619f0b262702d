/*
 * What the bindings of one process reach: one of each, opened from the settings (engine/services.c) and
 * shared by all bundles of the process. A member may be NULL when nothing needs it; a binding then says what
 * setting is missing.
 */
#ifndef TIDE_BIND_SERVICES_H
#define TIDE_BIND_SERVICES_H

#include <uv.h>

#include "base/log.h"
#include "base/metrics.h"
#include "blob/blob.h"
#include "http/client.h"
#include "loop/pool.h"
#include "mail/mail.h"
#include "queue/queue.h"
#include "script/budget.h"
#include "sql/sql.h"

struct tide_coverage;
struct tide_timers;

struct tide_services {
    uv_loop_t *loop;
    struct tide_timers *timers;     /* those of a spec's bundles, or NULL (loop/timer.h) */
    struct tide_coverage *coverage; /* the lines of them that run, or NULL (script/coverage.h) */
    const struct tide_log *log;
    struct tide_metrics *metrics;
    struct tide_sql_db *sql;
    struct tide_queue_broker *queue;
    struct tide_blob_store *blob;
    struct tide_mailer *mail;
    struct tide_http_client *http;
    struct tide_pool *crypto;   /* password hashing */
    struct tide_pool *plugins;  /* functions of plugins in C; NULL: none is listed */
    struct tide_budget *budget; /* of the scripts */
    const char *media_helper;   /* path of tidemill-media, or NULL: media/media.h's default */
};

#endif
