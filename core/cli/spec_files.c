#include "cli/spec_files.h"

#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

bool tide_spec_files_put(struct tide_spec_files *files, const char *path, int line)
{
    struct tide_spec_file *grown = realloc(files->list, (files->count + 1) * sizeof *grown);

    if (!grown)
        return false;
    files->list = grown;
    files->list[files->count] = (struct tide_spec_file){strdup(path), line};
    return files->list[files->count++].path != NULL;
}

void tide_spec_files_release(struct tide_spec_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->list[i].path);
    free(files->list);
}

static bool is_spec(const char *name)
{
    size_t len = strlen(name), suffix = strlen(TIDE_SPEC_SUFFIX);

    return len > suffix && strcmp(name + len - suffix, TIDE_SPEC_SUFFIX) == 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void add_tree(struct tide_spec_files *files, const char *directory)
{
    char *paths[] = {(char *)directory, NULL};
    FTS *tree = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    FTSENT *entry;

    while (tree && (entry = fts_read(tree))) {
        if (entry->fts_level > 0 && entry->fts_name[0] == '.')
            fts_set(tree, entry, FTS_SKIP);
        else if (entry->fts_info == FTS_F && is_spec(entry->fts_name))
            tide_spec_files_put(files, entry->fts_path, 0);
    }
    if (tree)
        fts_close(tree);
}

static void add_bundle(struct tide_spec_files *files, const struct tide_settings_bundle *bundle)
{
    char path[1024];

    if (snprintf(path, sizeof path, "%s/spec", bundle->directory) < (int)sizeof path &&
        access(path, F_OK) == 0)
        add_tree(files, path);
}

/* The specs of one plugin of the settings, or of all when name is NULL. False: there is no such plugin. */
static bool add_plugins(struct tide_spec_files *files, const struct tide_settings *settings, const char *name)
{
    const char *rest = settings->plugins;
    char path[4096];
    bool found = false;

    while (tide_file_next(&rest, path, sizeof path - strlen("/spec"))) {
        if (name && strcmp(strrchr(path, '/') + 1, name) != 0)
            continue;
        found = true;
        strcat(path, "/spec");
        if (access(path, F_OK) == 0)
            add_tree(files, path);
    }
    return found;
}

/* FILE, or FILE:LINE */
static bool add_place(struct tide_spec_files *files, const char *word)
{
    const char *colon = strrchr(word, ':');
    size_t len = colon && colon[1] && !colon[1 + strspn(colon + 1, "0123456789")] ? (size_t)(colon - word)
                                                                                  : strlen(word);
    char *path = strndup(word, len);
    bool there = path && access(path, F_OK) == 0;

    there = there && tide_spec_files_put(files, path, word[len] ? atoi(word + len + 1) : 0);
    free(path);
    return there;
}

static bool add_word(struct tide_spec_files *files, const struct tide_settings *settings, const char *word)
{
    const struct tide_settings_bundle *bundle = tide_settings_bundle(settings, word);
    struct stat st;

    if (bundle)
        add_bundle(files, bundle);
    else if (add_plugins(files, settings, word))
        return true;
    else if (stat(word, &st) == 0 && S_ISDIR(st.st_mode))
        add_tree(files, word);
    else
        return add_place(files, word);
    return true;
}

static void add_all(struct tide_spec_files *files, const struct tide_settings *settings)
{
    for (size_t i = 0; i < settings->bundle_count; i++)
        add_bundle(files, &settings->bundles[i]);
    add_plugins(files, settings, NULL);
    if (access("spec", F_OK) == 0)
        add_tree(files, "spec");
}

const char *tide_spec_files_choose(struct tide_spec_files *files, const struct tide_settings *settings,
                                   char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (!add_word(files, settings, words[i]))
            return words[i];
    if (count == 0)
        add_all(files, settings);
    return NULL;
}
