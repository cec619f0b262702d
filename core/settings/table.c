#include "settings/table.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "base/unit.h"

#define DAY_MS (24LL * 3600 * 1000)
#define GIB (1LL << 30)

static const char *const formats[] = {"auto", "json", "human", NULL};
static const char *const watches[] = {"on", "poll", "off", NULL};
static const char *const gates[] = {"off", "specs", NULL};
static const char *const switches[] = {"on", "off", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};

#define AT(member) offsetof(struct tide_settings, member)

const struct tide_setting tide_settings_table[] = {
    {"listen.admin", TIDE_SETTING_ADDRESS, AT(admin), "127.0.0.1:9090", "\"127.0.0.1:9090\"",
     "address of /healthz, /readyz and /metrics; \"off\": none", 0, 0, NULL},
    {"data", TIDE_SETTING_TEXT, AT(data), "data", "\"/var/lib/tidemill\"",
     "directory of the embedded backends and of generated secrets", 0, 0, NULL},
    {"sql", TIDE_SETTING_TEXT, AT(sql), "sqlite:{data}/auth.db", "\"sqlite:data/auth.db\"",
     "URL of the database", 0, 0, NULL},
    {"migrate", TIDE_SETTING_CHOICE, AT(migrate), "on", "\"off\"",
     "run applies the bundles' schema files; off: it only starts when `tidemill migrate` has", 0, 0,
     switches},
    {"queue", TIDE_SETTING_TEXT, AT(queue), "sqlite:{data}/queue.db", "\"sqlite:data/queue.db\"",
     "URL of the message queues", 0, 0, NULL},
    {"external_queues", TIDE_SETTING_NAMES, AT(external_queues), NULL, "{ \"billing\" }",
     "queues that another program consumes: `tidemill check` doesn't miss a consumer here", 0, 0, NULL},
    {"blob", TIDE_SETTING_TEXT, AT(blob), "file:{data}/blobs", "\"file:data/blobs\"",
     "URL of the file storage", 0, 0, NULL},
    {"mail", TIDE_SETTING_TEXT, AT(mail), "maildir:{data}/mail", "\"maildir:data/mail\"",
     "URL of where e-mail is handed over", 0, 0, NULL},
    {"mail_from", TIDE_SETTING_TEXT, AT(mail_from), "tidemill@localhost", "\"MP3 <mp3@example.com>\"",
     "sender of e-mails that name none", 0, 0, NULL},
    {"workers", TIDE_SETTING_COUNT, AT(workers), NULL, "4", "worker processes; default: one per core", 1, 256,
     NULL},
    {"drain_delay", TIDE_SETTING_DURATION, AT(drain_delay_ms), "0s", "\"5s\"",
     "how long a stop still takes connections, no longer ready, until those who send them know", 0, DAY_MS,
     NULL},
    {"grace", TIDE_SETTING_DURATION, AT(grace_ms), "30s", "\"30s\"",
     "how long a stop then waits for requests and messages in flight", 0, DAY_MS, NULL},
    {"reload.watch", TIDE_SETTING_CHOICE, AT(watch), "on", "\"off\"",
     "a bundle whose files change is reloaded: at once and by looking now and then; poll: by looking alone; "
     "off: when it is asked for",
     0, 0, watches},
    {"reload.poll", TIDE_SETTING_DURATION, AT(poll_ms), "10s", "\"10s\"",
     "how often reload.watch looks; 0s: never, what file systems don't tell is not noticed", 0, DAY_MS, NULL},
    {"reload.signal", TIDE_SETTING_CHOICE, AT(reload_signal), "on", "\"off\"", "SIGHUP reloads all bundles",
     0, 0, switches},
    {"reload.admin", TIDE_SETTING_CHOICE, AT(reload_admin), "on", "\"off\"",
     "POST /-/reload reloads, and so `tidemill reload` does", 0, 0, switches},
    {"reload.drain_timeout", TIDE_SETTING_DURATION, AT(drain_timeout_ms), "30m", "\"30m\"",
     "how long requests and messages of the generation before may still run", 0, DAY_MS, NULL},
    {"reload.keep", TIDE_SETTING_COUNT, AT(keep), "5", "5",
     "generations of a bundle that `tidemill reload --to` can go back to", 0, TIDE_SETTINGS_KEEP_MAX, NULL},
    {"reload.gate", TIDE_SETTING_CHOICE, AT(gate), "off", "\"specs\"",
     "specs: a new generation is run when the bundle's own specs have passed on it", 0, 0, gates},
    {"reload.gate_timeout", TIDE_SETTING_DURATION, AT(gate_timeout_ms), "2m", "\"2m\"",
     "for these specs; over it the generation is refused", 100, 3600 * 1000, NULL},
    {"log.format", TIDE_SETTING_CHOICE, AT(log_format), "auto", "\"json\"",
     "one line an event; auto: human on a terminal, JSON otherwise", 0, 0, formats},
    {"log.level", TIDE_SETTING_CHOICE, AT(log_level), "info", "\"info\"", "events below it are dropped", 0, 0,
     levels},
    {"debug_headers", TIDE_SETTING_CHOICE, AT(debug_headers), "off", "\"on\"",
     "answers have X-Tidemill-Generation, the bundle's generation", 0, 0, switches},
    {"limits.head", TIDE_SETTING_SIZE, AT(head_bytes), "16KiB", "\"16KiB\"",
     "request line and headers; over it 431", 1024, 1 << 20, NULL},
    {"limits.body", TIDE_SETTING_SIZE, AT(body_bytes), "1MiB", "\"1MiB\"",
     "body of a request whose route sets no limit of its own; over it 413", 0, 1024 * GIB, NULL},
    {"limits.connections", TIDE_SETTING_COUNT, AT(connections), "4096", "4096",
     "open connections of one listener in one worker", 1, 1000000, NULL},
    {"limits.connections_per_address", TIDE_SETTING_COUNT, AT(connections_per_address), "1024", "1024",
     "of these, from one address", 1, 1000000, NULL},
    {"limits.head_timeout", TIDE_SETTING_DURATION, AT(head_timeout_ms), "10s", "\"10s\"",
     "for a request's head to be complete; 408", 100, DAY_MS, NULL},
    {"limits.idle_timeout", TIDE_SETTING_DURATION, AT(idle_timeout_ms), "60s", "\"60s\"",
     "of a connection without a request", 100, DAY_MS, NULL},
    {"limits.min_rate", TIDE_SETTING_SIZE, AT(min_rate), "1KiB", "\"1KiB\"",
     "bytes a second of a body; slower clients are cut off", 0, GIB, NULL},
    {"limits.script_memory", TIDE_SETTING_SIZE, AT(script_memory), "256MiB", "\"256MiB\"",
     "Lua memory of one bundle in one worker", 4 << 20, 64 * GIB, NULL},
    {"limits.script_cpu", TIDE_SETTING_DURATION, AT(script_cpu_ms), "1s", "\"1s\"",
     "CPU time of a handler between two waits, unless its option cpu says otherwise; 0s: any", 0, DAY_MS,
     NULL},
    {"scripts", TIDE_SETTING_TEXT, AT(scripts), NULL, "\"/etc/tidemill/scripts\"",
     "directory of the bundles; default: the settings file's if it has bundles, ./scripts, the installed "
     "ones",
     0, 0, NULL},
    {"plugins", TIDE_SETTING_NAMES, AT(plugins), NULL, "{ \"webhook\" }",
     "plugins that bundles may require; as a variable with ',' between", 0, 0, NULL},
    {"plugin_path", TIDE_SETTING_TEXT, AT(plugin_path), NULL, "\"/etc/tidemill/plugins\"",
     "directory of plugins, before the installed ones; default: the directory plugins beside `scripts`", 0, 0,
     NULL},
    {"media_helper", TIDE_SETTING_TEXT, AT(media_helper), NULL, "\"/usr/libexec/tidemill-media\"",
     "the transcoder's executable; default: beside tidemill", 0, 0, NULL},
};

const size_t tide_settings_count = sizeof tide_settings_table / sizeof tide_settings_table[0];
_Static_assert(sizeof tide_settings_table / sizeof tide_settings_table[0] <= TIDE_SETTINGS,
               "raise TIDE_SETTINGS");

const struct tide_setting *tide_setting_find(const char *name)
{
    for (size_t i = 0; i < tide_settings_count; i++)
        if (strcmp(tide_settings_table[i].name, name) == 0)
            return &tide_settings_table[i];
    return NULL;
}

bool tide_setting_is_group(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < tide_settings_count; i++)
        if (strncmp(tide_settings_table[i].name, name, len) == 0 && tide_settings_table[i].name[len] == '.')
            return true;
    return false;
}

static bool is_in(const char *word, char words[][32], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i], word) == 0)
            return true;
    return false;
}

/* The names one level below `group` ("" for the top). */
static size_t names_of(const char *group, size_t len, char words[][32])
{
    size_t count = 0;

    for (size_t i = 0; i < tide_settings_count; i++) {
        const char *name = tide_settings_table[i].name;
        char word[32];
        if (len && (strncmp(name, group, len) != 0 || name[len] != '.'))
            continue;
        name += len ? len + 1 : 0;
        snprintf(word, sizeof word, "%.*s", (int)strcspn(name, "."), name);
        if (!is_in(word, words, count))
            memcpy(words[count++], word, sizeof word);
    }
    if (len == 0)
        strcpy(words[count++], "bundles");
    return count;
}

/* "watch": of which group it is; NULL: of none. */
static const char *group_with(const char *word, size_t *len)
{
    for (size_t i = 0; i < tide_settings_count; i++) {
        const char *name = tide_settings_table[i].name, *dot = strchr(name, '.');

        *len = dot ? (size_t)(dot - name) : 0;
        if (dot && strcmp(dot + 1, word) == 0)
            return name;
    }
    return NULL;
}

void tide_setting_unknown(const char *name, struct tide_buf *report)
{
    const char *dot = strrchr(name, '.'), *nearest, *within;
    const char *pointers[TIDE_SETTINGS + 1] = {NULL};
    char words[TIDE_SETTINGS + 1][32], group[64];
    size_t len = dot ? (size_t)(dot - name) : 0, count, within_len;

    snprintf(group, sizeof group, "%.*s", (int)len, name);
    if (dot && !tide_setting_is_group(group)) { /* listn.gateway: the first word is the one at fault */
        len = 0;
        snprintf(group, sizeof group, "%.*s", (int)strcspn(name, "."), name);
        name = group;
        dot = NULL;
    }
    count = names_of(group, len, words);
    for (size_t i = 0; i < count; i++)
        pointers[i] = words[i];
    nearest = tide_suggest(dot ? dot + 1 : name, pointers, count);
    within = dot ? NULL : group_with(name, &within_len);
    if (within)
        tide_buf_printf(report, " (did you mean %.*s = { %s = ... }?)", (int)within_len, within, name);
    else if (nearest)
        tide_buf_printf(report, " (did you mean '%.*s%s%s'?)", (int)len, group, len ? "." : "", nearest);
    tide_buf_printf(report, "\n  known%s%.*s: ", len ? " in " : " settings", (int)len, group);
    for (size_t i = 0; i < count; i++)
        tide_buf_printf(report, "%s%s", i ? ", " : "", words[i]);
    tide_buf_putc(report, '\n');
}

bool tide_setting_is_text(const struct tide_setting *setting)
{
    return setting->type == TIDE_SETTING_TEXT || setting->type == TIDE_SETTING_ADDRESS ||
           setting->type == TIDE_SETTING_NAMES;
}

static const char *expected(const struct tide_setting *setting)
{
    switch (setting->type) {
    case TIDE_SETTING_TEXT:
        return "a string";
    case TIDE_SETTING_ADDRESS:
        return "an address";
    case TIDE_SETTING_NAMES:
        return "a list of names";
    case TIDE_SETTING_COUNT:
        return "a whole number";
    case TIDE_SETTING_DURATION:
        return "a duration in words";
    case TIDE_SETTING_SIZE:
        return "a size in words";
    case TIDE_SETTING_CHOICE:
        return "a word";
    }
    assert(!"no such type");
    return "";
}

/* As it is written in the file: "as in reload = { watch = "off" }". */
static void put_example(const struct tide_setting *setting, struct tide_buf *out)
{
    const char *dot = strchr(setting->name, '.');

    if (dot)
        tide_buf_printf(out, "as in %.*s = { %s = %s }", (int)(dot - setting->name), setting->name, dot + 1,
                        setting->example);
    else
        tide_buf_printf(out, "as in %s = %s", setting->name, setting->example);
}

static bool put_names(const struct tide_node *list, struct tide_buf *out)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct tide_node *name = &list->children[i];

        if (name->type != TIDE_NODE_STRING || !*name->string || strchr(name->string, ','))
            return false;
        tide_buf_printf(out, "%s%s", i ? "," : "", name->string);
    }
    return true;
}

bool tide_setting_text(const struct tide_setting *setting, const struct tide_node *node, struct tide_buf *out,
                       struct tide_buf *report)
{
    bool count = setting->type == TIDE_SETTING_COUNT;

    if (node->type == TIDE_NODE_STRING && !count)
        return tide_buf_puts(out, node->string);
    if (node->type == TIDE_NODE_TABLE && (node->list || node->count == 0) &&
        setting->type == TIDE_SETTING_NAMES && put_names(node, out))
        return true;
    if (node->type == TIDE_NODE_BOOL && !node->boolean && setting->type == TIDE_SETTING_ADDRESS)
        return tide_buf_puts(out, "off");
    if (node->type == TIDE_NODE_NUMBER && count && node->number == (double)(int64_t)node->number)
        return tide_buf_printf(out, "%lld", (long long)node->number);
    tide_buf_printf(report, "expected %s, ", expected(setting));
    put_example(setting, report);
    tide_buf_printf(report, "; this is %s\n", tide_node_type_name(node));
    return false;
}

bool tide_setting_is_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    char *end;
    long port;

    if (!colon || colon == text || !isdigit((unsigned char)colon[1]) || strpbrk(text, " /\t\r\n"))
        return false;
    if (text[0] == '[' ? colon[-1] != ']' : memchr(text, ':', (size_t)(colon - text)) != NULL)
        return false;
    port = strtol(colon + 1, &end, 10);
    return !*end && port <= 65535;
}

static bool parse_number(const struct tide_setting *setting, const char *text, int64_t *value,
                         struct tide_err *err)
{
    char *end;

    switch (setting->type) {
    case TIDE_SETTING_DURATION:
        return tide_unit_duration(text, value, err);
    case TIDE_SETTING_SIZE:
        return tide_unit_size(text, value, err);
    case TIDE_SETTING_COUNT:
        errno = 0;
        *value = strtoll(text, &end, 10);
        if (errno || end == text || *end)
            return tide_err_set(err, TIDE_ERR_INVALID, false, "'%.40s' is not a whole number", text);
        return true;
    default:
        for (*value = 0; setting->choices[*value]; ++*value)
            if (strcmp(setting->choices[*value], text) == 0)
                return true;
        return tide_err_set(err, TIDE_ERR_INVALID, false, "'%.40s' is not one of its words", text);
    }
}

static void refuse_range(const struct tide_setting *setting, struct tide_buf *report)
{
    const char *unit = setting->type == TIDE_SETTING_DURATION ? " ms"
                       : setting->type == TIDE_SETTING_SIZE   ? " bytes"
                                                              : "";

    tide_buf_printf(report, "allowed is %" PRId64 " to %" PRId64 "%s, ", setting->min, setting->max, unit);
    put_example(setting, report);
    tide_buf_putc(report, '\n');
}

static bool apply_number(const struct tide_setting *setting, const char *text, int64_t *field,
                         struct tide_buf *report)
{
    struct tide_err err;
    int64_t value;

    if (!parse_number(setting, text, &value, &err)) {
        tide_buf_printf(report, "%s, ", err.message);
        put_example(setting, report);
        for (size_t i = 0; setting->choices && setting->choices[i]; i++)
            tide_buf_printf(report, "%s%s", i ? ", " : "\n  allowed: ", setting->choices[i]);
        tide_buf_putc(report, '\n');
        return false;
    }
    if (setting->type != TIDE_SETTING_CHOICE && (value < setting->min || value > setting->max)) {
        refuse_range(setting, report);
        return false;
    }
    *field = value;
    return true;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

bool tide_setting_apply(const struct tide_setting *setting, const char *text, struct tide_settings *settings,
                        struct tide_buf *report)
{
    void *field = (char *)settings + setting->offset;
    char *copy = NULL;

    if (!tide_setting_is_text(setting))
        return apply_number(setting, text, field, report);
    if (setting->type == TIDE_SETTING_NAMES && !*text)
        return true;
    if (setting->type == TIDE_SETTING_ADDRESS && strcmp(text, "off") != 0 && !tide_setting_is_address(text)) {
        tide_buf_printf(report, "'%.60s' is not an address, ", text);
        put_example(setting, report);
        tide_buf_putc(report, '\n');
        return false;
    }
    if (!*text || has_control(text)) { /* the value may be a secret: it is not shown */
        tide_buf_printf(report, "%s, expected %s, ", *text ? "it has control characters" : "it is empty",
                        expected(setting));
        put_example(setting, report);
        tide_buf_putc(report, '\n');
        return false;
    }
    if (setting->type != TIDE_SETTING_ADDRESS || strcmp(text, "off") != 0) {
        copy = strdup(text);
        if (!copy)
            return tide_buf_puts(report, "out of memory\n"), false;
    }
    free(*(char **)field);
    *(char **)field = copy;
    return true;
}

void tide_setting_print(const struct tide_setting *setting, const struct tide_settings *settings,
                        struct tide_buf *out)
{
    const void *field = (const char *)settings + setting->offset;
    const char *text;

    if (!tide_setting_is_text(setting)) {
        tide_buf_printf(out, "%" PRId64, *(const int64_t *)field);
        return;
    }
    text = *(char *const *)field;
    tide_buf_puts(out, text ? text : "");
}

bool tide_setting_restore(const struct tide_setting *setting, const char *text,
                          struct tide_settings *settings)
{
    void *field = (char *)settings + setting->offset;

    if (!tide_setting_is_text(setting)) {
        *(int64_t *)field = strtoll(text, NULL, 10);
        return true;
    }
    return !*text || (*(char **)field = strdup(text)) != NULL;
}

void tide_setting_variable(const char *name, char *out, size_t size)
{
    int n = snprintf(out, size, "TIDEMILL_%s", name);

    for (int i = 0; i < n && (size_t)i < size - 1; i++)
        out[i] = isalnum((unsigned char)out[i]) ? (char)toupper((unsigned char)out[i]) : '_';
}

void tide_setting_key(const char *bundle, char *out, size_t size)
{
    snprintf(out, size, strchr(bundle, '-') ? "[\"%s\"]" : "%s", bundle);
}

static void describe(const struct tide_setting *setting, struct tide_buf *out)
{
    char variable[64];

    tide_setting_variable(setting->name, variable, sizeof variable);
    tide_buf_printf(out, "%-32s %s\n", setting->name, setting->doc);
    tide_buf_printf(out, "%-32s ", "");
    put_example(setting, out);
    tide_buf_printf(out, ", or %s%s%s\n", variable, setting->fallback ? "; default " : "",
                    setting->fallback ? setting->fallback : "");
    for (size_t j = 0; setting->choices && setting->choices[j]; j++)
        tide_buf_printf(out, "%s%s%s", j ? ", " : "                                 one of ",
                        setting->choices[j], setting->choices[j + 1] ? "" : "\n");
}

bool tide_settings_help_of(const char *name, struct tide_buf *out)
{
    size_t len = strlen(name);
    bool found = false;

    for (size_t i = 0; i < tide_settings_count; i++) {
        const char *other = tide_settings_table[i].name;
        if (strncmp(other, name, len) != 0 || (other[len] && other[len] != '.'))
            continue;
        describe(&tide_settings_table[i], out);
        found = true;
    }
    return found;
}

void tide_settings_help(struct tide_buf *out)
{
    tide_buf_puts(out,
                  "Settings come from options of the command line, the environment, the settings file "
                  "and defaults: the first\n"
                  "of these wins. Each variable also as ..._FILE: the name of a file that holds the "
                  "value (a mounted secret).\n"
                  "The file is -c PATH, $TIDEMILL_SETTINGS, ./tidemill.lua, ./scripts/tidemill.lua or "
                  "the installed one.\n"
                  "$TIDEMILL_MODULES is a directory of drivers that is looked into instead of the installed "
                  "one.\n\n");
    for (size_t i = 0; i < tide_settings_count; i++)
        describe(&tide_settings_table[i], out);
    tide_buf_puts(
        out,
        "listen.BUNDLE                    address of a bundle's routes\n"
        "                                 as in listen = { gateway = \"0.0.0.0:8080\" }, or "
        "TIDEMILL_LISTEN_GATEWAY; default for\n"
        "                                 gateway 127.0.0.1:8080, for auth 127.0.0.1:5000\n"
        "bundles.BUNDLE                   a bundle's own settings, or false: it is not run; all others in "
        "`scripts` are\n"
        "                                 as in bundles = { gateway = { max_upload = \"5GiB\" } }, or "
        "TIDEMILL_GATEWAY_MAX_UPLOAD;\n"
        "                                 TIDEMILL_BUNDLES=auth,gateway runs these alone\n");
}
