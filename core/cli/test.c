/* tidemill test: runs spec files (spec/spec.h), and says how they went. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/suggest.h"
#include "base/unit.h"
#include "cli/command.h"
#include "cli/coverage.h"
#include "cli/spec_files.h"
#include "cli/test_watch.h"
#include "spec/spec.h"
#include "supervisor/gate.h"

#define TIMEOUT_MS 120000
#define GATE_NICE 10
#define MAX_JUNIT (64 << 20) /* bytes */

/* ---- the options ---- */

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

/* ---- what is told beside the tests ---- */

struct outputs {
    const char *junit, *lcov; /* paths; NULL: not wanted */
    struct tide_buf suites;
    struct tide_coverage *coverage; /* NULL: not wanted */
};

static void open_outputs(struct outputs *outputs, const struct tide_cli *cli)
{
    *outputs = (struct outputs){.junit = tide_cli_value(cli, "junit"), .lcov = tide_cli_value(cli, "lcov")};
    tide_buf_init(&outputs->suites, MAX_JUNIT);
    if (outputs->lcov || tide_cli_value(cli, "coverage"))
        outputs->coverage = tide_coverage_new();
}

static bool write_junit(const struct outputs *outputs, struct tide_err *err)
{
    FILE *file = fopen(outputs->junit, "we");

    if (!file)
        return tide_err_errno(err, errno, outputs->junit);
    fprintf(file, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n%s</testsuites>\n",
            outputs->suites.data ? outputs->suites.data : "");
    return fclose(file) == 0 || tide_err_errno(err, errno, outputs->junit);
}

/* `code` is the run's; the result that of the command. */
static int write_outputs(const struct outputs *outputs, int code)
{
    struct tide_err err;

    if (outputs->coverage)
        tide_coverage_print(outputs->coverage);
    if (outputs->junit && !write_junit(outputs, &err))
        code = tide_cli_fail("--junit: %s", err.message);
    if (outputs->lcov && !tide_coverage_write(outputs->coverage, outputs->lcov, &err))
        code = tide_cli_fail("--lcov: %s", err.message);
    return code;
}

static void close_outputs(struct outputs *outputs)
{
    tide_buf_release(&outputs->suites);
    tide_coverage_free(outputs->coverage);
}

/* ---- the run ---- */

static int run_files(const struct tide_spec_config *config, const struct tide_spec_files *files)
{
    struct tide_spec_counts counts = {0};
    struct tide_err err;

    puts("TAP version 13");
    for (size_t i = 0; i < files->count; i++)
        if (!tide_spec_run(config, files->list[i].path, files->list[i].line, &counts, &err))
            return tide_cli_fail("%s: %s", files->list[i].path, err.message);
    printf("1..%u\n# %u passed, %u failed", counts.passed + counts.failed + counts.skipped, counts.passed,
           counts.failed);
    printf(counts.skipped ? ", %u skipped\n" : "\n", counts.skipped);
    fflush(stdout);
    if (counts.passed + counts.failed == 0)
        return tide_cli_fail("no test was run");
    return counts.failed ? TIDE_EXIT_FAILED : TIDE_EXIT_GOOD;
}

static int run_once(const struct tide_cli *cli, struct tide_spec_config *config,
                    const struct tide_spec_files *files)
{
    struct outputs outputs;
    struct tide_buf options;
    int code;

    tide_buf_init(&options, 1 << 16);
    put_options(&options, cli);
    config->options_json = options.data;
    open_outputs(&outputs, cli);
    config->junit = outputs.junit ? &outputs.suites : NULL;
    config->coverage = outputs.coverage;
    code = write_outputs(&outputs, run_files(config, files));
    close_outputs(&outputs);
    tide_buf_release(&options);
    return code;
}

static int unknown_word(const struct tide_cli *cli, const struct tide_settings *settings, const char *word)
{
    const char **names = calloc(settings->bundle_count + 1, sizeof *names), *nearest = NULL;

    for (size_t i = 0; names && i < settings->bundle_count; i++)
        names[i] = settings->bundles[i].name;
    if (names)
        nearest = tide_suggest(word, names, settings->bundle_count);
    free(names);
    return tide_cli_usage(cli, "'%s' is no file, no directory, no bundle and no listed plugin%s%s%s", word,
                          nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "");
}

static int test(const struct tide_cli *cli, const struct tide_settings *settings,
                struct tide_spec_files *files)
{
    const char *timeout = tide_cli_value(cli, "timeout");
    struct tide_spec_config config = {.settings = settings,
                                      .backends = {.sql = tide_cli_value(cli, "sql"),
                                                   .queue = tide_cli_value(cli, "queue"),
                                                   .blob = tide_cli_value(cli, "blob"),
                                                   .mail = tide_cli_value(cli, "mail")},
                                      .timeout_ms = TIMEOUT_MS,
                                      .keep = tide_cli_value(cli, "keep") != NULL};
    const char *wrong;
    struct tide_err err;

    if (!tide_cli_value(cli, "mail") != !tide_cli_value(cli, "maildir"))
        return tide_cli_usage(cli,
                              "--mail and --maildir go together: where mail is sent, and where it arrives");
    if (timeout && !tide_unit_duration(timeout, &config.timeout_ms, &err))
        return tide_cli_usage(cli, "--timeout: %s", err.message);
    wrong = tide_spec_files_choose(files, settings, cli->argv, cli->argc);
    if (wrong)
        return unknown_word(cli, settings, wrong);
    if (files->count == 0)
        return tide_cli_fail("no specs: they are files named *" TIDE_SPEC_SUFFIX
                             " in spec/ or in the directory spec of a bundle");
    return tide_cli_value(cli, "watch") ? tide_test_watch(cli, &config, run_once)
                                        : run_once(cli, &config, files);
}

int tide_cli_test(struct tide_cli *cli)
{
    struct tide_settings settings;
    struct tide_spec_files files = {0};
    int code;

    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    code = test(cli, &settings, &files);
    tide_spec_files_release(&files);
    tide_settings_release(&settings);
    return code;
}

/* ---- the gate of a reload ---- */

static int gate(const struct tide_settings *settings, const struct tide_settings_bundle *bundle,
                const struct tide_content *content)
{
    struct tide_spec_files files = {0};
    int code = TIDE_EXIT_GOOD;

    tide_spec_files_choose(&files, settings, &bundle->name, 1);
    if (files.count > 0)
        code = run_files(&(struct tide_spec_config){.settings = settings,
                                                    .options_json = "{\"color\":false}",
                                                    .timeout_ms = settings->gate_timeout_ms,
                                                    .bundle = bundle->name,
                                                    .content = content},
                         &files);
    tide_spec_files_release(&files);
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
