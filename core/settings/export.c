/* From one process to the next: name and value in turn, each ended by NUL. */
#include "settings/settings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings/table.h"

#define ORIGIN "origin:" /* before the name of a setting */

static void put(struct tide_buf *out, const char *name, const char *value)
{
    tide_buf_append(out, name, strlen(name) + 1);
    tide_buf_append(out, value ? value : "", value ? strlen(value) + 1 : 1);
}

bool tide_settings_export(const struct tide_settings *settings, struct tide_buf *out)
{
    put(out, "path", settings->path);
    put(out, "library", settings->library);
    for (size_t i = 0; i < tide_settings_count; i++) {
        tide_buf_append(out, tide_settings_table[i].name, strlen(tide_settings_table[i].name) + 1);
        tide_setting_print(&tide_settings_table[i], settings, out);
        tide_buf_append(out, "", 1);
        if (settings->origins && settings->origins[i]) {
            tide_buf_puts(out, ORIGIN);
            put(out, tide_settings_table[i].name, settings->origins[i]);
        }
    }
    for (size_t i = 0; i < settings->bundle_count; i++) {
        put(out, "bundle", settings->bundles[i].name);
        put(out, "bundle.directory", settings->bundles[i].directory);
        put(out, "bundle.listen", settings->bundles[i].listen);
        put(out, "bundle.settings", settings->bundles[i].settings_json);
    }
    return !out->overflow;
}

static bool set(char **field, const char *value)
{
    if (!*value)
        return true;
    *field = strdup(value);
    return *field != NULL;
}

static bool add_bundle(struct tide_settings *settings, const char *name)
{
    struct tide_settings_bundle *grown =
        realloc(settings->bundles, (settings->bundle_count + 1) * sizeof *settings->bundles);

    if (!grown)
        return false;
    settings->bundles = grown;
    memset(&grown[settings->bundle_count], 0, sizeof *grown);
    return set(&grown[settings->bundle_count++].name, name);
}

static bool set_origin(struct tide_settings *settings, const char *name, const char *value)
{
    const struct tide_setting *setting = tide_setting_find(name);

    if (!settings->origins)
        settings->origins = calloc(tide_settings_count, sizeof *settings->origins);
    return setting && settings->origins && set(&settings->origins[setting - tide_settings_table], value);
}

static bool take(struct tide_settings *settings, const char *name, const char *value)
{
    const struct tide_setting *setting = tide_setting_find(name);
    struct tide_settings_bundle *last =
        settings->bundle_count ? &settings->bundles[settings->bundle_count - 1] : NULL;

    if (setting)
        return tide_setting_restore(setting, value, settings);
    if (strncmp(name, ORIGIN, strlen(ORIGIN)) == 0)
        return set_origin(settings, name + strlen(ORIGIN), value);
    if (strcmp(name, "path") == 0)
        return set(&settings->path, value);
    if (strcmp(name, "library") == 0)
        return set(&settings->library, value);
    if (strcmp(name, "bundle") == 0)
        return add_bundle(settings, value);
    if (last && strcmp(name, "bundle.directory") == 0)
        return set(&last->directory, value);
    if (last && strcmp(name, "bundle.listen") == 0)
        return set(&last->listen, value);
    return last && strcmp(name, "bundle.settings") == 0 && set(&last->settings_json, value);
}

bool tide_settings_import(struct tide_settings *settings, const char *data, size_t len, struct tide_err *err)
{
    const char *end = data + len;

    memset(settings, 0, sizeof *settings);
    while (data < end) {
        const char *name = data, *value = memchr(data, '\0', (size_t)(end - data));
        const char *next = value ? memchr(value + 1, '\0', (size_t)(end - value - 1)) : NULL;
        if (!next || !take(settings, name, value + 1)) {
            tide_settings_release(settings);
            return tide_err_set(err, TIDE_ERR_INTERNAL, false, "settings from the supervisor are malformed");
        }
        data = next + 1;
    }
    return true;
}

bool tide_settings_receive(struct tide_settings *settings, int fd, struct tide_err *err)
{
    struct stat st;
    void *data;
    bool ok;

    if (fstat(fd, &st) != 0 || st.st_size == 0)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "this command is for `tidemill run`, which starts it with its settings");
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "settings of the supervisor can't be read");
    ok = tide_settings_import(settings, data, (size_t)st.st_size, err);
    munmap(data, (size_t)st.st_size);
    close(fd);
    return ok;
}
