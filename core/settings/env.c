/* Settings from the environment: TIDEMILL_<NAME>, or TIDEMILL_<NAME>_FILE for what a file (a mounted secret)
 * holds. */
#include "base/file.h"
#include "settings/load.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"

#define PREFIX "TIDEMILL_"
#define MAX_SECRET (64 * 1024)
#define MAX_NAME 128

const char *tide_settings_env_get(const struct tide_settings_load *load, const char *name)
{
    size_t len = strlen(name);

    for (char *const *e = load->input->environment; e && *e; e++)
        if (strncmp(*e, name, len) == 0 && (*e)[len] == '=')
            return *e + len + 1;
    return NULL;
}

/* What a file holds, one newline at its end cut off. */
static char *read_secret(struct tide_settings_load *load, const char *variable, const char *path)
{
    struct tide_err err;
    size_t len;
    char *text = tide_file_read(path, MAX_SECRET, &len, &err);

    if (!text) {
        tide_settings_refuse(load, variable, "%s", err.message);
        return NULL;
    }
    if (memchr(text, '\0', len)) {
        tide_settings_refuse(load, variable, "%s: has a NUL byte", path);
        free(text);
        return NULL;
    }
    if (len && text[len - 1] == '\n')
        text[--len] = '\0';
    if (len && text[len - 1] == '\r')
        text[--len] = '\0';
    if (len > 0)
        return text;
    tide_settings_refuse(load, variable, "%s: the file is empty", path);
    free(text);
    return NULL;
}

/* The value of a variable or of the file it names, on the heap; NULL when neither is there or it was refused.
 */
static char *value_of(struct tide_settings_load *load, const char *variable, char origin[TIDE_ORIGIN])
{
    char file[MAX_NAME + 8];
    const char *direct = tide_settings_env_get(load, variable), *path;
    char *text;

    snprintf(file, sizeof file, "%s_FILE", variable);
    path = tide_settings_env_get(load, file);
    snprintf(origin, TIDE_ORIGIN, "%s", path ? file : variable);
    if (direct && path) {
        tide_settings_refuse(load, variable, "given together with %s: keep one of them", file);
        return NULL;
    }
    if (path)
        return read_secret(load, file, path);
    text = direct ? strdup(direct) : NULL;
    if (direct && !text)
        tide_settings_refuse(load, variable, "out of memory");
    return text;
}

void tide_settings_env_known(struct tide_settings_load *load)
{
    char variable[MAX_NAME], origin[TIDE_ORIGIN];

    for (size_t i = 0; i < tide_settings_count; i++) {
        tide_setting_variable(tide_settings_table[i].name, variable, sizeof variable);
        char *text = value_of(load, variable, origin);
        if (text)
            tide_settings_put(load, &tide_settings_table[i], text, origin);
    }
}

static bool is_known(const char *variable)
{
    char name[MAX_NAME];

    for (size_t i = 0; i < tide_settings_count; i++) {
        tide_setting_variable(tide_settings_table[i].name, name, sizeof name);
        if (strcmp(name, variable) == 0)
            return true;
    }
    return false;
}

/* Kubernetes sets TIDEMILL_SERVICE_HOST, TIDEMILL_PORT_8080_TCP_ADDR and so on in every pod of a namespace
 * that has a Service called tidemill, or tidemill-gateway: they are not settings. */
static bool is_service_link(const char *name, const char *value)
{
    size_t len = strlen(name);
    const char *port = strstr(name, "PORT_");

    if (len >= 12 && strcmp(name + len - 12, "SERVICE_HOST") == 0)
        return true;
    if (strstr(name, "SERVICE_PORT"))
        return true;
    if (len >= 4 && strcmp(name + len - 4, "PORT") == 0)
        return strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0;
    if (!port || !isdigit((unsigned char)port[5]))
        return false;
    port += 5 + strspn(port + 5, "0123456789");
    return strncmp(port, "_TCP", 4) == 0 || strncmp(port, "_UDP", 4) == 0 || strncmp(port, "_SCTP", 5) == 0;
}

/* The bundle whose name, written as in variables, `name` begins with, up to "_" or its end; the longest. */
static const char *bundle_of(const struct tide_settings_load *load, const char *name, size_t *len)
{
    const char *best = NULL;

    *len = 0;
    for (size_t i = 0; i < load->found_count; i++) {
        char variable[MAX_NAME];
        tide_setting_variable(load->found[i], variable, sizeof variable);
        const char *as = variable + strlen(PREFIX);
        size_t n = strlen(as);
        if (n > *len && strncmp(name, as, n) == 0 && (name[n] == '_' || !name[n])) {
            best = load->found[i];
            *len = n;
        }
    }
    return best;
}

static void refuse_variable(struct tide_settings_load *load, const char *variable)
{
    char names[TIDE_SETTINGS + 1][MAX_NAME];
    const char *pointers[TIDE_SETTINGS + 1], *nearest;
    size_t i;

    for (i = 0; i < tide_settings_count; i++) {
        tide_setting_variable(tide_settings_table[i].name, names[i], sizeof names[i]);
        pointers[i] = names[i] + strlen(PREFIX);
    }
    strcpy(names[i], "BUNDLES");
    pointers[i] = names[i];
    nearest = tide_suggest(variable + strlen(PREFIX), pointers, i + 1);
    tide_settings_refuse_open(load, variable);
    tide_buf_puts(load->report, "unknown setting in the environment");
    if (nearest)
        tide_buf_printf(load->report, " (did you mean " PREFIX "%s?)", nearest);
    tide_buf_puts(load->report,
                  "\n  known: " PREFIX " and the name in capitals (tidemill help settings), " PREFIX
                  "LISTEN_<BUNDLE> or " PREFIX "<BUNDLE>_<ITS SETTING>;");
    tide_buf_printf(load->report,
                    " bundles in %s:", load->settings->scripts ? load->settings->scripts : "scripts");
    for (i = 0; i < load->found_count; i++)
        tide_buf_printf(load->report, "%s%s", i ? ", " : " ", load->found[i]);
    tide_buf_puts(load->report, load->found_count ? "\n" : " none\n");
}

static void lower(const char *from, char *to, size_t size)
{
    size_t i;

    for (i = 0; from[i] && i < size - 1; i++)
        to[i] = (char)tolower((unsigned char)from[i]);
    to[i] = '\0';
}

/* `variable` has no _FILE at its end. */
static void take_other(struct tide_settings_load *load, const char *variable)
{
    const char *name = variable + strlen(PREFIX), *bundle;
    bool listen = strncmp(name, "LISTEN_", 7) == 0;
    char origin[TIDE_ORIGIN], key[64] = "";
    size_t len;

    if (strcmp(name, "BUNDLES") == 0) {
        free(load->selection);
        load->selection = value_of(load, variable, origin);
        return;
    }
    name += listen ? 7 : strncmp(name, "BUNDLES_", 8) == 0 ? 8 : 0;
    bundle = bundle_of(load, name, &len);
    if (!bundle || listen != !name[len] || (!listen && !name[len + 1])) {
        refuse_variable(load, variable);
        return;
    }
    if (!listen)
        lower(name + len + 1, key, sizeof key);
    char *text = value_of(load, variable, origin);
    if (text)
        tide_settings_put_extra(load, bundle, key, text, origin);
}

/* Variables that are read elsewhere: where the settings and the modules are. */
static bool is_for_others(const char *variable)
{
    return strcmp(variable, PREFIX "SETTINGS") == 0 || strcmp(variable, PREFIX "MODULES") == 0;
}

void tide_settings_env_others(struct tide_settings_load *load)
{
    for (char *const *e = load->input->environment; e && *e; e++) {
        const char *value = strchr(*e, '=');
        char variable[MAX_NAME];
        size_t len = value ? (size_t)(value - *e) : 0;
        if (strncmp(*e, PREFIX, strlen(PREFIX)) != 0 || len <= strlen(PREFIX))
            continue;
        if (len >= sizeof variable) {
            tide_settings_refuse(load, "environment", "the name of the variable %.60s... is too long", *e);
            continue;
        }
        snprintf(variable, sizeof variable, "%.*s", (int)len, *e);
        if (len > 5 && strcmp(variable + len - 5, "_FILE") == 0) {
            variable[len - 5] = '\0';
            if (tide_settings_env_get(load, variable) && !is_known(variable)) {
                continue; /* told with the other one */
            }
        }
        if (!is_for_others(variable) && !is_known(variable) &&
            !is_service_link(variable + strlen(PREFIX), value + 1))
            take_other(load, variable);
    }
}
