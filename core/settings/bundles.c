/* Which bundles run, where they are, where they listen, and their own settings. */
#include "settings/load.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/suggest.h"

#define MAX_PATH 1024
#define MAX_SETTINGS (1 << 20)

void tide_settings_installed(const char *what, char *path, size_t size)
{
    char exe[512];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

    exe[n > 0 ? n : 0] = '\0';
    for (int i = 0; i < 2; i++) { /* <prefix>/bin/tidemill */
        char *slash = strrchr(exe, '/');
        if (slash)
            *slash = '\0';
    }
    snprintf(path, size, "%s/share/tidemill/%s", exe, what);
}

static bool is_name(const char *name)
{
    size_t len = strlen(name);

    return islower((unsigned char)name[0]) && len < TIDE_BUNDLE_NAME &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

static bool has_init(const char *directory, const char *name)
{
    char path[MAX_PATH];

    snprintf(path, sizeof path, "%s/%s/init.lua", directory, name);
    return access(path, R_OK) == 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The bundles in a directory, sorted; how many. *names is freed by the caller. */
static size_t scan(const char *directory, char (**names)[TIDE_BUNDLE_NAME])
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    size_t count = 0;

    *names = NULL;
    while (dir && (entry = readdir(dir))) {
        if (!is_name(entry->d_name) || strcmp(entry->d_name, "lib") == 0 ||
            !has_init(directory, entry->d_name))
            continue;
        char(*grown)[TIDE_BUNDLE_NAME] = realloc(*names, (count + 1) * sizeof **names);
        if (!grown)
            break;
        *names = grown;
        memcpy(grown[count++], entry->d_name, strlen(entry->d_name) + 1); /* is_name: it fits */
    }
    if (dir)
        closedir(dir);
    if (count)
        qsort(*names, count, sizeof **names, compare_names);
    return count;
}

static bool has_bundles(const char *directory)
{
    char(*names)[TIDE_BUNDLE_NAME];
    size_t count = scan(directory, &names);

    free(names);
    return count > 0;
}

/* Fills the setting `scripts` when nobody gave it. */
void tide_settings_find_scripts(struct tide_settings_load *load)
{
    const struct tide_setting *setting = tide_setting_find("scripts");
    size_t i = (size_t)(setting - tide_settings_table);
    char beside[MAX_PATH] = ".", installed[MAX_PATH];
    char *slash;

    for (size_t k = 0; k < load->input->override_count; k++)
        if (strcmp(load->input->overrides[k].name, "scripts") == 0) {
            char *text = strdup(load->input->overrides[k].value);
            if (text)
                tide_settings_put(load, setting, text, load->input->overrides[k].option);
        }
    if (load->texts[i])
        return;
    if (load->path)
        snprintf(beside, sizeof beside, "%s", load->path);
    slash = strrchr(beside, '/');
    if (slash)
        *slash = '\0';
    tide_settings_installed("scripts", installed, sizeof installed);
    const char *candidates[] = {slash ? beside : ".", "scripts", installed};
    for (size_t k = load->path ? 0 : 1; k < 3 && !load->texts[i]; k++)
        if (has_bundles(candidates[k]))
            load->texts[i] = strdup(candidates[k]);
    if (!load->texts[i])
        load->texts[i] = strdup("scripts");
    snprintf(load->origins[i], sizeof load->origins[i], "scripts");
}

void tide_settings_find_bundles(struct tide_settings_load *load)
{
    const char *directory = load->texts[tide_setting_find("scripts") - tide_settings_table];
    char library[MAX_PATH];

    if (!directory)
        return;
    load->found_count = scan(directory, &load->found);
    snprintf(library, sizeof library, "%s/lib", directory);
    if (access(library, R_OK | X_OK) == 0)
        load->settings->library = strdup(library);
}

bool tide_settings_has_bundle(const struct tide_settings_load *load, const char *name)
{
    for (size_t i = 0; i < load->found_count; i++)
        if (strcmp(load->found[i], name) == 0)
            return true;
    return false;
}

void tide_settings_unknown_bundle(struct tide_settings_load *load, const char *name)
{
    const char *directory = load->settings->scripts ? load->settings->scripts : "scripts";
    const char **pointers = calloc(load->found_count + 1, sizeof *pointers), *nearest;

    for (size_t i = 0; pointers && i < load->found_count; i++)
        pointers[i] = load->found[i];
    nearest = pointers ? tide_suggest(name, pointers, load->found_count) : NULL;
    tide_buf_printf(load->report, "no bundle '%.60s'", name);
    if (nearest)
        tide_buf_printf(load->report, " (did you mean '%s'?)", nearest);
    tide_buf_printf(load->report, ": %s/%.60s/init.lua is missing\n  bundles in %s:", directory, name,
                    directory);
    for (size_t i = 0; i < load->found_count; i++)
        tide_buf_printf(load->report, "%s%s", i ? ", " : " ", load->found[i]);
    tide_buf_puts(load->report, load->found_count ? "\n" : " none\n");
    free(pointers);
}

/* ---- listen ---- */

static void take_file_listen(struct tide_settings_load *load)
{
    const struct tide_node *listen = load->root.key ? tide_node_child(&load->root, "listen") : NULL;
    char name[160], origin[TIDE_ORIGIN];

    for (size_t i = 0; listen && listen->type == TIDE_NODE_TABLE && !listen->list && i < listen->count; i++) {
        const struct tide_node *node = &listen->children[i];
        snprintf(name, sizeof name, "listen.%s", node->key);
        if (tide_setting_find(name))
            continue;
        tide_settings_file_origin(load, name, origin);
        if (node->type != TIDE_NODE_STRING) {
            tide_settings_refuse(load, origin,
                                 "expected an address, as in %s = \"127.0.0.1:8080\"; this is %s", node->key,
                                 tide_node_type_name(node));
        } else {
            /* Lowest precedence: those of the environment and the options are there already, so only fill
             * gaps. */
            bool given = false;
            for (size_t k = 0; k < load->extra_count; k++)
                given = given || (!load->extras[k].key[0] && strcmp(load->extras[k].bundle, node->key) == 0);
            if (!tide_settings_has_bundle(load, node->key)) {
                tide_settings_refuse_open(load, origin);
                tide_settings_unknown_bundle(load, node->key);
            } else if (!given) {
                tide_settings_put_extra(load, node->key, "", strdup(node->string), origin);
            }
        }
    }
}

static const char *default_listen(const char *bundle)
{
    if (strcmp(bundle, "gateway") == 0)
        return "127.0.0.1:8080";
    return strcmp(bundle, "auth") == 0 ? "127.0.0.1:5000" : NULL;
}

static bool is_at(const char *address, const char *authority, size_t len)
{
    return address && strncmp(address, authority, len) == 0 && !address[len];
}

/* The same machine has many names. */
static bool has_port_of(const char *address, const char *authority, size_t len)
{
    const char *port = strrchr(address, ':');
    size_t n = strlen(port);

    return n <= len && strncmp(authority + len - n, port, n) == 0;
}

const struct tide_settings_bundle *tide_settings_moved(const struct tide_settings *settings, const char *url)
{
    const char *authority = strstr(url, "://");
    const struct tide_settings_bundle *moved = NULL;
    size_t len;

    if (!authority)
        return NULL;
    authority += 3;
    len = strcspn(authority, "/?#");
    for (size_t i = 0; i < settings->bundle_count; i++) {
        const struct tide_settings_bundle *bundle = &settings->bundles[i];
        const char *address = tide_settings_address(bundle);

        if (!address)
            continue;
        if (has_port_of(address, authority, len))
            return NULL;
        if (is_at(default_listen(bundle->name), authority, len))
            moved = bundle;
    }
    return moved;
}

static char *listen_of(struct tide_settings_load *load, const char *bundle)
{
    const char *text = default_listen(bundle), *origin = bundle;
    char key[64];

    for (size_t i = 0; i < load->extra_count; i++) {
        const struct tide_settings_extra *extra = &load->extras[i];
        if (extra->key[0] || strcmp(extra->bundle, bundle) != 0)
            continue;
        text = extra->text;
        origin = extra->origin;
    }
    if (!text)
        return NULL;
    if (strcmp(text, "off") != 0 && !tide_setting_is_address(text)) {
        tide_setting_key(bundle, key, sizeof key);
        tide_settings_refuse(load, origin, "'%.60s' is not an address, as in %s = \"127.0.0.1:8080\"", text,
                             key);
        return NULL;
    }
    return strdup(text);
}

/* ---- a bundle's own settings ---- */

static const struct tide_node *file_settings(const struct tide_settings_load *load, const char *bundle)
{
    const struct tide_node *bundles = load->root.key ? tide_node_child(&load->root, "bundles") : NULL;

    return bundles && bundles->type == TIDE_NODE_TABLE ? tide_node_child(bundles, bundle) : NULL;
}

static bool is_off(const struct tide_node *node)
{
    return node && node->type == TIDE_NODE_BOOL && !node->boolean;
}

/* The environment has only text: where the file has a number or a boolean, it is read as that. */
static void put_text(struct tide_settings_load *load, const struct tide_settings_extra *extra,
                     const struct tide_node *like, struct tide_buf *out)
{
    char *end;

    if (like && like->type == TIDE_NODE_NUMBER) {
        double number = strtod(extra->text, &end);
        if (end == extra->text || *end)
            tide_settings_refuse(load, extra->origin, "expected a number");
        tide_buf_printf(out, "%.17g", number);
    } else if (like && like->type == TIDE_NODE_BOOL) {
        bool yes = strcmp(extra->text, "true") == 0;
        if (!yes && strcmp(extra->text, "false") != 0)
            tide_settings_refuse(load, extra->origin, "expected true or false");
        tide_buf_puts(out, yes ? "true" : "false");
    } else {
        tide_buf_json(out, extra->text, strlen(extra->text));
    }
}

static const struct tide_settings_extra *extra_of(const struct tide_settings_load *load, const char *bundle,
                                                  const char *key)
{
    const struct tide_settings_extra *last = NULL;

    for (size_t i = 0; i < load->extra_count; i++)
        if (strcmp(load->extras[i].bundle, bundle) == 0 && strcmp(load->extras[i].key, key) == 0)
            last = &load->extras[i];
    return last;
}

static void put_key(struct tide_buf *out, const char *key)
{
    if (out->data[out->len - 1] != '{')
        tide_buf_putc(out, ',');
    tide_buf_json(out, key, strlen(key));
    tide_buf_putc(out, ':');
}

static char *settings_of(struct tide_settings_load *load, const char *bundle)
{
    const struct tide_node *file = file_settings(load, bundle);
    struct tide_buf out;

    tide_buf_init(&out, MAX_SETTINGS);
    tide_buf_putc(&out, '{');
    for (size_t i = 0; file && i < file->count; i++) {
        const struct tide_node *node = &file->children[i];
        const struct tide_settings_extra *extra = extra_of(load, bundle, node->key);
        put_key(&out, node->key);
        if (extra)
            put_text(load, extra, node, &out);
        else
            tide_node_json(node, &out);
    }
    for (size_t i = 0; i < load->extra_count; i++) {
        const struct tide_settings_extra *extra = &load->extras[i];
        if (!extra->key[0] || strcmp(extra->bundle, bundle) != 0 ||
            (file && tide_node_child(file, extra->key)))
            continue;
        if (extra_of(load, bundle, extra->key) != extra) /* BUNDLES_X_KEY and X_KEY both */
            continue;
        put_key(&out, extra->key);
        put_text(load, extra, NULL, &out);
    }
    tide_buf_putc(&out, '}');
    if (out.overflow)
        tide_settings_refuse(load, bundle, "more than 1 MiB of settings");
    return tide_buf_take(&out, NULL);
}

/* ---- which ---- */

static void add_bundle(struct tide_settings_load *load, const char *name)
{
    struct tide_settings *settings = load->settings;
    struct tide_settings_bundle *grown, *bundle;
    char directory[MAX_PATH];

    if (tide_settings_bundle(settings, name))
        return;
    grown = realloc(settings->bundles, (settings->bundle_count + 1) * sizeof *grown);
    if (!grown) {
        tide_settings_refuse(load, name, "out of memory");
        return;
    }
    settings->bundles = grown;
    bundle = &grown[settings->bundle_count++];
    snprintf(directory, sizeof directory, "%s/%s", settings->scripts, name);
    *bundle = (struct tide_settings_bundle){.name = strdup(name), .directory = strdup(directory)};
    bundle->listen = listen_of(load, name);
    bundle->settings_json = settings_of(load, name);
    if (!bundle->name || !bundle->directory || !bundle->settings_json)
        tide_settings_refuse(load, name, "out of memory");
}

static void select_one(struct tide_settings_load *load, const char *name, const char *origin)
{
    if (tide_settings_has_bundle(load, name)) {
        add_bundle(load, name);
        return;
    }
    tide_settings_refuse_open(load, origin);
    tide_settings_unknown_bundle(load, name);
}

static void check_file_bundles(struct tide_settings_load *load)
{
    const struct tide_node *bundles = load->root.key ? tide_node_child(&load->root, "bundles") : NULL;
    char name[160], origin[TIDE_ORIGIN];

    if (!bundles)
        return;
    if (bundles->type != TIDE_NODE_TABLE || bundles->list) {
        tide_settings_file_origin(load, "bundles", origin);
        tide_settings_refuse(load, origin,
                             "expected a table, as in bundles = { auth = {}, gateway = {} }; this is %s",
                             tide_node_type_name(bundles));
        return;
    }
    for (size_t i = 0; i < bundles->count; i++) {
        const struct tide_node *node = &bundles->children[i];
        snprintf(name, sizeof name, "bundles.%s", node->key);
        tide_settings_file_origin(load, name, origin);
        if (!is_off(node) && (node->type != TIDE_NODE_TABLE || node->list))
            tide_settings_refuse(load, origin,
                                 "expected the bundle's settings, as in %s = {}, or false; this is %s",
                                 node->key, tide_node_type_name(node));
        else if (!tide_settings_has_bundle(load, node->key)) {
            tide_settings_refuse_open(load, origin);
            tide_settings_unknown_bundle(load, node->key);
        }
    }
}

static void select_bundles(struct tide_settings_load *load)
{
    if (load->input->bundle_count) {
        for (size_t i = 0; i < load->input->bundle_count; i++)
            select_one(load, load->input->bundles[i], "--bundle");
    } else if (load->selection) {
        char *rest = NULL;
        for (char *name = strtok_r(load->selection, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
            select_one(load, name, "TIDEMILL_BUNDLES");
    } else {
        for (size_t i = 0; i < load->found_count; i++)
            if (!is_off(file_settings(load, load->found[i])))
                add_bundle(load, load->found[i]);
    }
}

static void check_addresses(struct tide_settings_load *load)
{
    const struct tide_settings *settings = load->settings;

    for (size_t i = 0; i < settings->bundle_count; i++) {
        const char *address = tide_settings_address(&settings->bundles[i]), *other = NULL;
        if (!address || strcmp(strrchr(address, ':'), ":0") == 0)
            continue;
        if (settings->admin && strcmp(settings->admin, address) == 0)
            other = "admin";
        for (size_t k = 0; k < i; k++)
            if (settings->bundles[k].listen && strcmp(settings->bundles[k].listen, address) == 0)
                other = settings->bundles[k].name;
        if (other)
            tide_settings_refuse(load, "listen", "%s and %s are both at %s", other, settings->bundles[i].name,
                                 address);
    }
}

void tide_settings_make_bundles(struct tide_settings_load *load)
{
    if (!load->settings->scripts)
        return; /* refused before */
    take_file_listen(load);
    for (size_t i = 0; i < load->extra_count; i++) {
        if (tide_settings_has_bundle(load, load->extras[i].bundle))
            continue;
        tide_settings_refuse_open(load, load->extras[i].origin);
        tide_settings_unknown_bundle(load, load->extras[i].bundle);
    }
    check_file_bundles(load);
    select_bundles(load);
    check_addresses(load);
    if (!load->failed && load->settings->bundle_count == 0)
        tide_settings_refuse(load, "scripts", "no bundle in %s: a bundle is a directory with an init.lua",
                             load->settings->scripts);
}
