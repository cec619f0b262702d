/* Where the listed plugins are. */
#include "settings/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PATH 1024
#define MAX_PLUGINS (64 * 1024) /* bytes of all their directories */

/* The default of plugin_path: the directory beside that of the bundles. */
static void beside_scripts(const char *scripts, char *path, size_t size)
{
    size_t len = strlen(scripts);

    while (len > 1 && scripts[len - 1] == '/')
        len--;
    while (len > 0 && scripts[len - 1] != '/')
        len--;
    snprintf(path, size, "%.*splugins", (int)len, scripts);
}

static bool is_name(const char *name)
{
    return strlen(name) < TIDE_BUNDLE_NAME && strspn(name, "abcdefghijklmnopqrstuvwxyz") > 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

static bool find(const char *directory, const char *name, struct tide_buf *out)
{
    char path[MAX_PATH];

    if (snprintf(path, sizeof path, "%s/%s/plugin.lua", directory, name) >= (int)sizeof path ||
        access(path, R_OK) != 0)
        return false;
    tide_buf_printf(out, "%s%s/%s", out->len ? ":" : "", directory, name);
    return true;
}

static void add(struct tide_settings_load *load, const char *name, const char *installed,
                struct tide_buf *out)
{
    const char *path = load->settings->plugin_path;
    const char *origin = load->origins[tide_setting_find("plugins") - tide_settings_table];

    if (!is_name(name))
        tide_settings_refuse(load, origin,
                             "'%.60s' can't be a plugin's name: a letter, then letters, digits or _, in "
                             "lower case, at most 31",
                             name);
    else if (!(path && find(path, name, out)) && !find(installed, name, out))
        tide_settings_refuse(load, origin,
                             "no plugin '%s': %s/%s/plugin.lua is missing, and so it is in %s\n  the setting "
                             "plugin_path names another directory",
                             name, path, name, installed);
}

void tide_settings_find_plugins(struct tide_settings_load *load)
{
    struct tide_settings *settings = load->settings;
    char beside[MAX_PATH], installed[MAX_PATH], *rest = NULL, *names = settings->plugins;
    struct tide_buf out;

    if (!names)
        return;
    settings->plugins = NULL;
    tide_buf_init(&out, MAX_PLUGINS);
    if (!settings->plugin_path && settings->scripts) {
        beside_scripts(settings->scripts, beside, sizeof beside);
        settings->plugin_path = strdup(beside);
    }
    if (settings->plugin_path && strchr(settings->plugin_path, ':'))
        tide_settings_refuse(load, "plugin_path", "a ':' in the path of plugins");
    tide_settings_installed("plugins", installed, sizeof installed);
    for (char *name = strtok_r(names, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
        add(load, name, installed, &out);
    free(names);
    settings->plugins = out.len ? tide_buf_take(&out, NULL) : NULL;
    tide_buf_release(&out);
}
