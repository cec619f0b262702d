#include "bind/generation.h"

#include <errno.h>
#include <fts.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static bool hash_file(crypto_generichash_state *state, const char *path, struct tide_err *err)
{
    unsigned char chunk[16384];
    FILE *file = fopen(path, "re");
    size_t n;

    if (!file)
        return tide_err_errno(err, errno, path);
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
        crypto_generichash_update(state, chunk, n);
    fclose(file);
    return true;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Dot files, and the bundle's specs: they don't run in it. */
static bool is_left_out(const FTSENT *entry)
{
    return (entry->fts_level > 0 && entry->fts_name[0] == '.') ||
           (entry->fts_level == 1 && entry->fts_info == FTS_D && strcmp(entry->fts_name, "spec") == 0);
}

static bool hash_tree(crypto_generichash_state *state, const char *directory, struct tide_err *err)
{
    char *paths[] = {(char *)directory, NULL};
    FTS *tree = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    FTSENT *entry;
    bool good = true;

    if (!tree)
        return tide_err_errno(err, errno, directory);
    while (good && (entry = fts_read(tree))) {
        if (is_left_out(entry)) {
            fts_set(tree, entry, FTS_SKIP);
            continue;
        }
        if (entry->fts_info != FTS_F)
            continue;
        crypto_generichash_update(state, (const unsigned char *)entry->fts_path + strlen(directory),
                                  strlen(entry->fts_path) - strlen(directory) + 1);
        good = hash_file(state, entry->fts_path, err);
    }
    fts_close(tree);
    return good;
}

bool tide_generation_hash(const char *const *directories, size_t count, char out[13], struct tide_err *err)
{
    crypto_generichash_state state;
    unsigned char hash[crypto_generichash_BYTES_MIN];
    size_t i;

    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    for (i = 0; i < count; i++)
        if (!hash_tree(&state, directories[i], err))
            return false;
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2hex(out, 13, hash, 6);
    return true;
}
