/* tidemill test: finds the specs and runs each file (spec/spec.h). */
#include <fts.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unit.h"
#include "cli/command.h"
#include "engine/gate.h"
#include "spec/spec.h"

#define SUFFIX "_spec.lua"
#define TIMEOUT_MS 120000
#define GATE_NICE 10

/* ---- which files ---- */

struct files {
    char **paths;
    size_t count;
};

static bool add_file(struct files *files, const char *path)
{
    char **grown = realloc(files->paths, (files->count + 1) * sizeof *grown);

    if (!grown)
        return false;
    files->paths = grown;
    files->paths[files->count] = strdup(path);
    return files->paths[files->count++] != NULL;
}

static void release_files(struct files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->paths[i]);
    free(files->paths);
}

static bool is_spec(const char *name)
{
    size_t len = strlen(name), suffix = strlen(SUFFIX);

    return len > suffix && strcmp(name + len - suffix, SUFFIX) == 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void add_tree(struct files *files, const char *directory)
{
    char *paths[] = {(char *)directory, NULL};
    FTS *tree = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    FTSENT *entry;

    while (tree && (entry = fts_read(tree))) {
        if (entry->fts_level > 0 && entry->fts_name[0] == '.')
            fts_set(tree, entry, FTS_SKIP);
        else if (entry->fts_info == FTS_F && is_spec(entry->fts_name))
            add_file(files, entry->fts_path);
    }
    if (tree)
        fts_close(tree);
}

static void add_bundle(struct files *files, const struct tide_settings_bundle *bundle)
{
    char path[1024];

    if (snprintf(path, sizeof path, "%s/spec", bundle->directory) < (int)sizeof path &&
        access(path, F_OK) == 0)
        add_tree(files, path);
}

/* The specs of one plugin of the settings, or of all when name is NULL. False: there is no such plugin. */
static bool add_plugins(struct files *files, const struct tide_settings *settings, const char *name)
{
    char path[1024];
    bool found = false;

    for (const char *at = settings->plugins ? settings->plugins : "", *end; *at; at = *end ? end + 1 : end) {
        end = at + strcspn(at, ":");
        snprintf(path, sizeof path, "%.*s", (int)(end - at), at);
        if (name && strcmp(strrchr(path, '/') + 1, name) != 0)
            continue;
        found = true;
        strncat(path, "/spec", sizeof path - strlen(path) - 1);
        if (access(path, F_OK) == 0)
            add_tree(files, path);
    }
    return found;
}

/* A file, a directory, or the name of a bundle or a plugin. */
static bool add_word(struct files *files, const struct tide_settings *settings, const char *word)
{
    const struct tide_settings_bundle *bundle = tide_settings_bundle(settings, word);
    struct stat st;

    if (bundle)
        add_bundle(files, bundle);
    else if (add_plugins(files, settings, word))
        return true;
    else if (stat(word, &st) != 0)
        return false;
    else if (S_ISDIR(st.st_mode))
        add_tree(files, word);
    else
        return add_file(files, word);
    return true;
}

static void add_all(struct files *files, const struct tide_settings *settings)
{
    for (size_t i = 0; i < settings->bundle_count; i++)
        add_bundle(files, &settings->bundles[i]);
    add_plugins(files, settings, NULL);
    if (access("spec", F_OK) == 0)
        add_tree(files, "spec");
}

/* ---- the run ---- */

static void put_list(struct tide_buf *json, const struct tide_cli *cli, const char *name, const char *option)
{
    const char *separator = "";

    tide_buf_printf(json, "\"%s\":[", name);
    for (size_t i = 0; i < cli->value_count; i++) {
        if (strcmp(cli->values[i].name, option) != 0)
            continue;
        tide_buf_puts(json, separator);
        tide_buf_json(json, cli->values[i].value, strlen(cli->values[i].value));
        separator = ",";
    }
    tide_buf_puts(json, "],");
}

static void put_options(struct tide_buf *json, const struct tide_cli *cli)
{
    const char *maildir = tide_cli_value(cli, "maildir");

    tide_buf_puts(json, "{");
    put_list(json, cli, "filter", "filter");
    put_list(json, cli, "tags", "tag");
    put_list(json, cli, "exclude_tags", "exclude-tag");
    if (maildir) {
        tide_buf_puts(json, "\"maildir\":");
        tide_buf_json(json, maildir, strlen(maildir));
        tide_buf_puts(json, ",");
    }
    tide_buf_printf(json, "\"color\":%s}", isatty(STDOUT_FILENO) && !getenv("NO_COLOR") ? "true" : "false");
}

static int run_files(const struct tide_spec_config *config, const struct files *files)
{
    struct tide_spec_counts counts = {0};
    struct tide_err err;

    puts("TAP version 13");
    for (size_t i = 0; i < files->count; i++)
        if (!tide_spec_run(config, files->paths[i], &counts, &err))
            return tide_cli_fail("%s: %s", files->paths[i], err.message);
    printf("1..%u\n# %u passed, %u failed", counts.passed + counts.failed + counts.skipped, counts.passed,
           counts.failed);
    printf(counts.skipped ? ", %u skipped\n" : "\n", counts.skipped);
    fflush(stdout);
    if (counts.passed + counts.failed == 0)
        return tide_cli_fail("no test was run");
    return counts.failed ? TIDE_EXIT_FAILED : TIDE_EXIT_GOOD;
}

static int test(const struct tide_cli *cli, const struct tide_settings *settings, struct files *files)
{
    const char *timeout = tide_cli_value(cli, "timeout");
    int64_t timeout_ms = TIMEOUT_MS;
    struct tide_buf options;
    struct tide_err err;
    int code;

    if (!tide_cli_value(cli, "mail") != !tide_cli_value(cli, "maildir"))
        return tide_cli_usage(cli,
                              "--mail and --maildir go together: where mail is sent, and where it arrives");
    for (int i = 0; i < cli->argc; i++)
        if (!add_word(files, settings, cli->argv[i]))
            return tide_cli_usage(cli, "'%s' is no file, no directory, no bundle and no listed plugin",
                                  cli->argv[i]);
    if (cli->argc == 0)
        add_all(files, settings);
    if (files->count == 0)
        return tide_cli_fail("no specs: they are files named *" SUFFIX
                             " in spec/ or in the directory spec of a bundle");
    if (timeout && !tide_unit_duration(timeout, &timeout_ms, &err))
        return tide_cli_usage(cli, "--timeout: %s", err.message);
    tide_buf_init(&options, 1 << 16);
    put_options(&options, cli);
    code = run_files(&(struct tide_spec_config){.settings = settings,
                                                .backends = {.sql = tide_cli_value(cli, "sql"),
                                                             .queue = tide_cli_value(cli, "queue"),
                                                             .blob = tide_cli_value(cli, "blob"),
                                                             .mail = tide_cli_value(cli, "mail")},
                                                .options_json = options.data,
                                                .timeout_ms = timeout_ms,
                                                .keep = tide_cli_value(cli, "keep") != NULL},
                     files);
    tide_buf_release(&options);
    return code;
}

int tide_cli_test(struct tide_cli *cli)
{
    struct tide_settings settings;
    struct files files = {0};
    int code;

    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    code = test(cli, &settings, &files);
    release_files(&files);
    tide_settings_release(&settings);
    return code;
}

/* ---- the gate of a reload ---- */

static int gate(const struct tide_settings *settings, const struct tide_settings_bundle *bundle,
                const struct tide_content *content)
{
    struct files files = {0};
    int code = TIDE_EXIT_GOOD;

    add_bundle(&files, bundle);
    if (files.count > 0)
        code = run_files(&(struct tide_spec_config){.settings = settings,
                                                    .options_json = "{\"color\":false}",
                                                    .timeout_ms = settings->gate_timeout_ms,
                                                    .bundle = bundle->name,
                                                    .content = content},
                         &files);
    release_files(&files);
    return code;
}

int tide_cli_gate(const char *name)
{
    struct tide_settings settings;
    const struct tide_settings_bundle *bundle;
    struct tide_content *content;
    struct tide_err err;
    int code;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "tidemill-specs");
    setpriority(PRIO_PROCESS, 0, GATE_NICE); /* those who are served go first */
    if (!tide_settings_receive(&settings, TIDE_GATE_SETTINGS, &err))
        return tide_cli_fail("%s", err.message);
    bundle = tide_settings_bundle(&settings, name);
    content = tide_content_map(TIDE_GATE_CONTENT, &err);
    code = bundle && content ? gate(&settings, bundle, content)
                             : tide_cli_fail("%s", content ? "no such bundle" : err.message);
    tide_content_free(content);
    tide_settings_release(&settings);
    return code;
}
