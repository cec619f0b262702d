#include "cli/test_watch.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "engine/watch.h"
#include "script/content.h"

#define LOOK_MS 10000 /* where the system tells of no edits */

/* A spec file as it was when it was run. */
struct seen {
    char *path;
    struct timespec modified;
    off_t size;
    bool *uses; /* by the index of a bundle of the settings */
    struct seen *next;
};

struct generation {
    char name[TIDE_GENERATION_LEN];
    bool changed;
};

struct watching {
    const struct tide_cli *cli;
    struct tide_spec_config *config;
    uv_loop_t loop;
    struct seen *seen, *running;    /* the file that runs, or NULL */
    struct generation *generations; /* of the bundles */
};

/* ---- what has changed ---- */

/* A bundle that can't be read, such as one that is being written, has the generation "". */
static void look_at_bundles(struct watching *watching)
{
    const struct tide_settings *settings = watching->config->settings;

    for (size_t i = 0; i < settings->bundle_count; i++) {
        struct generation *generation = &watching->generations[i];
        struct tide_err err;
        struct tide_content *content =
            tide_content_read(settings->bundles[i].directory, settings->library, settings->plugins, &err);
        const char *name = content ? tide_content_generation(content) : "";

        generation->changed = strcmp(generation->name, name) != 0;
        snprintf(generation->name, sizeof generation->name, "%s", name);
        tide_content_free(content);
    }
}

static struct seen *find_seen(struct watching *watching, const char *path)
{
    struct seen *seen = watching->seen;

    while (seen && strcmp(seen->path, path) != 0)
        seen = seen->next;
    return seen;
}

static struct seen *add_seen(struct watching *watching, const char *path)
{
    struct seen *seen = calloc(1, sizeof *seen);

    if (!seen)
        abort(); /* less than 100 bytes: nothing sensible can be done without them */
    seen->path = strdup(path);
    seen->uses = calloc(watching->config->settings->bundle_count + 1, sizeof *seen->uses);
    seen->next = watching->seen;
    watching->seen = seen;
    return seen;
}

/* Notes it, too. */
static bool is_edited(struct seen *seen)
{
    struct stat st = {0};
    bool edited;

    if (stat(seen->path, &st) != 0)
        return false;
    edited = st.st_size != seen->size || st.st_mtim.tv_sec != seen->modified.tv_sec ||
             st.st_mtim.tv_nsec != seen->modified.tv_nsec;
    seen->size = st.st_size;
    seen->modified = st.st_mtim;
    return edited;
}

static bool is_touched(struct watching *watching, const char *path)
{
    struct seen *seen = find_seen(watching, path);
    bool touched;

    if (!seen)
        seen = add_seen(watching, path);
    touched = is_edited(seen);
    for (size_t i = 0; i < watching->config->settings->bundle_count; i++)
        touched = touched || (seen->uses[i] && watching->generations[i].changed);
    return touched;
}

/* ---- runs ---- */

static void on_use(void *arg, const struct tide_settings_bundle *bundle)
{
    struct watching *watching = arg;

    watching->running->uses[bundle - watching->config->settings->bundles] = true;
}

static void on_file(void *arg, const char *path)
{
    struct watching *watching = arg;

    watching->running = find_seen(watching, path);
}

static void run_touched(struct watching *watching,
                        int (*run)(const struct tide_cli *, struct tide_spec_config *,
                                   const struct tide_spec_files *))
{
    struct tide_spec_files all = {0}, touched = {0};

    tide_spec_files_choose(&all, watching->config->settings, watching->cli->argv, watching->cli->argc);
    look_at_bundles(watching);
    for (size_t i = 0; i < all.count; i++)
        if (is_touched(watching, all.list[i].path))
            tide_spec_files_put(&touched, all.list[i].path, all.list[i].line);
    if (touched.count > 0) {
        if (isatty(STDOUT_FILENO))
            fputs("\033[H\033[2J\033[3J", stdout);
        run(watching->cli, watching->config, &touched);
        puts("# waits for an edit (Ctrl-C ends)");
        fflush(stdout);
    }
    tide_spec_files_release(&all);
    tide_spec_files_release(&touched);
}

/* ---- the watch ---- */

static void on_change(void *arg, size_t index)
{
    struct watching *watching = arg;

    (void)index;
    uv_stop(&watching->loop);
}

static bool watch_word(struct tide_watch *watch, const char *word)
{
    struct stat st;
    char *copy;
    bool ok;

    if (stat(word, &st) == 0 && S_ISDIR(st.st_mode))
        return tide_watch_add(watch, 0, word);
    copy = strdup(word);
    ok = copy && tide_watch_add(watch, 0, dirname(copy));
    free(copy);
    return ok;
}

static bool watch_all(const struct watching *watching, struct tide_watch *watch)
{
    const struct tide_settings *settings = watching->config->settings;
    const struct tide_cli *cli = watching->cli;
    bool ok = !settings->library || tide_watch_add(watch, 0, settings->library);

    for (size_t i = 0; ok && i < settings->bundle_count; i++)
        ok = tide_watch_add(watch, 0, settings->bundles[i].directory);
    for (int i = 0; ok && i < cli->argc; i++)
        ok = tide_settings_bundle(settings, cli->argv[i]) || watch_word(watch, cli->argv[i]);
    return ok && (cli->argc > 0 || tide_watch_add(watch, 0, "spec"));
}

int tide_test_watch(const struct tide_cli *cli, const struct tide_spec_config *config,
                    int (*run)(const struct tide_cli *cli, struct tide_spec_config *config,
                               const struct tide_spec_files *files))
{
    struct tide_spec_config observed = *config;
    struct watching watching = {.cli = cli, .config = &observed};
    struct tide_watch *watch;

    watching.generations = calloc(config->settings->bundle_count + 1, sizeof *watching.generations);
    observed.on_file = on_file;
    observed.on_use = on_use;
    observed.arg = &watching;
    uv_loop_init(&watching.loop);
    watch = tide_watch_new(&watching.loop, true, LOOK_MS, on_change, &watching);
    if (!watch || !watching.generations || !watch_all(&watching, watch))
        return tide_cli_fail("--watch: the directories of the specs and bundles can't be watched");
    for (;;) {
        run_touched(&watching, run);
        uv_run(&watching.loop, UV_RUN_DEFAULT);
    }
}
