/*
 * The settings of one installation: from the command line, the environment (TIDEMILL_*), a Lua file
 * (document.h) and defaults, in this order of precedence. One table (table.c) names every
 * setting with its type, default and meaning; parsing, errors and `tidemill help settings` come from it.
 * Unknown or malformed settings fail the load, and `report` tells each with its file and line, or its
 * variable, and what is allowed.
 *
 * The supervisor loads once; workers get its result (tide_settings_export) and read neither file nor
 * environment, so that all run with the same. Plain data after the load; any thread.
 */
#ifndef TIDE_SETTINGS_SETTINGS_H
#define TIDE_SETTINGS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"

#define TIDE_SETTINGS_KEEP_MAX 20

struct tide_settings_bundle {
    char *name;
    char *directory;
    char *listen;        /* "host:port"; "off"; NULL: nobody said where */
    char *settings_json; /* its own settings, a JSON object: checked by the bundle */
};

enum tide_settings_watch { TIDE_SETTINGS_WATCH_ON, TIDE_SETTINGS_WATCH_POLL, TIDE_SETTINGS_WATCH_OFF };
enum tide_settings_gate { TIDE_SETTINGS_GATE_OFF, TIDE_SETTINGS_GATE_SPECS };
enum tide_settings_switch { TIDE_SETTINGS_ON, TIDE_SETTINGS_OFF };

struct tide_settings {
    char *path;        /* of the settings file; NULL: there is none */
    char *scripts;     /* directory of the bundles */
    char *library;     /* <scripts>/lib; NULL: there is none */
    char *plugins;     /* directories of the listed ones, ':' between; NULL: none */
    char *plugin_path; /* directory of plugins; NULL: there is none */
    char *data;
    char *sql, *queue, *blob, *mail; /* URLs */
    char *external_queues;           /* "a,b"; NULL: none */
    char *mail_from;
    char *admin;        /* "host:port", NULL: off */
    char *media_helper; /* NULL: media/media.h's default */
    int64_t migrate;    /* enum tide_settings_switch */
    int64_t workers;
    int64_t drain_delay_ms, grace_ms;
    int64_t debug_headers;               /* enum tide_settings_switch */
    int64_t watch;                       /* enum tide_settings_watch */
    int64_t reload_signal, reload_admin; /* enum tide_settings_switch */
    int64_t poll_ms;                     /* 0: off */
    int64_t drain_timeout_ms;
    int64_t keep; /* generations, 0 to TIDE_SETTINGS_KEEP_MAX */
    int64_t gate; /* enum tide_settings_gate */
    int64_t gate_timeout_ms;
    int64_t log_format; /* enum tide_log_format */
    int64_t log_level;  /* enum tide_log_level */
    int64_t head_bytes, body_bytes, connections, connections_per_address, head_timeout_ms, idle_timeout_ms,
        min_rate;
    int64_t script_memory, script_cpu_ms;
    char **origins; /* of the table's settings: "tidemill.lua:7: workers"; NULL: the default.
                       tide_settings_origin */
    struct tide_settings_bundle *bundles; /* those to run, by name */
    size_t bundle_count;
};

/* An option of the command line that sets a setting. */
struct tide_settings_override {
    const char *name; /* "workers", "listen.gateway" */
    const char *value;
    const char *option; /* for errors: "--workers" */
};

struct tide_settings_input {
    const char *path;         /* of the file; NULL: the first of those named in settings.c that exists */
    char *const *environment; /* "NAME=value", ended by NULL; NULL: none */
    const struct tide_settings_override *overrides;
    size_t override_count;
    const char *const *bundles; /* only these (--bundle); 0: all of the settings */
    size_t bundle_count;
    bool engine_only; /* what is said of bundles and plugins is not looked at; none is there */
};

/* False: report has one or more lines for the reader; nothing is held. */
TIDE_WARN_UNUSED bool tide_settings_load(struct tide_settings *settings,
                                         const struct tide_settings_input *input, struct tide_buf *report);
void tide_settings_release(struct tide_settings *settings);

/* The whole in bytes, for another process of the same executable. They hold secrets: never to a log or a
 * file. */
TIDE_WARN_UNUSED bool tide_settings_export(const struct tide_settings *settings, struct tide_buf *out);
TIDE_WARN_UNUSED bool tide_settings_import(struct tide_settings *settings, const char *data, size_t len,
                                           struct tide_err *err);
/* From a memory file that another process made of them; takes fd over. */
TIDE_WARN_UNUSED bool tide_settings_receive(struct tide_settings *settings, int fd, struct tide_err *err);

const struct tide_settings_bundle *tide_settings_bundle(const struct tide_settings *settings,
                                                        const char *name);
/* Who set it, for messages: the file with its line, or the variable; the setting's name when nobody did. */
const char *tide_settings_origin(const struct tide_settings *settings, const char *name);
/* Whether another program is said to consume it. */
bool tide_settings_queue_is_external(const struct tide_settings *settings, const char *queue);
/* Where the bundle listens, or NULL. */
const char *tide_settings_address(const struct tide_settings_bundle *bundle);
/* A bundle that listens elsewhere than it usually does, when a URL that another one calls names that usual
 * place: another engine's, perhaps. NULL: none. */
const struct tide_settings_bundle *tide_settings_moved(const struct tide_settings *settings, const char *url);
/* What to tell of a bundle that has routes when nobody said where it listens: what is missing, and how to
 * give it. Cut off at size. */
void tide_settings_no_address(const struct tide_settings_bundle *bundle, char *text, size_t size);
void tide_settings_log(const struct tide_settings *settings, struct tide_log *log, const char *process);

/* Appends the table of all settings, for people. */
void tide_settings_help(struct tide_buf *out);
/* Appends what that says of one setting ("reload.gate"), or of those of a table ("reload"). False: there is
 * neither. */
bool tide_settings_help_of(const char *name, struct tide_buf *out);

#endif
