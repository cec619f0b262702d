/*
 * A bundle as the engine runs it: loaded from its directory into a state of its own, asked what it declares,
 * then started: its routes answer requests, its consumers take messages, its timers fire. Loop thread only.
 */
#ifndef TIDE_BIND_BUNDLE_H
#define TIDE_BIND_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/finding.h"
#include "bind/services.h"
#include "http/server.h"
#include "script/content.h"

struct tide_bundle;
struct tide_state;

struct tide_bundle_config {
    const char *name;             /* "gateway": also the directory's name */
    const char *directory;        /* DIR with init.lua */
    const char *library;          /* scripts/lib, or NULL */
    const char *plugins;          /* directories of those that are listed, ':' between, or NULL */
    const char *settings_json;    /* the bundle's table in the settings, as a JSON object; secrets and
                                     environment merged in */
    const char *settings_path;    /* for errors: "tidemill.lua" */
    const char *data_dir;         /* where generated secrets are kept, 0600; NULL: they are not kept */
    size_t memory_max;            /* bytes; 0: default */
    bool debug_headers;           /* answers tell the generation */
    bool unconfined;              /* no sandbox and no init.lua: only for the spec runner's own state */
    struct tide_content *content; /* taken over, even on failure; NULL: it is read from the directories */
    const struct tide_services *services; /* outlives the bundle */
};

/* Loads and runs the declarations; nothing is started. NULL: `findings` tell the author what is wrong. */
struct tide_bundle *tide_bundle_load(const struct tide_bundle_config *config, struct tide_findings *findings);
/* The bundle must be idle, or its tasks are ended (messages are handed back to the queue). */
void tide_bundle_free(struct tide_bundle *bundle);

/* Starts consumers and timers. `first` is true in exactly one worker of the engine: timers (`every`) run only
 * there. */
bool tide_bundle_start(struct tide_bundle *bundle, bool first, struct tide_err *err);
/* No new messages and timers; those in flight go on. */
void tide_bundle_drain(struct tide_bundle *bundle);

/* Its timers (tide.every): how many, the interval of one, and a run of its handler now, beside its interval;
 * one that is busy is left alone. */
size_t tide_bundle_timers(const struct tide_bundle *bundle);
int64_t tide_bundle_timer_ms(const struct tide_bundle *bundle, size_t index);
void tide_bundle_tick(struct tide_bundle *bundle, size_t index);
/* Ends all tasks: requests are answered 503, messages handed back. It is idle when that is through. */
void tide_bundle_end(struct tide_bundle *bundle);
/* Requests, messages and timers in flight. */
size_t tide_bundle_in_flight(const struct tide_bundle *bundle);
/* Tasks that somebody waits for: of requests and calls. */
size_t tide_bundle_asked(const struct tide_bundle *bundle);

/* The handler for this bundle's listener (http/server.h): routes, limits, errors, logs, metrics. */
void tide_bundle_http_handler(struct tide_bundle *bundle, struct tide_http_handler *handler);
bool tide_bundle_has_routes(const struct tide_bundle *bundle);

struct tide_declaration {
    enum {
        TIDE_DECLARED_ROUTE,
        TIDE_DECLARED_CONSUMER,
        TIDE_DECLARED_PUBLISHER, /* of a queue that the bundle itself does not consume */
        TIDE_DECLARED_TIMER,
        TIDE_DECLARED_UPSTREAM,
        TIDE_DECLARED_BUCKET
    } type;
    const char *name; /* "GET /download", "video", "1h", "http://127.0.0.1:5000", "mp3s" */
    const char *file; /* of the handler or of the declaration */
    int line;
};
size_t tide_bundle_declarations(const struct tide_bundle *bundle, const struct tide_declaration **list);

/* Calls require(module)[function](args) in a task. `args` is a JSON array. cb runs once, perhaps inside the
 * call: with what the function returned as JSON (during the callback), or NULL and err. Codes as the script's
 * failure. */
typedef void tide_bundle_call_cb(void *arg, const char *result_json, const struct tide_err *err);
void tide_bundle_call_start(struct tide_bundle *bundle, const char *module, const char *function,
                            const char *args_json, tide_bundle_call_cb *cb, void *arg);
/* The same, and runs the loop until it is over. For the command line: nothing else may run on that loop. */
TIDE_WARN_UNUSED bool tide_bundle_call(struct tide_bundle *bundle, const char *module, const char *function,
                                       const char *args_json, struct tide_buf *result_json,
                                       struct tide_err *err);

const char *tide_bundle_name(const struct tide_bundle *bundle);
const char *tide_bundle_generation(const struct tide_bundle *bundle); /* hash of its content, 12 hex digits */
struct tide_state *tide_bundle_state(const struct tide_bundle *bundle);

#endif
