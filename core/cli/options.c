#include "cli/options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/suggest.h"

#define MAX_OPTIONS 32
#define LONG_BASE 256 /* of what getopt_long returns for the option at an index */

const struct tide_option tide_settings_options[] = {
    {"config", 'c', "FILE", "settings file"},
    {"bundle", 'b', "NAME", "only this bundle (may be repeated)"},
    {"listen", 'l', "NAME=HOST:PORT", "address of a bundle, or of admin (may be repeated); \"off\": none"},
    {"workers", 'w', "N", "worker processes"},
    {"data", 0, "DIR", "directory of the embedded backends"},
    {"scripts", 0, "DIR", "directory of the bundles"},
    {"grace", 0, "DURATION", "how long a stop waits for what is in flight"},
    {"log", 0, "auto|json|human", "format of the log"},
    {"log-level", 0, "debug|info|warn|error", "events below it are dropped"},
    {0}};

const struct tide_option tide_remote_options[] = {
    {"config", 'c', "FILE", "settings file"},
    {"bundle", 'b', "NAME", "only this bundle (may be repeated)"},
    {"listen", 'l', "NAME=HOST:PORT", "address of admin"},
    {"data", 0, "DIR", "directory of the embedded backends"},
    {"scripts", 0, "DIR", "directory of the bundles"},
    {0}};

const struct tide_option tide_stores_options[] = {{"config", 'c', "FILE", "settings file"},
                                                  {"data", 0, "DIR", "directory of the embedded backends"},
                                                  {"scripts", 0, "DIR", "directory of the bundles"},
                                                  {0}};

/* ---- errors ---- */

int tide_cli_fail(const char *fmt, ...)
{
    va_list args;

    fputs("tidemill: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return TIDE_EXIT_FAILED;
}

int tide_cli_usage(const struct tide_cli *cli, const char *fmt, ...)
{
    const struct tide_command *command = cli->command;
    va_list args;

    fprintf(stderr, "tidemill %s: ", command->name);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\nusage: tidemill %s%s%s; tidemill %s --help tells more\n", command->name,
            *command->operands ? " " : "", command->operands, command->name);
    return TIDE_EXIT_USAGE;
}

int tide_cli_missing(const struct tide_cli *cli, const char *verb, const char *operands, int index)
{
    for (; index > 0; index--)
        operands += strcspn(operands, " ") + 1;
    return tide_cli_usage(cli, "%s%.*s is missing", verb, (int)strcspn(operands, " "), operands);
}

/* ---- parsing ---- */

struct parser {
    const struct tide_option *options[MAX_OPTIONS];
    size_t count;
    struct option longs[MAX_OPTIONS + 2];
    char letters[3 * MAX_OPTIONS];
};

static void add_table(struct parser *parser, const struct tide_option *options)
{
    for (; options && options->name && parser->count < MAX_OPTIONS; options++)
        parser->options[parser->count++] = options;
}

static void prepare(struct parser *parser, const struct tide_command *command)
{
    char *letter = parser->letters;

    add_table(parser, command->options);
    add_table(parser, command->settings);
    *letter++ = ':';
    *letter++ = 'h';
    for (size_t i = 0; i < parser->count; i++) {
        const struct tide_option *option = parser->options[i];
        parser->longs[i] = (struct option){option->name, option->argument ? required_argument : no_argument,
                                           NULL, LONG_BASE + (int)i};
        if (option->letter) {
            *letter++ = option->letter;
            if (option->argument)
                *letter++ = ':';
        }
    }
    parser->longs[parser->count] = (struct option){"help", no_argument, NULL, 'h'};
    *letter = '\0';
}

static const struct tide_option *option_at(const struct parser *parser, int result)
{
    if (result >= LONG_BASE)
        return parser->options[result - LONG_BASE];
    for (size_t i = 0; i < parser->count; i++)
        if (parser->options[i]->letter == result)
            return parser->options[i];
    return NULL;
}

static void refuse_option(const struct tide_cli *cli, const struct parser *parser, const char *word)
{
    const char *names[MAX_OPTIONS + 1], *nearest;
    char text[64];

    for (size_t i = 0; i <= parser->count; i++)
        names[i] = parser->longs[i].name;
    snprintf(text, sizeof text, "%s", word + strspn(word, "-"));
    text[strcspn(text, "=")] = '\0';
    nearest = tide_suggest(text, names, parser->count + 1);
    tide_cli_usage(cli, "unknown option '%s'%s%s%s", word, nearest ? " (did you mean '--" : "",
                   nearest ? nearest : "", nearest ? "'?)" : "");
}

static bool take(struct tide_cli *cli, const struct tide_option *option, const char *value)
{
    if (cli->value_count == TIDE_CLI_VALUES) {
        tide_cli_usage(cli, "more than %d options", TIDE_CLI_VALUES);
        return false;
    }
    cli->values[cli->value_count].name = option->name;
    cli->values[cli->value_count++].value = value ? value : "";
    return true;
}

enum tide_options_result tide_options_parse(struct tide_cli *cli, int argc, char **argv)
{
    struct parser parser = {0};
    int result;

    prepare(&parser, cli->command);
    opterr = 0;
    optind = 1;
    while ((result = getopt_long(argc, argv, parser.letters, parser.longs, NULL)) != -1) {
        if (result == 'h')
            return TIDE_OPTIONS_HELP;
        if (result == ':') {
            tide_cli_usage(cli, "the option '%s' needs a value", argv[optind - 1]);
            return TIDE_OPTIONS_WRONG;
        }
        const struct tide_option *option = result == '?' ? NULL : option_at(&parser, result);
        if (!option) {
            char letter[3] = {'-', (char)optopt, '\0'};
            refuse_option(cli, &parser, optopt && optopt < LONG_BASE ? letter : argv[optind - 1]);
            return TIDE_OPTIONS_WRONG;
        }
        if (!take(cli, option, optarg))
            return TIDE_OPTIONS_WRONG;
    }
    cli->argc = argc - optind;
    cli->argv = argv + optind;
    return TIDE_OPTIONS_GOOD;
}

const char *tide_cli_value(const struct tide_cli *cli, const char *option)
{
    const char *value = NULL;

    for (size_t i = 0; i < cli->value_count; i++)
        if (strcmp(cli->values[i].name, option) == 0)
            value = cli->values[i].value;
    return value;
}

/* ---- settings ---- */

struct given {
    struct tide_settings_override overrides[TIDE_CLI_VALUES];
    size_t override_count;
    const char *bundles[TIDE_CLI_VALUES];
    size_t bundle_count;
    char listen[TIDE_CLI_VALUES][48];
};

static bool take_listen(const struct tide_cli *cli, struct given *given, const char *value)
{
    const char *equals = strchr(value, '=');
    char *name = given->listen[given->override_count];

    if (!equals || equals == value || equals - value > 32) {
        tide_cli_usage(cli, "--listen %s: write it as gateway=127.0.0.1:8080", value);
        return false;
    }
    snprintf(name, sizeof given->listen[0], "listen.%.*s", (int)(equals - value), value);
    given->overrides[given->override_count++] = (struct tide_settings_override){name, equals + 1, "--listen"};
    return true;
}

static bool take_given(const struct tide_cli *cli, struct given *given)
{
    static const char *const names[][3] = {
        {"workers", "workers", "--workers"}, {"data", "data", "--data"},
        {"scripts", "scripts", "--scripts"}, {"grace", "grace", "--grace"},
        {"log", "log.format", "--log"},      {"log-level", "log.level", "--log-level"}};

    for (size_t i = 0; i < cli->value_count; i++) {
        const char *name = cli->values[i].name, *value = cli->values[i].value;
        if (strcmp(name, "bundle") == 0)
            given->bundles[given->bundle_count++] = value;
        else if (strcmp(name, "listen") == 0 && !take_listen(cli, given, value))
            return false;
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            if (strcmp(name, names[k][0]) == 0)
                given->overrides[given->override_count++] =
                    (struct tide_settings_override){names[k][1], value, names[k][2]};
    }
    return true;
}

bool tide_cli_read_settings(const struct tide_cli *cli, struct tide_settings *settings,
                            struct tide_buf *report)
{
    struct given given = {0};

    if (!take_given(cli, &given))
        return false;
    struct tide_settings_input input = {.path = tide_cli_value(cli, "config"),
                                        .environment = environ,
                                        .overrides = given.overrides,
                                        .override_count = given.override_count,
                                        .bundles = given.bundles,
                                        .bundle_count = given.bundle_count,
                                        .engine_only = cli->command->settings == tide_remote_options};
    return tide_settings_load(settings, &input, report);
}

bool tide_cli_settings(const struct tide_cli *cli, struct tide_settings *settings)
{
    struct tide_buf report;
    bool ok;

    tide_buf_init(&report, TIDE_CLI_REPORT);
    ok = tide_cli_read_settings(cli, settings, &report);
    if (!ok && report.data)
        fputs(report.data, stderr);
    tide_buf_release(&report);
    return ok;
}

bool tide_cli_has_data(const struct tide_settings *settings, const char *url)
{
    if (strncmp(url, "sqlite:", 7) != 0 || access(settings->data, F_OK) == 0)
        return true;
    tide_cli_fail("there is no directory '%s' (--data, the setting `data`): nothing was run there",
                  settings->data);
    return false;
}

char *tide_cli_plugins(void)
{
    struct tide_settings_input input = {.environment = environ};
    struct tide_settings settings;
    struct tide_buf report;
    char *plugins = NULL;

    tide_buf_init(&report, 1 << 20);
    if (tide_settings_load(&settings, &input, &report)) {
        plugins = settings.plugins;
        settings.plugins = NULL;
        tide_settings_release(&settings);
    }
    tide_buf_release(&report);
    return plugins;
}

void tide_cli_log(struct tide_log *log)
{
    tide_log_init(log, STDERR_FILENO, TIDE_LOG_HUMAN, TIDE_LOG_WARN, "tidemill");
}
