#include "settings/settings.h"

#include <assert.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "settings/load.h"

#define MAX_FILE (1 << 20)
#define MAX_EXPORT (16 << 20)

void tide_settings_refuse_open(struct tide_settings_load *load, const char *origin)
{
    load->failed = true;
    tide_buf_printf(load->report, "%s: ", origin);
}

void tide_settings_refuse(struct tide_settings_load *load, const char *origin, const char *fmt, ...)
{
    char message[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    tide_settings_refuse_open(load, origin);
    tide_buf_printf(load->report, "%s\n", message);
}

void tide_settings_put(struct tide_settings_load *load, const struct tide_setting *setting, char *text,
                       const char *origin)
{
    size_t i = (size_t)(setting - tide_settings_table);

    free(load->texts[i]);
    load->texts[i] = text;
    snprintf(load->origins[i], sizeof load->origins[i], "%s", origin);
}

void tide_settings_put_extra(struct tide_settings_load *load, const char *bundle, const char *key, char *text,
                             const char *origin)
{
    struct tide_settings_extra *grown = realloc(load->extras, (load->extra_count + 1) * sizeof *grown),
                               *extra;

    if (!grown) {
        free(text);
        tide_settings_refuse(load, origin, "out of memory");
        return;
    }
    load->extras = grown;
    extra = &grown[load->extra_count++];
    snprintf(extra->bundle, sizeof extra->bundle, "%s", bundle);
    snprintf(extra->key, sizeof extra->key, "%s", key);
    snprintf(extra->origin, sizeof extra->origin, "%s", origin);
    extra->text = text;
}

/* ---- the file ---- */

void tide_settings_file_origin(const struct tide_settings_load *load, const char *name,
                               char origin[TIDE_ORIGIN])
{
    int line = tide_document_line(load->source, load->source_len, name);

    if (line)
        snprintf(origin, TIDE_ORIGIN, "%s:%d: %s", load->path, line, name);
    else
        snprintf(origin, TIDE_ORIGIN, "%s: %s", load->path, name);
}

static void refuse_unknown(struct tide_settings_load *load, const char *name)
{
    int line = tide_document_line(load->source, load->source_len, name);

    load->failed = true;
    tide_buf_puts(load->report, load->path);
    if (line)
        tide_buf_printf(load->report, ":%d", line);
    tide_buf_printf(load->report, ": unknown setting '%s'", name);
    tide_setting_unknown(name, load->report);
}

static void take_scalar(struct tide_settings_load *load, const struct tide_setting *setting,
                        const struct tide_node *node)
{
    char origin[TIDE_ORIGIN];
    struct tide_buf text, why;

    tide_buf_init(&text, MAX_FILE);
    tide_buf_init(&why, 1024);
    tide_settings_file_origin(load, setting->name, origin);
    if (tide_setting_text(setting, node, &text, &why)) {
        tide_buf_putc(&text, '\0');
        tide_settings_put(load, setting, tide_buf_take(&text, NULL), origin);
    } else {
        tide_settings_refuse_open(load, origin);
        tide_buf_puts(load->report, why.data);
    }
    tide_buf_release(&text);
    tide_buf_release(&why);
}

static void take_table(struct tide_settings_load *load, const struct tide_node *table)
{
    char name[TIDE_ORIGIN];

    if (table->type != TIDE_NODE_TABLE || table->list) {
        tide_settings_file_origin(load, table->key, name);
        tide_settings_refuse(load, name, "expected a table, as in %s = { ... }; this is %s", table->key,
                             tide_node_type_name(table));
        return;
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct tide_node *node = &table->children[i];
        snprintf(name, sizeof name, "%s.%s", table->key, node->key);
        const struct tide_setting *setting = tide_setting_find(name);
        if (setting)
            take_scalar(load, setting, node);
        else if (strcmp(table->key, "listen") != 0) /* the listeners of bundles: bundles.c */
            refuse_unknown(load, name);
    }
}

static void take_root(struct tide_settings_load *load)
{
    if (load->root.list) {
        tide_settings_refuse(load, load->path,
                             "expected names, as in return { workers = 2 }; this is a list");
        return;
    }
    for (size_t i = 0; i < load->root.count; i++) {
        const struct tide_node *node = &load->root.children[i];
        const struct tide_setting *setting = tide_setting_find(node->key);
        if (setting)
            take_scalar(load, setting, node);
        else if (tide_setting_is_group(node->key))
            take_table(load, node);
        else if (strcmp(node->key, "bundles") != 0) {
            char name[160];
            bool table = node->type == TIDE_NODE_TABLE && !node->list && node->count > 0;
            snprintf(name, sizeof name, "%s%s%s", node->key, table ? "." : "",
                     table ? node->children[0].key : "");
            refuse_unknown(load, name);
        }
    }
}

/* Whether the environment or an option says where the bundles are. */
static bool names_scripts(const struct tide_settings_load *load)
{
    for (size_t i = 0; i < load->input->override_count; i++)
        if (strcmp(load->input->overrides[i].name, "scripts") == 0)
            return true;
    return tide_settings_env_get(load, "TIDEMILL_SCRIPTS") ||
           tide_settings_env_get(load, "TIDEMILL_SCRIPTS_FILE");
}

/* The first settings file there is, unless one is named; NULL: none. The installed one is of the installed
 * bundles: with others it is not read. */
static const char *choose_file(const struct tide_settings_load *load, char *installed, size_t size)
{
    const char *named =
        load->input->path ? load->input->path : tide_settings_env_get(load, "TIDEMILL_SETTINGS");

    if (named)
        return named;
    tide_settings_installed("scripts", installed, size);
    strncat(installed, "/tidemill.lua", size - strlen(installed) - 1);
    const char *candidates[] = {"tidemill.lua", "scripts/tidemill.lua", installed};
    size_t count = names_scripts(load) ? 2 : 3;

    for (size_t i = 0; i < count; i++)
        if (access(candidates[i], R_OK) == 0)
            return candidates[i];
    return NULL;
}

static void load_file(struct tide_settings_load *load)
{
    char installed[512];
    const char *path = choose_file(load, installed, sizeof installed);
    struct tide_err err;

    if (!path)
        return;
    load->path = strdup(path);
    load->source = tide_file_read(path, MAX_FILE, &load->source_len, &err);
    if (!load->path || !load->source) {
        tide_settings_refuse(load, "settings", "%s", load->path ? err.message : "out of memory");
        return;
    }
    if (tide_document_parse(load->source, load->source_len, path, &load->root, load->report))
        take_root(load);
    else
        load->failed = true;
}

/* ---- together ---- */

static bool keep_origins(struct tide_settings_load *load)
{
    struct tide_settings *settings = load->settings;
    bool ok = (settings->origins = calloc(tide_settings_count, sizeof *settings->origins)) != NULL;

    for (size_t i = 0; ok && i < tide_settings_count; i++)
        if (load->texts[i])
            ok = (settings->origins[i] = strdup(load->origins[i])) != NULL;
    return ok;
}

static void take_overrides(struct tide_settings_load *load)
{
    for (size_t i = 0; i < load->input->override_count; i++) {
        const struct tide_settings_override *o = &load->input->overrides[i];
        const struct tide_setting *setting = tide_setting_find(o->name);
        char *text = strdup(o->value);
        if (!text)
            tide_settings_refuse(load, o->option, "out of memory");
        else if (setting)
            tide_settings_put(load, setting, text, o->option);
        else {
            assert(strncmp(o->name, "listen.", 7) == 0);
            tide_settings_put_extra(load, o->name + 7, "", text, o->option);
        }
    }
}

static int64_t count_cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* Applies one setting's text, or its default with {data} filled in. `data` must be applied already then. */
static void apply_one(struct tide_settings_load *load, size_t i)
{
    const struct tide_setting *setting = &tide_settings_table[i];
    const char *text = load->texts[i], *hole;
    struct tide_buf fallback, why;

    tide_buf_init(&fallback, 8192);
    tide_buf_init(&why, 1024);
    if (!text && setting->fallback) {
        text = setting->fallback;
        hole = strstr(text, "{data}");
        if (hole && load->settings->data) {
            tide_buf_printf(&fallback, "%.*s%s%s", (int)(hole - text), text, load->settings->data, hole + 6);
            text = fallback.data;
        }
    }
    if (text && !tide_setting_apply(setting, text, load->settings, &why)) {
        tide_settings_refuse_open(load, load->texts[i] ? load->origins[i] : setting->name);
        tide_buf_puts(load->report, why.data);
    }
    tide_buf_release(&fallback);
    tide_buf_release(&why);
}

static void apply_all(struct tide_settings_load *load)
{
    apply_one(load, (size_t)(tide_setting_find("data") - tide_settings_table));
    for (size_t i = 0; i < tide_settings_count; i++)
        if (strcmp(tide_settings_table[i].name, "data") != 0)
            apply_one(load, i);
    if (load->settings->workers == 0)
        load->settings->workers = count_cores();
}

static void release_load(struct tide_settings_load *load)
{
    for (size_t i = 0; i < tide_settings_count; i++)
        free(load->texts[i]);
    for (size_t i = 0; i < load->extra_count; i++)
        free(load->extras[i].text);
    free(load->extras);
    free(load->selection);
    free(load->found);
    free(load->path);
    free(load->source);
    tide_node_release(&load->root);
}

bool tide_settings_load(struct tide_settings *settings, const struct tide_settings_input *input,
                        struct tide_buf *report)
{
    struct tide_settings_load load = {.settings = settings, .input = input, .report = report};

    memset(settings, 0, sizeof *settings);
    load_file(&load);
    tide_settings_env_known(&load);
    if (load.path)
        settings->path = strdup(load.path);
    if (!load.failed || load.root.key) { /* the file could be read: tell all that is wrong at once */
        tide_settings_find_scripts(&load);
        if (!input->engine_only) {
            tide_settings_find_bundles(&load);
            tide_settings_env_others(&load);
        }
        take_overrides(&load);
        apply_all(&load);
        if (!keep_origins(&load))
            tide_settings_refuse(&load, "settings", "out of memory");
        if (!input->engine_only) {
            tide_settings_find_plugins(&load);
            tide_settings_make_bundles(&load);
        }
    }
    release_load(&load);
    if (load.failed)
        tide_settings_release(settings);
    return !load.failed;
}

void tide_settings_release(struct tide_settings *settings)
{
    for (size_t i = 0; i < tide_settings_count; i++)
        if (tide_setting_is_text(&tide_settings_table[i]))
            free(*(char **)((char *)settings + tide_settings_table[i].offset));
    for (size_t i = 0; settings->origins && i < tide_settings_count; i++)
        free(settings->origins[i]);
    free(settings->origins);
    for (size_t i = 0; i < settings->bundle_count; i++) {
        free(settings->bundles[i].name);
        free(settings->bundles[i].directory);
        free(settings->bundles[i].listen);
        free(settings->bundles[i].settings_json);
    }
    free(settings->bundles);
    free(settings->path);
    free(settings->library);
    memset(settings, 0, sizeof *settings);
}

const struct tide_settings_bundle *tide_settings_bundle(const struct tide_settings *settings,
                                                        const char *name)
{
    for (size_t i = 0; i < settings->bundle_count; i++)
        if (strcmp(settings->bundles[i].name, name) == 0)
            return &settings->bundles[i];
    return NULL;
}

const char *tide_settings_origin(const struct tide_settings *settings, const char *name)
{
    const struct tide_setting *setting = tide_setting_find(name);
    const char *origin = settings->origins ? settings->origins[setting - tide_settings_table] : NULL;

    return origin ? origin : name;
}

const char *tide_settings_address(const struct tide_settings_bundle *bundle)
{
    return bundle->listen && strcmp(bundle->listen, "off") != 0 ? bundle->listen : NULL;
}

void tide_settings_no_address(const struct tide_settings_bundle *bundle, char *text, size_t size)
{
    char listen[64], key[64], variable[96];

    snprintf(listen, sizeof listen, "listen.%s", bundle->name);
    tide_setting_key(bundle->name, key, sizeof key);
    tide_setting_variable(listen, variable, sizeof variable);
    snprintf(text, size,
             "the bundle '%s' has routes but no address: set listen = { %s = \"127.0.0.1:8081\" } in the "
             "settings file or %s in the environment (\"off\": its routes are not served)",
             bundle->name, key, variable);
}

bool tide_settings_queue_is_external(const struct tide_settings *settings, const char *queue)
{
    size_t len = strlen(queue);

    for (const char *at = settings->external_queues; at && *at; at += strcspn(at, ",")) {
        at += *at == ',';
        if (strncmp(at, queue, len) == 0 && (at[len] == ',' || !at[len]))
            return true;
    }
    return false;
}

void tide_settings_log(const struct tide_settings *settings, struct tide_log *log, const char *process)
{
    tide_log_init(log, STDERR_FILENO, (enum tide_log_format)settings->log_format,
                  (enum tide_log_level)settings->log_level, process);
}
